"""A second signal ends the process, whatever its main thread waits for; two at the same moment are one wish."""

import signal
import subprocess
import sys
import time

BUSY = """
import hashlib, signal
from wn_rl.system.second_signal import SecondSignal
signal.signal(signal.SIGTERM, lambda *_: None)
SecondSignal([signal.SIGTERM], lambda: print("ends", flush=True))
print("ready", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # minutes, in which Python calls no handler
"""


def test_a_second_signal_ends_a_process_that_waits_for_a_computation() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)  # of two at the same moment the system may make one
            process.send_signal(signal.SIGTERM)  # a key held down
            time.sleep(2.1)  # what a second wish is
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 128 + signal.SIGTERM
            assert process.stdout.read() == "ends\n"
        finally:
            process.kill()

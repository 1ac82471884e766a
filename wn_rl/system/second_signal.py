"""A signal that comes again: the process ends at once, whatever its main thread waits for."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection

SAME_WISH_SECONDS = 2.0
"""Within which signals are one wish: a key held down, or timeout(1), which sends to the process and to its group."""


class SecondSignal:
    """Ends the process when one of ``numbers`` comes for the second time, with the exit status of a shell.

    Python calls handlers in the main thread alone, between two of its instructions: not while that waits for threads
    that compute. But it writes each signal's number into a pipe at once, and a thread that waits there is always ready.
    To be made in the main thread, after the handlers.

    Args:
        numbers: the signals that count.
        last_words: called before the end, in that thread; short.
    """

    def __init__(self, numbers: Collection[int], last_words: Callable[[], None]) -> None:
        self._numbers, self._last_words = numbers, last_words
        self._read_end, self._write_end = os.pipe()
        if sys.platform != "win32":  # which has it since Python 3.12; its pipe is not filled by signals
            os.set_blocking(self._write_end, False)
        self._previous = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="second-signal", daemon=True).start()

    def close(self) -> None:
        """Watch no longer."""
        signal.set_wakeup_fd(self._previous)
        os.close(self._write_end)  # which ends the thread

    def _watch(self) -> None:
        first: float | None = None
        while received := os.read(self._read_end, 1):
            if received[0] not in self._numbers:
                continue
            if first is None:
                first = time.monotonic()
            elif time.monotonic() - first >= SAME_WISH_SECONDS:
                try:
                    self._last_words()
                finally:
                    os._exit(128 + received[0])
        os.close(self._read_end)

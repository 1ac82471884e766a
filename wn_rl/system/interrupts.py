"""Ctrl-C while a command is loading or at work: one line and exit status 130, as a shell counts it, never a traceback.

While training goes on, ``callbacks/interruption.py`` listens in its place, and leaves a checkpoint.
"""

import os
import signal
import sys
from types import FrameType

EXIT_INTERRUPTED = 128 + signal.SIGINT

_IMPORTING = "<frozen importlib._bootstrap>"


def listen() -> None:
    """Heed Ctrl-C from here on; call it before anything is imported that takes long.

    What a parent process ignores, as ``nohup`` and shells in the background do, stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_interrupt)


def tell_interruption(advice: str = "") -> None:
    """The line, on stderr, with what to do."""
    write_error(f"stopped by Ctrl-C; {advice or 'what was not finished is not kept'}\n")


def write_error(line: str) -> None:
    """Write a line to stderr, below what a terminal shows of the keys; ``print`` may be at work within a handler."""
    start = "\n" if os.isatty(2) else ""
    os.write(2, f"{start}{line}".encode())


def _on_interrupt(signal_number: int, frame: FrameType | None) -> None:
    """Unwind what is at work, so that it can close what it holds; an import half done cannot be unwound soundly."""
    signal.signal(signal.SIGINT, _end_at_once)
    if _is_importing(frame):
        _end_at_once(signal_number, frame)
    raise KeyboardInterrupt


def _end_at_once(signal_number: int, frame: FrameType | None) -> None:
    tell_interruption()
    sys.stdout.flush()
    os._exit(EXIT_INTERRUPTED)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False

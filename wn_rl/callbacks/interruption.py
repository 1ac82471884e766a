"""Ctrl-C, SIGTERM, a closed terminal, a cluster's warning: a chunk is finished, a checkpoint written, the run ends."""

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

import lightning

from wn_rl.callbacks.run_callback import RunCallback

_HANG_UP = getattr(signal, "SIGHUP", None)  # Windows has none
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
"""The last two are what clusters are told to send before a job's time is up: ``sbatch --signal=USR1@90``."""
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


class Interruption(RunCallback):
    """Turns the first signal into a wish to stop, and the second into the default: stop at once.

    Python lets the main thread alone listen to signals; in others a run is not interrupted.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self._previous: dict[signal.Signals, Any] = {}
        self._terminals: list[int] = []

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Remember the handlers of before: Lightning's, which come next, would keep the whole run in memory."""
        super().setup(trainer, pl_module, stage)
        if threading.current_thread() is threading.main_thread():
            self._previous = {signal_number: signal.getsignal(signal_number) for signal_number in _SIGNALS}

    def on_begin(self) -> None:
        """Listen from here on (Lightning has installed its own handlers by now)."""
        self._terminals = _find_terminals()
        for signal_number, handler in self._previous.items():
            if handler is not signal.SIG_IGN:  # as nohup has it
                signal.signal(signal_number, self._on_signal)

    def close(self) -> None:
        """Put the handlers back."""
        for signal_number, handler in self._previous.items():
            signal.signal(signal_number, handler)
        self._previous = {}

    def _on_signal(self, signal_number: int, frame: FrameType | None) -> None:
        if signal_number == _HANG_UP:
            _leave(self._terminals)
        elif self.is_requested:  # a shell sends a second SIGHUP, and nobody is there to be impatient
            raise KeyboardInterrupt
        self.is_requested = True
        self.algorithm.trainer.should_stop = True


def _find_terminals() -> list[int]:
    """The descriptors of output that is shown: asked before a terminal is gone, after which it is none."""
    streams = [stream for stream in (sys.__stdout__, sys.__stderr__) if stream is not None]
    return [stream.fileno() for stream in streams if os.isatty(stream.fileno())]


def _leave(terminals: list[int]) -> None:
    """Write to nothing what would be written to a terminal that is gone, which is an error."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor in terminals:
        os.dup2(nothing, descriptor)
    os.close(nothing)

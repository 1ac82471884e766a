"""Ctrl-C, SIGTERM, a closed terminal, a cluster's warning: a chunk is finished, a checkpoint written, the run ends."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from wn_rl.system.interrupts import write_error
from wn_rl.system.second_signal import SecondSignal
from wn_rl.system.terminals import quote_command

_HANG_UP = getattr(signal, "SIGHUP", None)  # Windows has none
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
"""The last two are what clusters are told to send before a job's time is up: ``sbatch --signal=USR1@90``."""
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
_WARNINGS = [getattr(signal, name) for name in _NAMES[-2:] if hasattr(signal, name)]

_STOPPING = (
    "stopping: what is under way is finished, then a checkpoint is written; Ctrl-C once more ends it at once, and what"
    " came after the last checkpoint is lost\n"
)


class Interruption(Callback):
    """Turns the first signal into a wish to stop, and ends the process at the second.

    Lightning looks at ``trainer.should_stop`` after a chunk (its batch), some time after the callbacks that write a
    checkpoint where it is set: here it is set at the end of a chunk alone, before them, or where no chunk is under way.
    To be the first of the callbacks. Python lets the main thread alone listen to signals; in others a run is not
    interrupted.

    Args:
        command: the name of the one that goes on with the run, by ``resume=<run folder>``.
        is_heard: whether what it says is written; of several processes that stop together one says it.

    Attributes:
        is_requested: whether the run is to stop.
        is_by_signal: whether a signal said so, that is, the user or a cluster.
    """

    def __init__(self, command: str = "train", *, is_heard: bool = True) -> None:
        self.is_requested = self.is_by_signal = False
        self._command, self._is_heard = command, is_heard
        self._is_amid_chunks = False
        self._trainer: lightning.Trainer | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self._warned: Callable[[], Any] | None = None
        self._terminals: list[int] = []
        self._second: SecondSignal | None = None

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Remember the handlers of before: Lightning's, which come next, would keep the whole run in memory."""
        self._trainer = trainer
        if threading.current_thread() is threading.main_thread():
            self._previous = {signal_number: signal.getsignal(signal_number) for signal_number in _SIGNALS}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Listen from here on (Lightning has installed its own handlers by now)."""
        self._terminals = _find_terminals()
        for signal_number, handler in self._previous.items():
            if handler is not signal.SIG_IGN:  # as nohup has it
                signal.signal(signal_number, self._on_signal)
        impatient = {signal.SIGINT, signal.SIGTERM} & self._previous.keys()
        if impatient:  # a shell sends SIGHUP twice, and a cluster SIGTERM after its warning: nobody is impatient there
            self._second = SecondSignal(impatient, self._say_that_it_ends)

    def request(self, reason: str) -> None:
        """Stop after what is under way, and write why; ``reason`` is a line."""
        if not self.is_requested and self._is_heard:
            write_error(reason)
        self.is_requested = True
        if not self._is_amid_chunks:
            self._stop()

    def wait_for_chunk(self) -> bool:
        """Let a wish to stop wait for the end of a chunk from here on; return whether there is one already."""
        self._is_amid_chunks = True
        return self.is_requested

    def join_in(self) -> None:
        """Stop, since another process does."""
        self.is_requested = True
        self._stop()

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """From here to the epoch's end a wish to stop waits for the end of a chunk."""
        self.wait_for_chunk()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """A chunk is done: what follows saves it if the run is to stop."""
        if self.is_requested:
            self._stop()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """No chunk is under way, and games may be evaluated for minutes."""
        self._is_amid_chunks = False
        if self.is_requested:
            self._stop()

    def _stop(self) -> None:
        assert self._trainer is not None
        self._trainer.should_stop = True

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Lightning tears no callback down after a failure."""
        self._close()

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Training is over."""
        self._close()

    def _close(self) -> None:
        """Put the handlers back."""
        if self._second is not None:
            self._second.close()
            self._second = None
        for signal_number, handler in self._previous.items():
            signal.signal(signal_number, handler)
        self._previous = {}

    def pass_on(self) -> None:
        """Tell a cluster's warning to who listened before, as submitit does, which asks for the job to begin again.

        To be called when the run can be gone on with by another process; it may end this one.
        """
        if self._warned is not None:
            self._warned()

    def _on_signal(self, signal_number: int, frame: FrameType | None) -> None:
        previous = self._previous.get(signal.Signals(signal_number))
        if signal_number in _WARNINGS and callable(previous):
            self._warned = partial(previous, signal_number, None)
        if signal_number == _HANG_UP:
            _leave(self._terminals)
        self.is_by_signal = True
        self.request(_STOPPING)

    def _say_that_it_ends(self) -> None:
        """The bar hides the cursor of its terminal."""
        for descriptor in self._terminals:
            os.write(descriptor, b"\x1b[?25h")
        if not self._is_heard:
            return
        assert self._trainer is not None
        command = quote_command(self._command, f"resume={self._trainer.default_root_dir}")
        write_error(f"stopped at once, at the second signal; from the last checkpoint goes on: {command}\n")


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

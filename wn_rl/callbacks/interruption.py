"""Ctrl-C and SIGTERM: the chunk in progress is finished, a checkpoint written, and the run ends in order."""

import signal
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(Callback):
    """Turns the first signal into a wish to stop, and the second into the default: stop at once."""

    def __init__(self) -> None:
        self.is_requested = False
        self._previous: dict[signal.Signals, Any] = {}
        self._trainer: lightning.Trainer | None = None

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Remember the handlers of before: Lightning's, which come next, would keep the whole run in memory."""
        self._previous = {signal_number: signal.getsignal(signal_number) for signal_number in _SIGNALS}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Listen from here on (Lightning has installed its own handlers by now)."""
        self._trainer = trainer
        for signal_number in _SIGNALS:
            signal.signal(signal_number, self._on_signal)

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Put the handlers back."""
        for signal_number, handler in self._previous.items():
            signal.signal(signal_number, handler)
        self._previous = {}

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """The same where training failed, after which Lightning tears no callback down."""
        self.teardown(trainer, pl_module, stage="fit")

    def _on_signal(self, signal_number: int, frame: FrameType | None) -> None:
        if self.is_requested:
            raise KeyboardInterrupt
        self.is_requested = True
        assert self._trainer is not None
        self._trainer.should_stop = True

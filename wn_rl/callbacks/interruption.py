"""Ctrl-C and SIGTERM: the chunk in progress is finished, a checkpoint written, and the run ends in order."""

import signal
from types import FrameType
from typing import Any

import lightning

from wn_rl.callbacks.run_callback import RunCallback

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(RunCallback):
    """Turns the first signal into a wish to stop, and the second into the default: stop at once."""

    def __init__(self) -> None:
        self.is_requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Remember the handlers of before: Lightning's, which come next, would keep the whole run in memory."""
        super().setup(trainer, pl_module, stage)
        self._previous = {signal_number: signal.getsignal(signal_number) for signal_number in _SIGNALS}

    def on_begin(self) -> None:
        """Listen from here on (Lightning has installed its own handlers by now)."""
        for signal_number in _SIGNALS:
            signal.signal(signal_number, self._on_signal)

    def close(self) -> None:
        """Put the handlers back."""
        for signal_number, handler in self._previous.items():
            signal.signal(signal_number, handler)
        self._previous = {}

    def _on_signal(self, signal_number: int, frame: FrameType | None) -> None:
        if self.is_requested:
            raise KeyboardInterrupt
        self.is_requested = True
        self.algorithm.trainer.should_stop = True

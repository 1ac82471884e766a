"""A run that is sent a signal amid its iterations."""

import os
import signal
from typing import Any

from lightning.pytorch.callbacks import Callback


class SendSignal(Callback):
    """Sends a signal to this process, once, in the chunk that reaches a number of agent steps.

    To be the first of the callbacks: the others see that chunk end with a run that is to stop.
    """

    def __init__(self, agent_steps: int, number: signal.Signals = signal.SIGTERM) -> None:
        self._agent_steps, self._number = agent_steps, number

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if pl_module.agent_steps >= self._agent_steps:
            self._agent_steps = 10**9
            os.kill(os.getpid(), self._number)

"""One row of metrics per chunk, to every logger, over agent steps."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from wn_rl.dqn import DQN


class MetricsLogging(Callback):
    """Reads the chunk's means once from the device and hands them to the loggers."""

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Log the chunk that has just ended."""
        assert isinstance(pl_module, DQN)
        row = {
            **pl_module.metrics.compute_and_reset(pl_module.agent_steps, pl_module.num_updates),
            **pl_module.collector.compute_statistics(),
            "train/epsilon": pl_module.settings.epsilon(pl_module.agent_steps),
            "train/updates": pl_module.num_updates,
        }
        for logger in trainer.loggers:
            logger.log_metrics(row, step=pl_module.agent_steps)

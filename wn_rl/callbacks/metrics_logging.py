"""One row of metrics per chunk, to every logger, over agent steps; where they are no numbers, the run ends."""

import math
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from wn_rl.algorithms.dqn import DQN
from wn_rl.errors import ConfigurationError
from wn_rl.runs.metrics_csv import MetricsCSV


class MetricsLogging(Callback):
    """Reads the chunk's means once from the device and hands them to the loggers.

    Args:
        metrics_csv: the file whose rows beyond a checkpoint are dropped when the run goes on from it: what an
            interrupted run wrote after its last checkpoint is played and written again.
    """

    def __init__(self, metrics_csv: MetricsCSV) -> None:
        self._metrics_csv = metrics_csv

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Measure the first chunk's speed from here on: evaluation, video and checkpoint lie before it."""
        assert isinstance(pl_module, DQN)
        pl_module.metrics.start(pl_module.agent_steps, pl_module.num_updates)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Log the chunk that has just ended.

        Raises:
            ConfigurationError: learning has diverged, as a sum over the chunk that is no finite number shows. The
                row is logged; no checkpoint is written.
        """
        assert isinstance(pl_module, DQN)
        row = {
            **pl_module.metrics.compute_and_reset(pl_module.agent_steps, pl_module.num_updates),
            **pl_module.collector.compute_statistics(),
            "train/epsilon": pl_module.settings.epsilon(pl_module.agent_steps),
            "train/updates": pl_module.num_updates,
        }
        for logger in trainer.loggers:
            logger.log_metrics(row, step=pl_module.agent_steps)
        diverged = [name for name, value in row.items() if not math.isfinite(value)]
        if diverged:
            raise ConfigurationError(describe_divergence(diverged[0], pl_module.agent_steps))

    def state_dict(self) -> dict[str, Any]:
        """How many rows belong to a checkpoint."""
        return {"num_rows": self._metrics_csv.num_rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Drop the rows that came after it."""
        self._metrics_csv.keep_rows(state_dict["num_rows"])


def describe_divergence(name: str, agent_steps: int) -> str:
    """What is wrong, and what to do."""
    return (
        f"learning diverged: {name} is infinite or no number after {agent_steps:,} agent steps; start a new run with"
        " a lower learning_rate, or with max_gradient_norm=10"
    )

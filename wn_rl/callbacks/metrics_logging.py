"""One row of metrics per chunk, to every logger, over agent steps; where they are no numbers, the run ends."""

import math
from typing import Any

from wn_rl.callbacks.run_callback import RunCallback
from wn_rl.errors import ConfigurationError
from wn_rl.runs.metrics_csv import MetricsCSV


class MetricsLogging(RunCallback):
    """Reads the chunk's means once from the device and hands them to the loggers.

    Args:
        metrics_csv: the file whose rows beyond a checkpoint are dropped when the run goes on from it: what an
            interrupted run wrote after its last checkpoint is played and written again.
    """

    def __init__(self, metrics_csv: MetricsCSV) -> None:
        self._metrics_csv = metrics_csv
        self._begin_agent_steps = 0

    def on_iteration_begin(self) -> None:
        """Measure the first chunk's speed from here on: evaluation, video and checkpoint lie before it."""
        self.algorithm.metrics.start(self.algorithm.agent_steps, self.algorithm.num_updates)

    def on_chunk_begin(self, chunk: int) -> None:
        """Note where it begins."""
        self._begin_agent_steps = self.algorithm.agent_steps

    def on_chunk_end(self) -> None:
        """Log the chunk that has just ended; of a few rounds there are fewer chunks than of a whole iteration.

        Raises:
            ConfigurationError: learning has diverged, as a sum over the chunk that is no finite number shows. The
                row is logged; no checkpoint is written.
        """
        algorithm = self.algorithm
        if algorithm.agent_steps == self._begin_agent_steps:
            return
        row = {
            **algorithm.metrics.compute_and_reset(algorithm.agent_steps, algorithm.num_updates),
            **algorithm.compute_statistics(),
        }
        for logger in algorithm.trainer.loggers:
            logger.log_metrics(row, step=algorithm.agent_steps)
        diverged = [name for name, value in row.items() if not math.isfinite(value)]
        if diverged:
            raise ConfigurationError(describe_divergence(diverged[0], algorithm.agent_steps))

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

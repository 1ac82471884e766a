"""How the weights fare: lengths, effective learning rates, dormant units and rank, every so often."""

import time
from typing import Any

import torch
from torch import Tensor

from wn_rl.callbacks.run_callback import RunCallback
from wn_rl.nn.folding import make_folded
from wn_rl.nn.statistics import (
    compute_activation_statistics,
    compute_effective_learning_rate,
    compute_update_angle,
    compute_weight_statistics,
    find_norm_exponent,
    find_weight_units,
    name_layers,
)
from wn_rl.system.seeding import make_statistics_generator


class WeightStatistics(RunCallback):
    """Logs ``weights/<layer>/...`` at the end of the first chunk with updates and then once a period.

    What stands behind each name is said in wn_rl/nn/statistics.py. Gradients are those of the chunk's last update,
    after clipping; ``update_angle`` is of one update of the chunk; units and rank are looked at on states drawn from
    the replay. It reads, and draws from a generator of its own that follows from the seed and the agent steps, so
    that a resumed run logs what the whole one would.

    Args:
        period_agent_steps: from one row to the next; 0 logs none.
        num_states: B, states that the units are looked at on; the rank is at most B.
        dormant_threshold: tau, below which share of the layer's mean activity a unit is dormant.
        rank_threshold: delta, the share of the singular values' sum that the rank leaves out.
        seed: of the states that are drawn.
    """

    def __init__(
        self, *, period_agent_steps: int, num_states: int, dormant_threshold: float, rank_threshold: float, seed: int
    ) -> None:
        self._period_agent_steps, self._num_states = period_agent_steps, num_states
        self._dormant_threshold, self._rank_threshold = dormant_threshold, rank_threshold
        self._seed = seed
        self._is_due = False
        self._num_updates_before = 0
        self._weights_before: dict[str, Tensor] | None = None
        self._angles: dict[str, Tensor] | None = None

    def on_chunk_begin(self, chunk: int) -> None:
        """Find out whether the chunk that begins is one to look at."""
        self._weights_before = self._angles = None
        self._num_updates_before = self.algorithm.num_updates
        begin = self.algorithm.agent_steps
        run_length = self.algorithm.run_length
        num_rounds = run_length.compute_num_rounds(begin, self.algorithm.current_epoch, chunk)
        end = begin + num_rounds * run_length.num_envs
        self._is_due = self._period_agent_steps > 0 and (
            self.algorithm.num_updates == 0 or end // self._period_agent_steps > begin // self._period_agent_steps
        )

    def on_update(self, optimizer: Any) -> None:
        """In a chunk that is due, keep the weights before its first update and compare after it."""
        if not self._is_due or self._angles is not None:
            return
        if self._weights_before is not None:
            self._angles = self._compare()
            return
        layers = name_layers(self.algorithm.network)
        self._weights_before = {name: find_weight_units(layer).units.detach().clone() for name, layer in layers.items()}

    def on_chunk_end(self) -> None:
        """Log the row if the chunk was due."""
        if not self._is_due or self.algorithm.num_updates == self._num_updates_before:
            return
        began = time.perf_counter()
        angles = self._compare() if self._angles is None else self._angles
        statistics = {
            **self._describe_layers(),
            **{f"{name}/update_angle": angle for name, angle in angles.items()},
            **self._describe_units(),
        }
        values = torch.stack(list(statistics.values())).tolist()
        row = {f"weights/{name}": value for name, value in zip(statistics, values, strict=True)}
        row["speed/weight_statistics_seconds"] = time.perf_counter() - began
        for logger in self.algorithm.trainer.loggers:
            logger.log_metrics(row, step=self.algorithm.agent_steps)

    def _compare(self) -> dict[str, Tensor]:
        assert self._weights_before is not None
        angles = {
            name: compute_update_angle(self._weights_before[name], find_weight_units(layer).units.detach())
            for name, layer in name_layers(self.algorithm.network).items()
        }
        self._weights_before = None
        return angles

    def _describe_layers(self) -> dict[str, Tensor]:
        optimizer: Any = self.algorithm.optimizers()
        norm_exponent = find_norm_exponent(optimizer.optimizer)
        learning_rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        statistics: dict[str, Tensor] = {}
        for name, layer in name_layers(self.algorithm.network).items():
            statistics |= {f"{name}/{key}": value for key, value in compute_weight_statistics(layer).items()}
            parameter, units = find_weight_units(layer)
            if norm_exponent is not None:
                statistics[f"{name}/effective_learning_rate"] = compute_effective_learning_rate(
                    units, learning_rate=float(learning_rates[id(parameter)]), norm_exponent=norm_exponent
                )
        return statistics

    def _describe_units(self) -> dict[str, Tensor]:
        generator = make_statistics_generator(self._seed, self.algorithm.agent_steps)
        observations = self.algorithm.sample_states(self._num_states, generator)
        with torch.autocast(self.algorithm.device.type, enabled=False):
            return compute_activation_statistics(
                make_folded(self.algorithm.network).float(), observations,
                dormant_threshold=self._dormant_threshold, rank_threshold=self._rank_threshold,
            )  # fmt: skip

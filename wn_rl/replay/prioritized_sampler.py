"""Prioritized replay: surprising transitions are drawn more often, and weigh less each time."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from wn_rl.errors import ConfigurationError
from wn_rl.replay.samplers import Draw
from wn_rl.replay.saved_state import copy_array
from wn_rl.replay.sum_tree import SumTree

SMALLEST_ERROR = 1e-3
"""Added to every error (epsilon in Section 3.3), so that what is predicted exactly is drawn again some day."""

LARGEST_ERROR = 1e6
"""What counts for a larger error, or none that is a number: a run that diverges ends with a message of its own."""


class PrioritizedSampler:
    """Proportional prioritization (Schaul et al. 2016), with one draw from each B-th part of the priorities' sum.

    A transition of error e has the priority p = (e + SMALLEST_ERROR)^alpha; a new one the largest of those that are
    stored, or 1. (The paper has the largest of all time: after one huge error, new transitions have its priority for
    ever, and nearly all draws.)
    It is drawn with probability p / sum p, and weighs p^-beta, divided by the largest such weight of its minibatch.
    Priorities lie on the host: with a GPU, an update waits until the errors of the one before are known.

    Args:
        priority_exponent: alpha; 0 is uniform sampling.
        importance_exponent: beta; 1 makes up for the draws' probabilities in full.
    """

    def __init__(self, *, priority_exponent: float, importance_exponent: float) -> None:
        self._priority_exponent, self._importance_exponent = priority_exponent, importance_exponent
        self._tree = SumTree(0)

    def required_bytes(self, num_rows: int) -> int:
        """A float32 each, and a float64 and a float32 for every 31."""
        return 4 * num_rows + 12 * num_rows // 31

    def allocate(self, num_rows: int) -> None:
        """Take the memory for that many rows, none of them valid."""
        self._tree = SumTree(num_rows)

    def on_new(self, rows: Int64[np.ndarray, "K"]) -> None:
        """These are drawn soon."""
        self._tree.set(rows, self._tree.largest or 1.0)

    def on_invalid(self, rows: Int64[np.ndarray, "K"]) -> None:
        """These are not drawn any more."""
        self._tree.set(rows, 0.0)

    def draw(
        self,
        batch_size: int,
        *,
        valid: Bool[np.ndarray, "N L"],
        num_filled: int,
        generator: torch.Generator,
    ) -> Draw:
        """Draw in proportion to the priorities, of which only valid rows have any; else as ``Sampler``.

        Raises:
            ValueError: no row is valid.
        """
        if self._tree.total == 0:
            raise ValueError("the replay holds no complete transition yet: add agent steps before sampling")
        offsets = torch.rand(batch_size, dtype=torch.float64, generator=generator).numpy()
        rows = self._tree.find((np.arange(batch_size) + offsets) / batch_size)
        priority = self._tree.leaves[rows]
        return Draw(rows, (priority.min() / priority) ** np.float32(self._importance_exponent))

    def set_importance_exponent(self, exponent: float) -> None:
        """Weigh draws with this beta from now on."""
        self._importance_exponent = exponent

    def update_priorities(self, index: Int64[Tensor, "B"], priority: Float32[Tensor, "B"]) -> None:
        """Note the errors that these transitions have now."""
        errors = np.fmin(priority.cpu().numpy(), np.float32(LARGEST_ERROR))
        self._tree.set(index.cpu().numpy(), self._compute_priorities(errors))

    def _compute_priorities(self, errors: Float32[np.ndarray, "B"]) -> Float32[np.ndarray, "B"]:
        return (errors + np.float32(SMALLEST_ERROR)) ** np.float32(self._priority_exponent)

    def state_dict(self) -> dict[str, Tensor]:
        """A copy of the priorities."""
        return {"priority": torch.from_numpy(self._tree.leaves.copy())}

    def load_state_dict(self, state: dict[str, Any], *, valid: Bool[np.ndarray, "R"]) -> None:
        """Take over what was saved, after ``allocate``.

        Raises:
            ConfigurationError: something is missing, misshapen or impossible.
        """
        priorities = np.empty_like(self._tree.leaves)
        copy_array(priorities, state, "priority")
        largest = max(1.0, float(self._compute_priorities(np.full(1, LARGEST_ERROR, np.float32))[0]))
        is_possible = (priorities >= 0) & (priorities <= largest) & ((priorities > 0) == valid)
        if not is_possible.all():
            raise ConfigurationError("the saved replay's 'priority' is out of range: the checkpoint is damaged")
        self._tree.set_all(priorities)

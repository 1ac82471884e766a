"""Which transitions a minibatch is made of.

The replay says which rows are valid; a sampler draws among them and says how much each draw weighs. The
uniform sampler needs no memory of its own. A prioritized one (prioritized_sampler.py) keeps its priorities up
to date through ``on_new`` and ``on_invalid``, and has ``update_priorities`` called after each update.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

NUM_REJECTION_ROUNDS = 8
"""Rounds of rejection before the valid rows are listed; a replay of usual episodes needs one."""


class Draw(NamedTuple):
    """B rows, drawn with replacement, and their importance weights."""

    rows: Int64[np.ndarray, "B"]
    weight: Float32[np.ndarray, "B"]


@runtime_checkable
class Sampler(Protocol):
    """Draws valid rows. Rows of lane l and slot s are numbered l L + s."""

    def required_bytes(self, num_rows: int) -> int:
        """Bytes that it takes on the host for that many rows."""

    def allocate(self, num_rows: int) -> None:
        """Take the memory for that many rows, none of them valid."""

    def on_new(self, rows: Int64[np.ndarray, "K"]) -> None:
        """These rows have become valid."""

    def on_invalid(self, rows: Int64[np.ndarray, "K"]) -> None:
        """These rows are no longer valid (some may not have been before)."""

    def draw(
        self,
        batch_size: int,
        *,
        valid: Bool[np.ndarray, "N L"],
        num_filled: int,
        generator: torch.Generator,
    ) -> Draw:
        """B valid rows, of slots below ``num_filled`` (all others are unwritten); ValueError if none is."""

    def set_importance_exponent(self, exponent: float) -> None:
        """Weigh draws with this beta from now on: 1 makes up for their probabilities in full, 0 not at all."""

    def update_priorities(self, index: Int64[Tensor, "B"], priority: Float32[Tensor, "B"]) -> None:
        """Note how surprising these transitions were (|td_error|, or what the loss reports)."""

    def state_dict(self) -> dict[str, Tensor]:
        """What must be saved, the validity of rows excepted."""

    def load_state_dict(self, state: dict[str, Any], *, valid: Bool[np.ndarray, "R"]) -> None:
        """Take over what was saved, after ``allocate``; ``valid`` says which rows may be drawn.

        Raises:
            ConfigurationError: the state is damaged.
        """


class UniformSampler:
    """Every valid transition with the same probability, independently: weight 1."""

    def required_bytes(self, num_rows: int) -> int:
        """Nothing."""
        return 0

    def allocate(self, num_rows: int) -> None:
        """Nothing to allocate."""

    def on_new(self, rows: Int64[np.ndarray, "K"]) -> None:
        """Nothing to note."""

    def on_invalid(self, rows: Int64[np.ndarray, "K"]) -> None:
        """Nothing to note."""

    def draw(
        self,
        batch_size: int,
        *,
        valid: Bool[np.ndarray, "N L"],
        num_filled: int,
        generator: torch.Generator,
    ) -> Draw:
        """Draw written rows and keep the valid ones, which is uniform over the valid rows.

        Args:
            batch_size: B.
            valid: which rows may be drawn.
            num_filled: slots of a lane that were written, in the longest lane.
            generator: on the host; the only source of chance.

        Raises:
            ValueError: no row is valid.
        """
        num_lanes, num_slots = valid.shape
        flat_valid = valid.reshape(-1)
        accepted = np.empty(0, np.int64)
        for _ in range(NUM_REJECTION_ROUNDS if num_filled else 0):
            # Twice as many as needed: rarely are half of the rows invalid, so that one round does.
            draws = torch.randint(num_lanes * num_filled, (2 * batch_size,), generator=generator).numpy()
            candidates = draws // num_filled * num_slots + draws % num_filled
            accepted = np.concatenate([accepted, candidates[flat_valid[candidates]]])
            if len(accepted) >= batch_size:
                break
        else:
            # Listing all valid rows is slow and exact: it bounds the time however few are valid.
            listed = np.flatnonzero(flat_valid)
            if len(listed) == 0:
                raise ValueError("the replay holds no complete transition yet: add agent steps before sampling")
            accepted = listed[torch.randint(len(listed), (batch_size,), generator=generator).numpy()]
        return Draw(accepted[:batch_size], np.ones(batch_size, np.float32))

    def set_importance_exponent(self, exponent: float) -> None:
        """All draws have one probability: there is nothing to make up for."""

    def update_priorities(self, index: Int64[Tensor, "B"], priority: Float32[Tensor, "B"]) -> None:
        """Uniform sampling has no priorities."""

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing to save."""
        return {}

    def load_state_dict(self, state: dict[str, Any], *, valid: Bool[np.ndarray, "R"]) -> None:
        """Nothing to load."""

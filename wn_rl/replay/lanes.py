"""Rings of observations, one lane per environment: which row a position has, and what a new frame overwrites.

A lane numbers its observations 0, 1, 2, … for ever (*positions*); the last L of them lie in its L slots. Each
observation takes one slot for its newest frame, in order: an episode's first frame, then one per agent
step, the final observation included. So the observation k agent steps after the one at position p is
always at p + k, and a stack is the last S positions, of which those before the episode's first read as
zeros.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from wn_rl.errors import ConfigurationError
from wn_rl.replay.columns import Columns
from wn_rl.replay.saved_state import copy_array


class Lanes:
    """N rings of L slots; slot s of lane l is row l L + s, and row N L is the storage's zero row.

    Args:
        num_lanes: N.
        num_slots: L.
        stack_size: S, frames in an observation.
    """

    def __init__(self, *, num_lanes: int, num_slots: int, stack_size: int) -> None:
        self.num_lanes = num_lanes
        self.num_slots = num_slots
        self.stack_size = stack_size
        self.heads: Int64[np.ndarray, "N"] = np.zeros(num_lanes, np.int64)
        """The position that each lane writes next, that is how many frames it was ever given."""
        self.is_running: Bool[np.ndarray, "N"] = np.zeros(num_lanes, np.bool_)
        self._ages: Int64[np.ndarray, "N"] = np.zeros(num_lanes, np.int64)
        self._bases = np.arange(num_lanes, dtype=np.int64) * num_slots
        self._younger = np.arange(1, stack_size)
        self._stack_offsets = np.arange(stack_size - 1, -1, -1)

    @property
    def num_rows(self) -> int:
        """N L; also the number of the zero row."""
        return self.num_lanes * self.num_slots

    @property
    def num_filled(self) -> int:
        """Slots ever written, in the lane that was given most."""
        return min(int(self.heads.max()), self.num_slots)

    @property
    def tails(self) -> Int64[np.ndarray, "N"]:
        """The oldest position that each lane still stores."""
        return np.maximum(self.heads - self.num_slots, 0)

    def find_recent(self, num_positions: int) -> Int64[np.ndarray, "N num_positions"]:
        """Rows of the newest observations of each lane, the newest first."""
        offsets = np.arange(1, num_positions + 1)
        return self._bases[:, None] + (self.heads[:, None] - offsets) % self.num_slots

    def find_range(self, lane: int, start: int, stop: int) -> Int64[np.ndarray, "K"]:
        """Rows of positions ``start`` to ``stop`` - 1 of a lane."""
        return self._bases[lane] + np.arange(start, stop) % self.num_slots

    def push(
        self, lanes: Int64[np.ndarray, "K"], columns: Columns, *, is_first: bool
    ) -> tuple[Int64[np.ndarray, "K"], Int64[np.ndarray, "M"]]:
        """Give K lanes one more observation each, the first of an episode or the next one.

        Returns:
            The K rows that they take, and M rows that can no longer be sampled: the overwritten ones, and
            those whose stacks reach over an overwritten frame.
        """
        self._ages[lanes] = 0 if is_first else np.minimum(self._ages[lanes] + 1, self.stack_size - 1)
        self.is_running[lanes] = True
        bases, heads = self._bases[lanes], self.heads[lanes]
        rows = bases + heads % self.num_slots
        # The observation j positions after the overwritten one shows it if j older frames are in its
        # stack. In a lane that is not full yet these slots are unwritten, or too young to reach so far.
        younger = bases[:, None] + (heads[:, None] + self._younger) % self.num_slots
        reaching = younger[columns.age[younger] >= self._younger]
        columns.valid[reaching] = False
        columns.begin_rows(rows, self._ages[lanes])
        self.heads[lanes] += 1
        return rows, np.concatenate([rows, reaching])

    def end_episodes(self, mask: Bool[np.ndarray, "N"]) -> None:
        """Note that the episodes of these lanes are over."""
        self.is_running &= ~mask

    def find_windows(
        self, lanes: Int64[np.ndarray, "L"], starts: Int64[np.ndarray, "L"], num_positions: int
    ) -> Int64[np.ndarray, "L W"]:
        """Rows of as many positions from ``starts`` on, in a lane each."""
        slots = (starts[:, None] + np.arange(num_positions)) % self.num_slots
        return self._bases[lanes][:, None] + slots

    def find_next(self, rows: Int64[np.ndarray, "B"], columns: Columns) -> Int64[np.ndarray, "B"]:
        """Rows of s_t, k positions after those of s_tm1."""
        bases = rows // self.num_slots * self.num_slots
        slots = rows - bases
        return bases + (slots + columns.num_steps[rows]) % self.num_slots

    def find_stacks(self, rows: Int64[np.ndarray, "*B"], columns: Columns) -> Int64[np.ndarray, "*B S"]:
        """Rows of the frames, oldest first, of the stacks whose newest frames are in ``rows``."""
        rows, ages = rows[..., None], columns.age[rows]
        bases = rows // self.num_slots * self.num_slots
        frames = bases + (rows - bases - self._stack_offsets) % self.num_slots
        return np.where(self._stack_offsets <= ages[..., None], frames, self.num_rows)

    def state_dict(self) -> dict[str, Tensor]:
        """Heads, ages and whether an episode runs, of every lane."""
        return {
            "heads": torch.from_numpy(self.heads.copy()),
            "ages": torch.from_numpy(self._ages.copy()),
            "is_running": torch.from_numpy(self.is_running.copy()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over every lane.

        Raises:
            ConfigurationError: something is missing, misshapen or impossible.
        """
        copy_array(self.heads, state, "heads")
        copy_array(self._ages, state, "ages")
        copy_array(self.is_running, state, "is_running")
        oldest_age = self.stack_size - 1
        if self.heads.min() < 0 or self._ages.min() < 0 or self._ages.max() > oldest_age:
            raise ConfigurationError("the saved replay's 'heads' or 'ages' are out of range: it is damaged")

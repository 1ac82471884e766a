"""What the replay keeps of an agent step besides its frame, and how many bytes that takes.

A *row* is one place of the replay; it holds one frame (in the frame storage) and one entry of each column.
The columns stay in the memory of the host even where frames are on a GPU: an entry is 12 bytes, drawing and
looking up a minibatch takes microseconds there, and no draw has to wait for the device.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from wn_rl.errors import ConfigurationError
from wn_rl.replay.saved_state import copy_array

BYTES_PER_ROW = 12
"""u8 action, f32 reward, f32 discount, u8 num_steps, u8 age, bool valid."""


class Columns:
    """The columns of R rows; a row whose frame is o_t of an episode holds

    ``action``     a_t, the action taken at o_t,
    ``reward``     Σ_{i<k} γ^i clip(r_{t+1+i}), what the action brought within k agent steps,
    ``discount``   γ^k, or 0 where nothing is to be bootstrapped,
    ``num_steps``  k ≤ n; 0 while no action was taken (the newest observation, and an episode's last),
    ``age``        min(t, S-1), how many older frames of the same episode its stack shows,
    ``valid``      whether the transition is complete, and its frames are all still stored.

    The arrays are zeros that the operating system provides when they are first touched.
    """

    def __init__(self, num_rows: int) -> None:
        self.action: UInt8[np.ndarray, "R"] = np.zeros(num_rows, np.uint8)
        self.reward: Float32[np.ndarray, "R"] = np.zeros(num_rows, np.float32)
        self.discount: Float32[np.ndarray, "R"] = np.zeros(num_rows, np.float32)
        self.num_steps: UInt8[np.ndarray, "R"] = np.zeros(num_rows, np.uint8)
        self.age: UInt8[np.ndarray, "R"] = np.zeros(num_rows, np.uint8)
        self.valid: Bool[np.ndarray, "R"] = np.zeros(num_rows, np.bool_)

    def begin_rows(self, rows: Int64[np.ndarray, "K"], ages: Int64[np.ndarray, "K"]) -> None:
        """Make these rows new observations of the given ages, at which no action was taken yet."""
        self.valid[rows] = False
        self.num_steps[rows] = 0
        self.reward[rows] = 0
        self.discount[rows] = 0
        self.action[rows] = 0
        self.age[rows] = ages

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "action": self.action,
            "reward": self.reward,
            "discount": self.discount,
            "num_steps": self.num_steps,
            "age": self.age,
            "valid": self.valid,
        }

    def state_dict(self) -> dict[str, Tensor]:
        """A copy of every column."""
        return {name: torch.from_numpy(array.copy()) for name, array in self._arrays().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over every column.

        Raises:
            ConfigurationError: a column is missing or has another length or dtype.
        """
        for name, array in self._arrays().items():
            copy_array(array, state, name)

    def check(self, *, n_step: int, stack_size: int) -> None:
        """Make sure that what was loaded can be learned from.

        Raises:
            ConfigurationError: a value is none that is ever stored.
        """
        is_sound = (
            bool(np.isfinite(self.reward).all()) and bool(((self.discount >= 0) & (self.discount <= 1)).all())
            and (self.num_steps <= n_step).all() and (self.age < stack_size).all()
        )  # fmt: skip
        if not is_sound:
            raise ConfigurationError("the saved replay's columns are out of range: the checkpoint is damaged")

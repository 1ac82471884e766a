"""From single agent steps to n-step transitions: the only code that knows gamma, n, clipping and life loss.

It answers what r_t and discount_t are. With rewards r_{t+1}, r_{t+2}, … and k ≤ n agent steps looked ahead,

    r_t        = Σ_{i<k} γ^i clip(r_{t+1+i}, -c, c)
    discount_t = γ^k, and 0 if the k-th step was a terminal (or a life loss, where that ends the discount)

(the n-step target of Sutton 1988; clipping and life loss: Mnih et al. 2015, Methods). k = n except near an
end: an episode's last n-1 observations get the k steps that are left. A time limit is no terminal: it
keeps γ^k, and the final observation is bootstrapped from. Nothing is ever summed over the border of an
episode.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from wn_rl.errors import ConfigurationError
from wn_rl.replay.columns import Columns
from wn_rl.replay.replay_settings import ReplaySettings
from wn_rl.replay.saved_state import copy_array
from wn_rl.types import Step


class Accumulator:
    """Completes the transitions of N lanes in place, in the rows of their observations.

    A *pending* row is an observation at which an action was taken, fewer than n agent steps ago, in the
    running episode. The pending rows of a lane are always its newest ones, so that a count per lane is the
    whole state.

    Args:
        settings: n, gamma, c, and whether a lost life counts as a terminal (``nature`` protocol); the episode goes on
            all the same, and stacks reach over the loss.
    """

    def __init__(self, settings: ReplaySettings) -> None:
        self.n_step, self.reward_clip = settings.n_step, settings.reward_clip
        self.life_loss_ends_discount = settings.life_loss_ends_discount
        self.set_gamma(settings.gamma)
        self._offsets = np.arange(self.n_step)
        self._num_pending: Int64[np.ndarray, "N"] = np.zeros(settings.num_lanes, np.int64)

    def set_gamma(self, gamma: float) -> None:
        """Account for the steps from now on with this discount, in [0, 1]; what is complete stays as it is."""
        self._powers = (gamma ** np.arange(self.n_step + 1, dtype=np.float64)).astype(np.float32)

    def add(self, columns: Columns, *, rows: Int64[np.ndarray, "N n"], step: Step) -> Int64[np.ndarray, "K"]:
        """Account for one agent step in every lane.

        Args:
            columns: changed in place: reward, discount and num_steps of the pending rows.
            rows: ``rows[:, i]`` is the row of each lane's observation i agent steps before the one that was
                acted on (so ``rows[:, 0]`` is the latter); entries from before the episode are ignored.
            step: what the environments returned.

        Returns:
            The K rows whose transitions are now complete.
        """
        reward = step.reward
        if self.reward_clip is not None:
            reward = np.clip(reward, -self.reward_clip, self.reward_clip)
        pending = self._offsets <= self._num_pending[:, None]  # [N, n], the row just acted on included
        terminal = step.terminated
        if self.life_loss_ends_discount:
            terminal = terminal | step.life_lost

        lanes, offsets = np.nonzero(pending)
        pending_rows = rows[lanes, offsets]
        columns.reward[pending_rows] += self._powers[offsets] * reward[lanes]
        columns.discount[pending_rows] = np.where(terminal[lanes], np.float32(0), self._powers[offsets + 1])
        columns.num_steps[pending_rows] = offsets + 1

        closed = terminal | step.truncated
        complete = closed[lanes] | (offsets == self.n_step - 1)
        self._num_pending = np.where(closed, 0, np.minimum(self._num_pending + 1, self.n_step - 1))
        return pending_rows[complete]

    def cut(self, rows: Int64[np.ndarray, "N n"]) -> Int64[np.ndarray, "K"]:
        """End every running episode here, as a time limit would; ``rows`` and what is returned as in ``add``.

        ``rows[:, 0]`` is the newest observation, at which no action was taken: it starts no transition.
        """
        pending = (self._offsets >= 1) & (self._offsets <= self._num_pending[:, None])
        self._num_pending[:] = 0
        return rows[pending]

    def state_dict(self) -> dict[str, Tensor]:
        """The number of pending rows of every lane."""
        return {"num_pending": torch.from_numpy(self._num_pending.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the number of pending rows; ConfigurationError if it is missing or impossible."""
        copy_array(self._num_pending, state, "num_pending")
        if self._num_pending.min() < 0 or self._num_pending.max() >= self.n_step:
            raise ConfigurationError("the saved replay's 'num_pending' is out of range: the checkpoint is damaged")

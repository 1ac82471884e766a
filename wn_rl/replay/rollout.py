"""A rollout: what N environments did in the last rounds, learned from once and then forgotten.

As the accumulator does for a replay, it alone knows gamma, clipping and life loss:

    r_t        = clip(r, -c, c)
    discount_t = gamma, and 0 after a terminal (or a life loss, where that ends the discount)
    lambda_t   = lambda, and 0 after a time limit: the next row is another episode's

A time limit is no terminal: its step keeps gamma and the value of the final observation.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, Num
from torch import Tensor

from wn_rl.errors import ConfigurationError
from wn_rl.system.fields import limit, setting, share, whole
from wn_rl.types import ObservationSpec, Step


@dataclass(frozen=True, kw_only=True)
class RolloutSection:
    """The section ``rollout``; what each setting is stands in configs/algorithm/."""

    num_rounds: int = setting(whole(1, 65_536))
    gamma: float = setting(share)
    trace_decay: float = setting(share)
    reward_clip: float | None = setting(limit)


class Rollout:
    """Up to T rounds of N lanes, in the order of play.

    Args:
        settings: T, gamma, lambda, c.
        num_lanes: N.
        observation: what a frame is.
        stack_size: S, frames in an observation.
        life_loss_ends_discount: whether a lost life ends the discount as a terminal does; the episode goes on.
        device: where observations and values are kept.
        memory_size: M, of a network with a memory, which learns from whole lanes.
    """

    def __init__(
        self, settings: RolloutSection, *, num_lanes: int, observation: ObservationSpec, stack_size: int,
        life_loss_ends_discount: bool, device: torch.device, memory_size: int = 0,
    ) -> None:  # fmt: skip
        self.settings, self.num_rounds = settings, 0
        self._shape = (settings.num_rounds, num_lanes)
        self._stack_shape, self._stack_dtype = (stack_size, *observation.shape), observation.torch_dtype
        self._life_loss_ends_discount, self._device = life_loss_ends_discount, device
        self._num_rounds_before, self._memory_size = 0, memory_size

    @property
    def is_full(self) -> bool:
        """Whether T rounds are held."""
        return self.num_rounds == self.settings.num_rounds

    def allocate(self) -> None:
        """Take its memory."""
        self._stacks = torch.zeros((*self._shape, *self._stack_shape), dtype=self._stack_dtype, device=self._device)
        self._actions = torch.zeros(self._shape, dtype=torch.int64)
        self._rewards, self._discounts = torch.zeros((2, *self._shape))
        self._is_cut, self._has_ended = torch.zeros((2, *self._shape), dtype=torch.bool)
        self._values = torch.zeros((2, *self._shape), device=self._device)  # of observations; of final ones
        self._memory = torch.zeros((self._shape[1], self._memory_size), device=self._device)

    def add(
        self, stack: Num[Tensor, "N S *frame"], actions: Int64[np.ndarray, "N"], step: Step,
        memory: Float32[Tensor, "N M"] | None = None,
    ) -> None:  # fmt: skip
        """Store what every lane saw and did, and what that brought; before the first row, what it remembered."""
        reward, clip = step.reward, self.settings.reward_clip
        if clip is not None:
            reward = np.clip(reward, -clip, clip)
        terminal = step.terminated
        if self._life_loss_ends_discount:
            terminal = terminal | step.life_lost
        row = self.num_rounds
        self._stacks[row] = stack
        self._actions[row] = torch.from_numpy(actions)
        self._rewards[row] = torch.from_numpy(reward)
        self._discounts[row] = self.settings.gamma * torch.from_numpy(~terminal)
        self._is_cut[row] = torch.from_numpy(step.truncated)
        self._has_ended[row] = torch.from_numpy(step.ended)
        if memory is not None and row == 0:
            self._memory.copy_(memory)
        self.num_rounds += 1

    def set_values(self, values: Float32[Tensor, "N"], final_values: Float32[Tensor, "N"]) -> None:
        """What the network that acted held of the newest row's observations, and of those that its steps led to.

        The latter count where a time limit ended the episode, and everywhere in the last row of a rollout.
        """
        self._values[:, self.num_rounds - 1] = torch.stack([values, final_values])

    def compute_transitions(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """r_t, discount_t, v_t and lambda_t [T, N] on the device, of the rounds that are held."""
        r_t, discount_t, is_cut = (
            tensor[: self.num_rounds].to(self._device) for tensor in (self._rewards, self._discounts, self._is_cut)
        )
        is_cut[-1] = True
        values, final_values = self._values[:, : self.num_rounds]
        v_t = torch.where(is_cut, final_values, values.roll(-1, dims=0))
        return r_t, discount_t, v_t, self.settings.trace_decay * (~is_cut).float()

    def read(self, rows: Int64[Tensor, "B"]) -> tuple[Num[Tensor, "B S *frame"], Int64[Tensor, "B"]]:
        """Observations and actions by their places in the flattened [T, N]."""
        return self._stacks.flatten(0, 1)[rows.to(self._device)], self._actions.flatten()[rows].to(self._device)

    def find_rows(self, lanes: Int64[Tensor, "L"]) -> Int64[Tensor, "LT"]:
        """The places of all steps of these lanes, one lane after the other."""
        return (lanes.unsqueeze(1) + self._shape[1] * torch.arange(self.num_rounds)).flatten()

    def read_memory(self, lanes: Int64[Tensor, "L"]) -> tuple[Float32[Tensor, "L M"], Bool[Tensor, "L T"]]:
        """What was remembered before the first row, on the device, and where later rows are an episode's first."""
        begins = self._has_ended[: self.num_rounds, lanes].roll(1, dims=0)
        begins[0] = False  # where the memory is zeros already
        return self._memory[lanes.to(self._device)], begins.T

    def clear(self) -> None:
        """Begin anew; what was held can still be sampled until the next round."""
        self._num_rounds_before, self.num_rounds = self.num_rounds, 0

    def sample_states(self, num_states: int, generator: torch.Generator) -> Num[Tensor, "B S *frame"]:
        """Observations drawn with replacement from the rounds that are held, or were before it was cleared."""
        num_rows = (self.num_rounds or self._num_rounds_before) * self._shape[1]
        return self.read(torch.randint(num_rows, (num_states,), generator=generator))[0]

    def state_dict(self) -> dict[str, Tensor]:
        """The values and the memory; all else comes back as the actions are played again (see the collector)."""
        memory = {"memory": self._memory.cpu().clone()} if self._memory_size else {}
        return {"values": self._values[:, : self.num_rounds].cpu().clone(), **memory}

    def check_state_dict(self, state: dict[str, Any], *, num_rounds_played: int) -> None:
        """Make sure that the values of a saved rollout are those of the last rounds of its iteration.

        Raises:
            ConfigurationError: they are not.
        """
        shape = (2, num_rounds_played % self.settings.num_rounds, self._shape[1])
        saved = state["values"]
        if (saved.dtype, saved.layout, tuple(saved.shape)) != (torch.float32, torch.strided, shape):
            raise ConfigurationError(f"the saved rollout's values are {saved.dtype} {tuple(saved.shape)}, not {shape}")
        if self._memory_size:
            memory, shape_of_memory = state["memory"], (self._shape[1], self._memory_size)
            if (memory.dtype, memory.layout, tuple(memory.shape)) != (torch.float32, torch.strided, shape_of_memory):
                raise ConfigurationError(f"the saved rollout's memory is {memory.dtype} {tuple(memory.shape)}")
            if not memory.isfinite().all():
                raise ConfigurationError("the saved rollout's memory is not finite")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the values of the rounds that were played again, and what was remembered before them."""
        self._values[:, : self.num_rounds] = state["values"].to(self._device)
        if self._memory_size:
            self._memory.copy_(state["memory"])

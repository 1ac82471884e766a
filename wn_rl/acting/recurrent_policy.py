"""The policy of a network with a memory: it remembers an episode from its first observation to its newest."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float32, Num
from torch import Tensor

from wn_rl.acting.policies import Policy, PolicyState
from wn_rl.types import ObservationSpec

RecurrentQFunction = Callable[
    [Num[Tensor, "N S *frame"], Float32[Tensor, "N M"]], tuple[Float32[Tensor, "N A"], Float32[Tensor, "N M"]]
]
"""Observations, and what is remembered before them, to Q-values, and to what is remembered after them."""


class RecurrentPolicy(Policy):
    """The greedy policy of a Q-function with a memory, which is zeros where an episode begins.

    What is only observed, and not decided on, leaves no trace in the memory.

    Args:
        q_function: of stacks of frames and what is remembered; called without gradients.
        memory_size: M.
        stack_size, observation, device: see ``Policy``.
    """

    def __init__(
        self, q_function: RecurrentQFunction, *, memory_size: int, stack_size: int, observation: ObservationSpec,
        device: torch.device,
    ) -> None:  # fmt: skip
        super().__init__(cast(Any, q_function), stack_size=stack_size, observation=observation, device=device)
        self._memory_size = memory_size

    def begin(self, num_envs: int) -> PolicyState:
        """The state of N environments before their first observations."""
        memory = torch.zeros(num_envs, self._memory_size, device=self._device)
        return super().begin(num_envs)._replace(memory=memory, next_memory=memory)

    def observe(
        self, frames: Num[np.ndarray, "N *frame"], is_first: Bool[np.ndarray, "N"], state: PolicyState
    ) -> PolicyState:
        """Take in an observation without deciding anything."""
        begins = torch.from_numpy(is_first).to(self._device).unsqueeze(1)
        memory = cast(Tensor, state.next_memory).masked_fill(begins, 0.0)
        return super().observe(frames, is_first, state)._replace(memory=memory, next_memory=memory)

    def _compute_q_values(self, state: PolicyState) -> tuple[Float32[Tensor, "N A"], PolicyState]:
        q_values, memory = cast(RecurrentQFunction, self._q_function)(state.stack, cast(Tensor, state.memory))
        return q_values, state._replace(next_memory=memory)

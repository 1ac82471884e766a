"""Policies: what maps observations to actions, and how training explores."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, Num
from torch import Tensor

from wn_rl.types import ObservationSpec

# What acting sees of a network: observations to Q-values.
QFunction = Callable[[Num[Tensor, "N S *frame"]], Float32[Tensor, "N A"]]


class PolicyState(NamedTuple):
    """What a policy remembers of N running episodes: their newest S frames, the newest last, zeros before the first.

    That of a network with a memory (see recurrent_policy.py) has what is remembered before the newest observation as
    ``memory``, and as ``next_memory`` what is remembered after it.
    """

    stack: Num[Tensor, "N S *frame"]
    memory: Float32[Tensor, "N M"] | None = None
    next_memory: Float32[Tensor, "N M"] | None = None


class Decision(NamedTuple):
    """The greedy actions, on the host, where environments live, and the values that they are the best of."""

    actions: Int64[Tensor, "N"]
    q_values: Float32[Tensor, "N A"]


class Policy:
    """The greedy policy of a Q-function: maps (observation, state) to (decision, state).

    An observation is the newest frame of N environments and where it is the first of an episode. States are never
    written to: each call returns a new one.

    Args:
        q_function: stacks of frames to Q-values; called without gradients.
        stack_size: S, the frames that it sees.
        observation: what a frame is.
        device: where it computes.
    """

    def __init__(
        self, q_function: QFunction, *, stack_size: int, observation: ObservationSpec, device: torch.device
    ) -> None:
        self._q_function = q_function
        self._stack_shape, self._dtype = (stack_size, *observation.shape), observation.torch_dtype
        self._device = device

    def begin(self, num_envs: int) -> PolicyState:
        """The state of N environments before their first observations."""
        return PolicyState(torch.zeros((num_envs, *self._stack_shape), dtype=self._dtype, device=self._device))

    def observe(
        self, frames: Num[np.ndarray, "N *frame"], is_first: Bool[np.ndarray, "N"], state: PolicyState
    ) -> PolicyState:
        """Take in an observation without deciding anything."""
        newest = torch.from_numpy(frames).to(self._device)[:, None]  # [N, 1, *frame]
        stack = torch.cat([state.stack[:, 1:], newest], dim=1)
        if is_first.any():
            started = torch.zeros_like(stack)
            started[:, -1:] = newest
            begins = torch.from_numpy(is_first).to(self._device).view(-1, *(1,) * (stack.dim() - 1))
            stack = torch.where(begins, started, stack)
        return PolicyState(stack)

    def act(
        self, frames: Num[np.ndarray, "N *frame"], is_first: Bool[np.ndarray, "N"], state: PolicyState
    ) -> tuple[Decision, PolicyState]:
        """Decide on an observation: argmax_a Q(s, a), the first of equals."""
        state = self.observe(frames, is_first, state)
        with torch.no_grad():
            q_values, state = self._compute_q_values(state)
        return Decision(q_values.argmax(dim=1).cpu(), q_values), state

    def _compute_q_values(self, state: PolicyState) -> tuple[Float32[Tensor, "N A"], PolicyState]:
        return self._q_function(state.stack), state


def draw_exploration(
    num_envs: int, num_actions: int, epsilon: float, generator: torch.Generator
) -> tuple[Bool[Tensor, "N"], Int64[Tensor, "N"]]:
    """Which environments explore, each with probability epsilon, and with which uniformly random action.

    Every call draws N coins and N actions, whatever the coins say, so that the stream's position depends on the number
    of calls alone.
    """
    explores = torch.rand(num_envs, generator=generator, dtype=torch.float64) < epsilon
    random_actions = torch.randint(num_actions, (num_envs,), generator=generator)
    return explores, random_actions


class Exploration:
    """How training explores: epsilon-greedily, or epsilon-z-greedily with ``max_repeats`` above 1.

    There an exploring action is taken n times in a row, P(n) proportional to 1/n^2 up to ``max_repeats`` (Dabney,
    Ostrovski & Barreto 2021, "Temporally-Extended epsilon-Greedy Exploration"): most are short, a few go far, as
    games ask where single random actions cancel each other out. Repeats go on over the end of an episode.

    As in ``draw_exploration`` the stream's position depends on the number of calls alone.

    Args:
        num_envs: N.
        num_actions: A.
        max_repeats: the most times that an exploring action is taken in a row.
        generator: the stream, on the CPU.
    """

    def __init__(self, *, num_envs: int, num_actions: int, max_repeats: int, generator: torch.Generator) -> None:
        self._num_envs, self._num_actions, self._max_repeats = num_envs, num_actions, max_repeats
        cumulative = (torch.arange(1, max_repeats + 1, dtype=torch.float64) ** -2).cumsum(0)
        self._at_most = cumulative / cumulative[-1]  # P(n <= 1), P(n <= 2), ...
        self._times_left = torch.zeros(num_envs, dtype=torch.int64)
        self._repeated_actions = torch.zeros(num_envs, dtype=torch.int64)
        self.generator = generator

    def choose(self, greedy_actions: Int64[Tensor, "N"], epsilon: float) -> Int64[Tensor, "N"]:
        """Begin to explore with probability epsilon, else take the greedy action, unless an action is repeated."""
        exploration = draw_exploration(self._num_envs, self._num_actions, epsilon, self.generator)
        explores, random_actions = self._repeat(*exploration)
        return torch.where(explores, random_actions, greedy_actions)

    def choose_random(self) -> Int64[Tensor, "N"]:
        """What ``choose`` takes with epsilon 1, whatever is greedy."""
        actions = torch.randint(self._num_actions, (self._num_envs,), generator=self.generator)
        return self._repeat(torch.ones(self._num_envs, dtype=torch.bool), actions)[1]

    def state_dict(self) -> dict[str, Tensor]:
        """The stream, and what is being repeated, where actions are."""
        state = {"generator": self.generator.get_state()}
        if self._max_repeats > 1:
            repeats = {"times_left": self._times_left, "repeated_actions": self._repeated_actions}
            state |= {key: value.clone() for key, value in repeats.items()}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a state that ``is_sound``."""
        self.generator.set_state(state["generator"])
        if self._max_repeats > 1:
            self._times_left.copy_(state["times_left"])
            self._repeated_actions.copy_(state["repeated_actions"])

    def is_sound(self, state: dict[str, Tensor]) -> bool:
        """Whether a saved state can be loaded: it has the parts, shapes and ranges of this one."""
        own = self.state_dict()
        limits = {"times_left": self._max_repeats, "repeated_actions": self._num_actions}
        return state.keys() == own.keys() and all(
            state[key].dtype == value.dtype and state[key].shape == value.shape
            and (key not in limits or bool(((state[key] >= 0) & (state[key] < limits[key])).all()))
            for key, value in own.items()
        )  # fmt: skip

    def _repeat(
        self, explores: Bool[Tensor, "N"], actions: Int64[Tensor, "N"]
    ) -> tuple[Bool[Tensor, "N"], Int64[Tensor, "N"]]:
        """Where environments explore and with which action, counting what is repeated."""
        if self._max_repeats == 1:
            return explores, actions
        uniform = torch.rand(self._num_envs, generator=self.generator, dtype=torch.float64)
        times = 1 + torch.searchsorted(self._at_most, uniform, right=True)
        begins = explores & (self._times_left == 0)
        self._times_left[begins] = times[begins]
        self._repeated_actions[begins] = actions[begins]
        explores = self._times_left > 0
        self._times_left -= explores.long()
        return explores, self._repeated_actions.clone()

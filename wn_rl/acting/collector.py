"""The collector: plays the training environments and returns what they do.

It answers where training data comes from, and how an interrupted run finds its environments again: an
iteration's episodes are an exact function of the seeds it began with and of the actions since, so those two
are the collector's whole state, and loading it plays the actions once more.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, Num
from torch import Tensor

from wn_rl.acting.policies import Decision, Exploration, Policy, PolicyState
from wn_rl.envs.call_order import NUM_SEEDS
from wn_rl.errors import ConfigurationError
from wn_rl.system.seeding import compute_training_seeds
from wn_rl.types import Step, VectorEnvironment

NUM_RECENT_EPISODES = 100
"""Returns of training are reported as the mean over this many games, as the literature does."""


class Round(NamedTuple):
    """One agent step of every environment: what was seen, what was done, what it brought, how ended episodes went on.

    ``state`` is the policy's, with the observation that it acted on. ``step`` is what the environments returned before
    any was reset. ``first_frames`` are the first frames of the episodes that began where ``step.ended`` (other rows
    are to be ignored); None where none did.
    """

    state: PolicyState
    actions: Int64[np.ndarray, "N"]
    step: Step
    first_frames: Num[np.ndarray, "N *frame"] | None


class Collector:
    """Plays N environments, one round at a time, and returns what they do; who learns from it stores it.

    Args:
        environments: the training environments, reset by ``begin_iteration``.
        generator: the stream (on the CPU) that exploration alone is drawn from.
        max_repeats: of an exploring action (see ``Exploration``).
        memory_size: M, of a network with a memory; it cannot be had again from seeds and actions, and is saved.
    """

    def __init__(
        self, *, environments: VectorEnvironment, generator: torch.Generator, max_repeats: int = 1, memory_size: int = 0
    ) -> None:
        self.environments = environments
        num_envs = environments.num_envs
        self.exploration = Exploration(
            num_envs=num_envs, num_actions=environments.num_actions, max_repeats=max_repeats, generator=generator
        )
        self._frames: Num[np.ndarray, "N *frame"] = np.zeros(
            (num_envs, *environments.observation.shape), environments.observation.dtype
        )
        self._is_first = np.ones(num_envs, np.bool_)
        self._policy_state: PolicyState | None = None
        self._memory_shape = (num_envs, memory_size)
        self._seeds = np.zeros(num_envs, np.int64)
        self._actions: list[Int64[np.ndarray, "N"]] = []
        self._running_returns = np.zeros(num_envs, np.float64)
        self._running_lengths = np.zeros(num_envs, np.int64)
        self.recent_returns: deque[float] = deque(maxlen=NUM_RECENT_EPISODES)
        self.recent_lengths: deque[int] = deque(maxlen=NUM_RECENT_EPISODES)
        self.num_episodes = 0
        self.agent_steps = 0  # actions of single environments, warm-up included

    @property
    def num_envs(self) -> int:
        """N, the agent steps of one round."""
        return self.environments.num_envs

    @property
    def every_lane(self) -> Bool[np.ndarray, "N"]:
        """The mask of all environments."""
        return np.ones(self.num_envs, np.bool_)

    def begin_iteration(self, seed: int, iteration: int) -> Num[np.ndarray, "N *frame"]:
        """Start new episodes everywhere, from the run's seed and the iteration's number; return their first frames."""
        self._reset_all(compute_training_seeds(seed, iteration, self.num_envs))
        return self._frames

    def end_iteration(self) -> None:
        """Cut the running episodes: their returns are not counted."""
        self._actions = []

    def begin_round(self, policy: Policy, epsilon: float) -> Decision:
        """Choose an action for every environment and let them step, in threads of their own; return what is greedy."""
        decision, self._policy_state = policy.act(self._frames, self._is_first, self._remember(policy))
        self._send(self.exploration.choose(decision.actions, epsilon).numpy())
        return decision

    def begin_random_round(self, policy: Policy) -> None:
        """Let every environment take a uniformly random action; the policy looks on."""
        self._look_on(policy)
        self._send(self.exploration.choose_random().numpy())

    def end_round(self) -> Round:
        """Wait for the environments, and start new episodes where some ended."""
        step = self.environments.receive()
        self._count(step)
        self.agent_steps += self.num_envs
        return self._follow(step)

    def _remember(self, policy: Policy) -> PolicyState:
        return policy.begin(self.num_envs) if self._policy_state is None else self._policy_state

    def _look_on(self, policy: Policy) -> None:
        self._policy_state = policy.observe(self._frames, self._is_first, self._remember(policy))

    def _send(self, actions: Int64[np.ndarray, "N"]) -> None:
        self.environments.send(actions)
        self._actions.append(actions)

    def _reset_all(self, seeds: Int64[np.ndarray, "N"]) -> None:
        self._seeds = seeds
        self._actions = []
        self._frames, self._is_first = self.environments.reset(seeds=seeds), self.every_lane
        self._running_returns[:] = 0
        self._running_lengths[:] = 0

    def _follow(self, step: Step) -> Round:
        """Go on from a step: reset ended environments."""
        assert self._policy_state is not None  # the round has begun
        self._frames, self._is_first = step.frame, step.ended
        self._running_returns += step.reward
        self._running_lengths += 1
        if not step.ended.any():
            return Round(self._policy_state, self._actions[-1], step, None)
        first_frames = self.environments.reset(mask=step.ended)
        ended = step.ended.reshape(-1, *(1,) * (first_frames.ndim - 1))
        self._frames = np.where(ended, first_frames, step.frame)
        self._running_returns[step.ended] = 0
        self._running_lengths[step.ended] = 0
        return Round(self._policy_state, self._actions[-1], step, first_frames)

    def _count(self, step: Step) -> None:
        for lane in np.flatnonzero(step.ended):
            self.recent_returns.append(float(self._running_returns[lane] + step.reward[lane]))
            self.recent_lengths.append(int(self._running_lengths[lane]) + 1)
            self.num_episodes += 1

    def compute_statistics(self) -> dict[str, float]:
        """Means over the last games of training, under the names that loggers show; empty before the first."""
        if not self.recent_returns:
            return {}
        return {
            "train/mean_return": float(np.mean(self.recent_returns)),
            "train/mean_episode_agent_steps": float(np.mean(self.recent_lengths)),
            "train/episodes": self.num_episodes,
        }

    def state_dict(self) -> dict[str, Any]:
        """Plain containers and tensors: the iteration's seeds and actions, episode counts, the exploration."""
        actions = np.array(self._actions, np.uint8).reshape(-1, self.num_envs)
        return {
            "seeds": torch.from_numpy(self._seeds.copy()),
            "actions": torch.from_numpy(actions),
            "recent_returns": list(self.recent_returns),
            "recent_lengths": list(self.recent_lengths),
            "num_episodes": self.num_episodes,
            "agent_steps": self.agent_steps,
            **({"memory": self._copy_memory()} if self._memory_shape[1] else {}),
            **self.exploration.state_dict(),
        }

    def _copy_memory(self) -> Float32[Tensor, "N M"]:
        if self._policy_state is None or self._policy_state.next_memory is None:
            return torch.zeros(self._memory_shape)
        return self._policy_state.next_memory.detach().cpu().clone()

    def check_state_dict(self, state: dict[str, Any], *, iteration_agent_steps: int) -> None:
        """Make sure that a saved state can be loaded: it may come from a damaged file, or from a stranger.

        Raises:
            ConfigurationError: something is missing, misshapen or out of range, or it holds more actions, all of which
                will be played again, than an iteration has.
        """
        longest = iteration_agent_steps + self.num_envs
        if state["actions"].numel() > longest:
            raise ConfigurationError(f"it holds the actions of more than the {longest} agent steps of an iteration")
        own = self.state_dict()
        if state.keys() != own.keys() or any(type(state[key]) is not type(value) for key, value in own.items()):
            raise ConfigurationError("the saved collector has other parts than this one")
        actions, seeds, memory = state["actions"], state["seeds"], state.get("memory", self._copy_memory())
        is_sound = (
            seeds.dtype == torch.int64 and seeds.shape == (self.num_envs,) and seeds.is_contiguous()
            and int(seeds.min()) >= 0 and int(seeds.max()) < NUM_SEEDS
            and actions.dtype == torch.uint8 and actions.dim() == 2 and actions.shape[1] == self.num_envs
            and actions.is_contiguous() and bool((actions < self.environments.num_actions).all())
            and 0 <= actions.numel() <= state["agent_steps"] < 2**62 and 0 <= state["num_episodes"] < 2**62
            and memory.dtype == torch.float32 and memory.layout == torch.strided
            and memory.shape == self._memory_shape and bool(memory.isfinite().all())
            and self.exploration.is_sound({key: state[key] for key in self.exploration.state_dict()})
            and len(state["recent_returns"]) == len(state["recent_lengths"]) <= NUM_RECENT_EPISODES
            and all(type(value) is float and math.isfinite(value) for value in state["recent_returns"])
            and all(type(value) is int and 0 < value < 2**62 for value in state["recent_lengths"])
        )  # fmt: skip
        if not is_sound:
            raise ConfigurationError("the saved collector does not fit this run's environments, or is damaged")

    def load_state_dict(
        self, state: dict[str, Any], policy: Policy, on_round: Callable[[Round], None] = lambda played: None
    ) -> None:
        """Bring the environments, and what the policy remembers, to where they were, by playing the actions again.

        ``on_round`` is told each round as it was played.
        """
        self._reset_all(state["seeds"].numpy())
        for actions in state["actions"].numpy().astype(np.int64):
            self._look_on(policy)
            self._send(actions)
            on_round(self._follow(self.environments.receive()))
        if "memory" in state:
            remembered = self._remember(policy)
            self._policy_state = remembered._replace(next_memory=state["memory"].to(remembered.stack.device))
        self.recent_returns.extend(state["recent_returns"])
        self.recent_lengths.extend(state["recent_lengths"])
        self.num_episodes, self.agent_steps = state["num_episodes"], state["agent_steps"]
        self.exploration.load_state_dict(state)

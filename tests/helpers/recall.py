"""A T-maze, which no agent solves that does not remember: what is to be done at the junction was shown at the entrance.

It keeps the contract of ``wn_rl.types.VectorEnvironment``. Bakker 2002, "Reinforcement learning with long short-term
memory", Section 4, with a walk that leads to the junction whatever one does.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from wn_rl.acting.evaluator import evaluate_agent
from wn_rl.acting.policies import Policy
from wn_rl.envs.call_order import CallOrder
from wn_rl.envs.protocols import Protocol
from wn_rl.networks.q_network import QNetwork
from wn_rl.nn.folding import make_folded
from wn_rl.runs.agent import make_q_function
from wn_rl.types import ObservationSpec, Step

LEFT, RIGHT = 0, 1
OBSERVATION = ObservationSpec((4, 4), "uint8")


class TMazes:
    """N mazes: a sign, left or right, at the entrance; a corridor of ``num_steps`` - 2 cells; the junction.

    Going where the sign said pays 1 there, and going elsewhere -1; all else pays 0. So the best return without a memory
    is 0, and with one 1. Frames show the sign in their first or second row, the junction in the last; the corridor is
    dark.

    Arguments:
        num_envs: N.
        num_steps: agent steps of an episode.
    """

    action_names: tuple[str, ...] = ("LEFT", "RIGHT")
    num_actions = 2

    def __init__(self, *, num_envs: int, num_steps: int) -> None:
        self.num_envs, self.observation, self._num_steps = num_envs, OBSERVATION, num_steps
        self._order = CallOrder(num_envs=num_envs, num_actions=self.num_actions)
        self._generators = [np.random.default_rng(0) for _ in range(num_envs)]  # replaced by the first reset
        self._signs = np.zeros(num_envs, np.int64)
        self._places = np.zeros(num_envs, np.int64)

    def reset(
        self, *, seeds: Int64[np.ndarray, "K"] | None = None, mask: Bool[np.ndarray, "N"] | None = None
    ) -> UInt8[np.ndarray, "N H W"]:
        """Start new episodes where ``mask`` says so; raises what ``CallOrder.begin_reset`` raises."""
        lanes = np.flatnonzero(self._order.begin_reset(seeds, mask))
        if seeds is not None:
            for lane, seed in zip(lanes, seeds, strict=True):
                self._generators[lane] = np.random.default_rng(int(seed))
        for lane in lanes:
            self._signs[lane] = self._generators[lane].integers(2)
        self._places[lanes] = 0
        return self._render()

    def send(self, actions: Int64[np.ndarray, "N"]) -> None:
        """Take one action each; raises what ``CallOrder.begin_send`` raises."""
        self._order.begin_send(actions)
        self._actions = actions.astype(np.int64)

    def receive(self) -> Step:
        """Return the step that was sent; RuntimeError where nothing was."""
        self._order.begin_receive()
        self._places += 1
        terminated = self._places == self._num_steps
        reward = np.where(terminated, np.where(self._actions == self._signs, 1.0, -1.0), 0.0).astype(np.float32)
        nowhere = np.zeros(self.num_envs, np.bool_)
        self._order.end_receive(terminated)
        return Step(self._render(), reward, terminated, nowhere, nowhere)

    def close(self) -> None:
        """Let every later call fail."""
        self._order.close()

    def _render(self) -> UInt8[np.ndarray, "N H W"]:
        frames = np.zeros((self.num_envs, *OBSERVATION.shape), np.uint8)
        at_entrance = self._places == 0
        frames[at_entrance, self._signs[at_entrance]] = 255
        frames[self._places == self._num_steps - 1, 3] = 255
        return frames


PROTOCOL = Protocol(
    name="mazes", repeat_action_probability=0.0, noop_max=0, use_fire_reset=False, life_loss_ends_discount=False,
    full_action_space=False, max_episode_frames=48, frame_skip=4,
)  # fmt: skip


def play_mazes(network: QNetwork, make_policy: Callable[[Any], Policy], *, num_steps: int) -> float:
    """The mean return of 100 games, without exploration; ``make_policy`` is told a Q-function."""
    records = evaluate_agent(
        policy=make_policy(make_q_function(make_folded(network))),
        environments=TMazes(num_envs=20, num_steps=num_steps),
        game="Pong", protocol=PROTOCOL, num_episodes=100, epsilon=0.0, seed=9, on_episode=None,
    )  # fmt: skip
    return sum(record.episode_return for record in records) / len(records)

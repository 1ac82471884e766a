"""What ``wn_rl.make_env`` shows is what agents were trained on, with ALE's vector environment as the other opinion."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import tests.helpers.gymnasium_toys  # noqa: F401  # registers them
from tests.helpers.scalar_atari import MACHADO, NATURE, ODD
from wn_rl.acting.policies import Policy
from wn_rl.envs.gymnasium_environments import GymnasiumEnvironments
from wn_rl.envs.gymnasium_wrappers import make_gymnasium_env
from wn_rl.envs.protocols import GymnasiumProtocol, Protocol
from wn_rl.envs.selection import make_environments

STACK_SIZE = 3


def set_emulator_seed(env: gymnasium.Env[Any, Any], seed: int) -> None:
    """Of the emulator itself: Gymnasium would draw another one from it."""
    ale = env.unwrapped.ale  # type: ignore[attr-defined]
    ale.setInt("random_seed", seed)
    env.unwrapped.load_game()  # type: ignore[attr-defined]


@pytest.mark.parametrize("protocol", [MACHADO, ODD], ids=lambda protocol: protocol.name)
def test_stacks_rewards_and_ends_are_those_of_training(protocol: Protocol) -> None:
    environments = make_environments("Breakout", protocol, num_envs=1, num_threads=1)
    env = make_gymnasium_env("Breakout", protocol, stack_size=STACK_SIZE, render_mode=None)
    policy = Policy(
        lambda stack: torch.zeros(len(stack), environments.num_actions), stack_size=STACK_SIZE,
        observation=environments.observation, device=torch.device("cpu"),
    )  # fmt: skip
    frames, state, is_first = environments.reset(seeds=np.array([7])), policy.begin(1), np.ones(1, np.bool_)
    num_start_frames = int(environments.episode_start_frames[0])
    set_emulator_seed(env, 7)
    env.get_wrapper_attr("np_random")
    env.unwrapped._np_random = FixedDraws(num_start_frames)  # type: ignore[assignment]
    stack, _ = env.reset()
    generator = np.random.default_rng(0)
    for _ in range(60):
        _, state = policy.act(frames, is_first, state)
        np.testing.assert_array_equal(stack, state.stack[0].numpy())
        action = int(generator.integers(environments.num_actions))
        environments.send(np.array([action]))
        step = environments.receive()
        stack, reward, terminated, truncated, _ = env.step(action)
        assert (reward, terminated, truncated) == (step.reward[0], step.terminated[0], step.truncated[0])
        frames, is_first = step.frame, step.ended
        if terminated:
            break
    environments.close()


class FixedDraws:
    """Takes the place of the environment's generator, for the number of start frames."""

    def __init__(self, number: int) -> None:
        self._number = number

    def integers(self, bound: int) -> int:
        assert self._number < bound
        return self._number


def test_an_episode_begins_with_none_to_all_of_the_no_ops_and_ends_at_the_time_limit() -> None:
    values = {"name": "short", "noop_max": 2, "max_episode_frames": 40, "frame_skip": 4}
    protocol = Protocol(**{**NATURE.__dict__, **values})
    env = make_gymnasium_env("Breakout", protocol, stack_size=1, render_mode=None)
    assert {env.reset(seed=seed)[1]["episode_frame_number"] for seed in range(12)} == {0, 1, 2}
    ends = [env.step(0)[3] for _ in range(10)]
    assert ends == [False] * 9 + [True]


@pytest.mark.parametrize(("name", "stack_size"), [("Corridor-v0", 2), ("Gray-v0", 1)])
def test_images_and_actions_are_those_of_training(name: str, stack_size: int) -> None:
    protocol = GymnasiumProtocol(name="gymnasium", max_episode_agent_steps=4, kwargs={"length": 9})
    environments = GymnasiumEnvironments(game=name, protocol=protocol, num_envs=1)
    env = make_gymnasium_env(name, protocol, stack_size=stack_size, render_mode=None)
    assert env.action_space == gymnasium.spaces.Discrete(2)
    frames, (observation, _) = environments.reset(seeds=np.array([5])), env.reset(seed=5)
    for number in range(4):
        assert env.observation_space.contains(observation)
        newest = observation if stack_size == 1 else observation[-1]
        np.testing.assert_array_equal(newest, frames[0])
        environments.send(np.array([1]))
        step = environments.receive()
        observation, reward, terminated, truncated, _ = env.step(1)
        assert (
            (reward, terminated, truncated) == (2.0, False, number == 3) == (step.reward[0], False, step.truncated[0])
        )
        frames = step.frame

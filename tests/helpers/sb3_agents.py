"""Agents of Stable-Baselines3 with drawn weights, and frames of a real game for them."""

from functools import cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from wn_rl.acting.policies import Policy
from wn_rl.envs.atari import OBSERVATION, AtariEnvironments
from wn_rl.interop.sb3_reader import PROTOCOL
from wn_rl.nn.folding import make_folded
from wn_rl.runs.agent import FORMAT, Agent, make_network

NUM_ACTIONS = {"Pong": 6, "Breakout": 4}


class Spaces(gymnasium.Env[Any, Any]):
    def __init__(self, num_actions: int, frame_shape: tuple[int, int] = (84, 84)) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, (4, *frame_shape), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(num_actions)


def make_sb3_model(kind: Any, *, game: str = "Pong", **policy_kwargs: Any) -> Any:
    """``kind``: DQN or QRDQN, the classes."""
    model = kind(
        "CnnPolicy", Spaces(NUM_ACTIONS[game]), buffer_size=1, device="cpu", seed=0, policy_kwargs=policy_kwargs or None
    )
    add_noise_(model.policy)
    model.num_timesteps = 1234
    return model


@torch.no_grad()
def add_noise_(network: torch.nn.Module) -> None:
    """Make Q-values of different actions and states differ, and no bias 0."""
    generator = torch.Generator().manual_seed(4)
    for parameter in network.parameters():
        parameter += 0.02 * torch.randn(parameter.shape, generator=generator)


@cache
def play_frames(num_observations: int = 64) -> torch.Tensor:
    """Stacks of a real game of Pong under random actions, u8 [B, 4, 84, 84]."""
    environments = AtariEnvironments(game="Pong", protocol=PROTOCOL, num_envs=1, num_threads=1)
    generator = np.random.default_rng(0)
    frames = environments.reset(seeds=np.array([3]))
    policy = Policy(lambda stacks: stacks, stack_size=4, observation=OBSERVATION, device=torch.device("cpu"))
    state = policy.observe(frames, np.array([True]), policy.begin(1))
    stacks = [state.stack]
    while len(stacks) < num_observations:
        environments.send(generator.integers(NUM_ACTIONS["Pong"], size=1))
        state = policy.observe(environments.receive().frame, np.array([False]), state)
        stacks.append(state.stack)
    environments.close()
    return torch.cat(stacks)


def make_agent(*, normalizer: str = "weight_norm", agent_steps: int = 1234, **network: Any) -> Agent:
    """An agent of Pong whose network has drawn weights; the Nature network with a linear head, if nothing is said."""
    description = {
        "format": FORMAT, "game": "Pong", "protocol": vars(PROTOCOL), "agent_steps": agent_steps,
        "network": {
            "torso": "nature", "head": "linear", "hidden_units": 32, "stack_size": 4, "normalizer": normalizer,
            "num_actions": NUM_ACTIONS["Pong"], "observation": {"shape": [84, 84], "dtype": "uint8"}, **network,
        },
    }  # fmt: skip
    made = make_network(description["network"], torch.Generator().manual_seed(6))
    add_noise_(made)
    return Agent(description=description, network=make_folded(made).eval(), source=Path("drawn"))

"""An agent with a memory, from its folder: every command carries what it remembers, and its games are exact."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.configurations import compose_config
from wn_rl.acting.evaluator import evaluate_agent
from wn_rl.acting.policies import Policy
from wn_rl.app.player import Player, load_player, play_episodes
from wn_rl.envs.atari import AtariEnvironments
from wn_rl.envs.protocols import Protocol
from wn_rl.envs.rendering import EpisodeRecord, render_episode
from wn_rl.errors import ConfigurationError
from wn_rl.networks.episode_memory import Memory
from wn_rl.networks.q_network import QNetwork
from wn_rl.runs.agent import FORMAT, load_agent, make_network, save_agent
from wn_rl.viewing.commentator import Commentator
from wn_rl.viewing.live_game import LiveGame

PROTOCOL = Protocol(
    name="machado", repeat_action_probability=0.25, noop_max=0, use_fire_reset=False, life_loss_ends_discount=False,
    full_action_space=False, max_episode_frames=80, frame_skip=4,
)  # fmt: skip
NETWORK: dict[str, Any] = {
    "torso": "small", "head": "linear", "hidden_units": 16, "stack_size": 1, "memory": "lstm", "memory_units": 8,
    "normalizer": "weight_norm", "num_actions": 6, "observation": {"shape": [84, 84], "dtype": "uint8"},
}  # fmt: skip


def make_wavering_network(memory: str) -> QNetwork:
    """Its values depend on what it remembers, more than on what it sees, and its actions change from step to step."""
    network = make_network({**NETWORK, "memory": memory}, torch.Generator().manual_seed(2))
    assert isinstance(network.memory, Memory)
    with torch.no_grad():
        for name, parameter in network.memory.layer.named_parameters():
            parameter.mul_(8.0 if name.startswith("g_hh") else 1.0)
    return network


@pytest.fixture(params=["lstm", "gru"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    network = make_wavering_network(request.param)
    description = {
        "format": FORMAT, "game": "Pong", "protocol": asdict(PROTOCOL), "agent_steps": 0,
        "network": {**NETWORK, "memory": request.param},
    }  # fmt: skip
    save_agent(tmp_path / "agent", network, description)
    return tmp_path / "agent"


def play(folder: Path) -> tuple[Player, list[EpisodeRecord]]:
    words = [f"agent={folder}", "episodes=2", "num_envs=2", "epsilon=0", "num_threads=1", "num_env_threads=1"]
    config = compose_config("evaluate", *words)
    player = load_player(config)
    return player, play_episodes(player, config)


def play_and_forget(player: Player) -> EpisodeRecord:
    """The first game, by an agent that remembers nothing."""
    network = player.agent.network
    policy = Policy(
        lambda stack: network(stack).q_values, stack_size=1, observation=player.agent.observation, device=player.device
    )
    environments = AtariEnvironments(game="Pong", protocol=PROTOCOL, num_envs=2, num_threads=1)
    records = evaluate_agent(
        policy=policy, environments=environments, game="Pong", protocol=PROTOCOL, num_episodes=2, epsilon=0.0, seed=1,
        on_episode=None,
    )  # fmt: skip
    environments.close()
    return records[0]


def test_a_game_is_played_the_same_evaluated_live_and_under_an_overlay(folder: Path) -> None:
    player, records = play(folder)
    assert [record.actions.tolist() for record in play(folder)[1]] == [record.actions.tolist() for record in records]
    record = records[0]
    assert play_and_forget(player).actions.tolist() != record.actions.tolist()
    live = LiveGame(game="Pong", protocol=PROTOCOL, seed=record.seed, policy=player.make_policy(), epsilon=0.0)
    assert len(list(live.play())) > len(record.actions)
    assert live.actions == record.actions.tolist()
    commentator = Commentator(
        game="Pong", protocol=PROTOCOL, find_action=lambda step: int(record.actions[step]),
        view=player.make_view(has_saliency=False),
    )  # fmt: skip
    for _ in commentator.paint(render_episode(record), scale=3):
        pass
    assert commentator._make_moment(0, 0).memory_norm == float(commentator._policy_state.next_memory.norm()) > 0
    assert commentator._q_values[: len(record.actions)].argmax(axis=1).tolist() == record.actions.tolist()


def test_saliency_is_of_the_value_by_what_is_remembered(folder: Path) -> None:
    player, _ = play(folder)
    saliency = player.make_view(has_saliency=True).saliency_function
    assert saliency is not None
    policy = player.make_policy()
    frame, is_first = np.full((1, 84, 84), 60, np.uint8), np.array([True])
    _, state = policy.act(frame, is_first, policy.begin(1))
    assert state.next_memory is not None
    first, later = (saliency(state.stack[0], 1, memory) for memory in (None, state.next_memory[0]))
    assert (first - later).abs().max() > 1e-6
    torch.testing.assert_close(saliency(state.stack[0], 1, torch.zeros_like(state.next_memory[0])), first)


def test_a_folder_has_the_network_that_was_saved(folder: Path) -> None:
    loaded = load_agent(folder)
    memory = loaded.description["network"]["memory"]
    network, frames = make_wavering_network(memory), torch.randint(256, (3, 1, 84, 84), dtype=torch.uint8)
    expected = network(frames, memory=network(frames).memory)
    found = loaded.network(frames, memory=loaded.network(frames).memory)
    torch.testing.assert_close((found.q_values, found.memory), (expected.q_values, expected.memory))


@pytest.mark.parametrize("memory_units", [0, -1, 2.0, None])
def test_a_description_of_an_impossible_memory_is_refused(folder: Path, memory_units: Any) -> None:
    agent = load_agent(folder)
    network = {**agent.description["network"], "memory_units": memory_units}
    save_agent(folder, agent.network, {**agent.description, "network": network})
    with pytest.raises(ConfigurationError, match="its network cannot have the sizes"):
        load_agent(folder)

"""Games as a data set of Minari: every frame as the agent saw it, and the rewards of the game itself."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.sb3_agents import make_agent
from wn_rl.acting.evaluator import evaluate_agent
from wn_rl.envs.protocols import load_protocol
from wn_rl.envs.rendering import EpisodeRecord
from wn_rl.envs.selection import make_environments
from wn_rl.errors import ConfigurationError
from wn_rl.interop.minari_sets import save_data_set
from wn_rl.runs.agent import Agent

minari = pytest.importorskip("minari")
pytest.importorskip("h5py")


@pytest.fixture(scope="module")
def agent() -> Agent:
    drawn = make_agent(torso="mlp", hidden_units=4)
    protocol = {**drawn.description["protocol"], "max_episode_frames": 80, "repeat_action_probability": 0.25}
    return dataclasses.replace(drawn, description={**drawn.description, "protocol": protocol})


@pytest.fixture(scope="module")
def records(agent: Agent) -> list[EpisodeRecord]:
    protocol = load_protocol(agent.description["protocol"])
    environments = make_environments("Pong", protocol, num_envs=2, num_threads=1)
    try:
        return evaluate_agent(
            policy=agent.make_policy(torch.device("cpu")), environments=environments, game="Pong", protocol=protocol,
            num_episodes=3, epsilon=0.5, seed=1, on_episode=None,
        )  # fmt: skip
    finally:
        environments.close()


@pytest.fixture(autouse=True)
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return tmp_path


def test_a_data_set_has_every_frame_and_reward_of_the_games(
    agent: Agent, records: list[EpisodeRecord], sets: Path
) -> None:
    folder = save_data_set("pong/wn-rl-v0", agent, records)
    assert folder.is_relative_to(sets)
    data = minari.load_dataset("pong/wn-rl-v0")
    assert (data.total_episodes, data.total_steps) == (3, 60)
    environments = make_environments("Pong", load_protocol(agent.description["protocol"]), num_envs=1, num_threads=1)
    for record, episode in zip(records, data.iterate_episodes(), strict=True):
        frames = [environments.reset(seeds=np.array([record.seed]))[0]]
        for action, reward in zip(record.actions, episode.rewards, strict=True):
            environments.send(np.array([action], np.int64))
            step = environments.receive()
            frames.append(step.frame[0])
            assert step.reward[0] == reward
        np.testing.assert_array_equal(episode.observations, np.stack(frames))
        assert episode.actions.tolist() == record.actions.tolist()
        assert episode.truncations.tolist() == [False] * 19 + [True]
        assert not episode.terminations.any()
    environments.close()
    assert '"repeat_action_probability": 0.25' in data.storage.metadata["description"]
    with pytest.raises(ConfigurationError, match=r"output=pong/wn-rl-v0 is there already"):
        save_data_set("pong/wn-rl-v0", agent, records)


def test_a_game_that_plays_otherwise_leaves_no_data_set(agent: Agent, records: list[EpisodeRecord], sets: Path) -> None:
    forged = dataclasses.replace(records[1], episode_return=100.0)
    with pytest.raises(ConfigurationError, match=r"returned 100 in 20 agent steps, and .* when played again"):
        save_data_set("pong-v0", agent, [records[0], forged])
    assert not list(sets.rglob("*.hdf5"))
    assert not (sets / "pong-v0").exists()


def test_games_that_do_not_fit_are_refused(agent: Agent, records: list[EpisodeRecord], sets: Path) -> None:
    other = dataclasses.replace(records[1], game="Boxing")
    for games in ([other], [records[0], other]):
        with pytest.raises(ConfigurationError, match="of one game under one protocol: the agent plays Pong"):
            save_data_set("pong-v0", agent, games)
    with pytest.raises(ConfigurationError, match="name it as in output=pong/wn-rl-v0"):
        save_data_set("no name", agent, records)
    assert not list(sets.iterdir())

"""Is a stored episode played again frame by frame, and refused where it cannot be?"""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.scalar_atari import MACHADO, NATURE, ODD
from wn_rl.acting.evaluator import evaluate_agent
from wn_rl.acting.policies import Policy
from wn_rl.envs.atari import OBSERVATION, AtariEnvironments
from wn_rl.envs.protocols import Protocol
from wn_rl.envs.rendering import EpisodeRecord, load_episode, render_episode, save_episode
from wn_rl.errors import ConfigurationError
from wn_rl.types import Step

NUM_ACTIONS = {"machado": 4, "nature": 6, "odd": 18}


def play_episode(game: str, protocol: Protocol, *, epsilon: float, seed: int = 2) -> EpisodeRecord:
    """Record one game of an agent that prefers action 1, FIRE."""

    def prefer_fire(observation: torch.Tensor) -> torch.Tensor:
        q_values = torch.zeros(len(observation), NUM_ACTIONS[protocol.name])
        q_values[:, 1] = 1.0
        return q_values

    environments = AtariEnvironments(game=game, protocol=protocol, num_envs=1, num_threads=1)
    records = evaluate_agent(
        policy=Policy(prefer_fire, stack_size=4, observation=OBSERVATION, device=torch.device("cpu")),
        environments=environments,
        game=environments.game,
        protocol=protocol,
        num_episodes=1,
        epsilon=epsilon,
        seed=seed,
        on_episode=None,
    )
    environments.close()
    return records[0]


def replay_in_environments(record: EpisodeRecord) -> tuple[np.ndarray, int, list[Step]]:
    """Play a record in the vector environment: the first frame, the starting frames, the steps."""
    protocol = Protocol.from_values(record.protocol_values)
    environments = AtariEnvironments(game=record.game, protocol=protocol, num_envs=1, num_threads=1)
    first_frame = environments.reset(seeds=np.array([record.seed]))[0]
    steps = []
    for action in record.actions:
        environments.send(np.array([action], dtype=np.int64))
        steps.append(environments.receive())
    num_start_frames = int(environments.episode_start_frames[0])
    environments.close()
    return first_frame, num_start_frames, steps


def limit(protocol: Protocol, agent_steps: int) -> Protocol:
    return dataclasses.replace(protocol, max_episode_frames=agent_steps * protocol.frame_skip)


@pytest.mark.parametrize(
    ("game", "protocol", "seed", "num_last_frames"),
    [
        ("Breakout", MACHADO, 5, 4),  # over in the last frame of an agent step, whose screen is not read
        pytest.param("Breakout", MACHADO, 9, 3, marks=pytest.mark.slow),  # ... in the last but one
        ("Pong", limit(NATURE, 75), 2, 4),  # points are lost
        ("Breakout", limit(ODD, 40), 2, 3),
    ],
    ids=["machado", "machado-earlier", "nature", "odd"],
)
def test_rendered_frames_are_those_that_were_played(
    game: str, protocol: Protocol, seed: int, num_last_frames: int
) -> None:
    record = play_episode(game, protocol, epsilon=0.4, seed=seed)
    assert record.ended_by == ("truncated" if protocol.max_episode_agent_steps < 100 else "terminated")
    first_frame, num_start_frames, steps = replay_in_environments(record)
    frames = list(render_episode(record))

    start = [frame for frame in frames if frame.agent_step == -1]
    assert len(start) == num_start_frames + 1
    assert all(frame.observation_frame is None for frame in start[:-1])
    np.testing.assert_array_equal(start[-1].observation_frame, first_frame)

    for agent_step, step in enumerate(steps):
        played = [frame for frame in frames if frame.agent_step == agent_step]
        is_end = agent_step == len(steps) - 1
        assert len(played) == (num_last_frames if is_end else protocol.frame_skip)
        assert sum(frame.reward for frame in played) == step.reward[0]
        assert [frame.observation_frame is not None for frame in played] == [False] * (len(played) - 1) + [True]
        np.testing.assert_array_equal(played[-1].observation_frame, step.frame[0])
    assert [frame.agent_step for frame in frames] == sorted(frame.agent_step for frame in frames)
    assert sum(frame.reward for frame in frames) == record.episode_return
    if record.ended_by == "terminated":
        assert {frame.lives for frame in frames} == {0, 1, 2, 3, 4, 5}


@pytest.fixture(scope="module")
def short_record() -> EpisodeRecord:
    return play_episode("Breakout", limit(MACHADO, 25), epsilon=0.2)


def test_pictures_are_in_full_color_and_move(short_record: EpisodeRecord) -> None:
    frames = list(render_episode(short_record))
    assert len(frames) == 1 + short_record.num_frames
    assert all(frame.rgb.shape == (210, 160, 3) and frame.rgb.dtype == np.uint8 for frame in frames)
    colors = {tuple(color) for color in frames[-1].rgb.reshape(-1, 3).tolist()}
    assert any(len(set(color)) > 1 for color in colors), "only grays"
    assert any((a.rgb != b.rgb).any() for a, b in itertools.pairwise(frames))


@pytest.mark.parametrize("change", [{"episode_return": 1000.0}, {"num_agent_steps": 26}])
def test_an_episode_that_returns_something_else_is_refused_at_its_end(
    short_record: EpisodeRecord, change: dict[str, float]
) -> None:
    record = dataclasses.replace(short_record, **change)
    frames = render_episode(record)
    shown = list(itertools.islice(frames, 1 + 25 * 4))
    assert len(shown) == 1 + 25 * 4
    with pytest.raises(ConfigurationError, match=r"^the episode of Breakout with seed \d+ returned .* ale-py"):
        next(frames)


def make_record() -> EpisodeRecord:
    return EpisodeRecord(
        game="Breakout",
        protocol_name="machado",
        protocol_values=dataclasses.asdict(MACHADO),
        seed=2**31 - 1,
        actions=np.array([0, 1, 2, 3], dtype=np.uint8),
        episode_return=3.0,
        num_agent_steps=4,
        num_frames=16,
        ended_by="truncated",
    )


def test_fire_at_the_start_is_played_again() -> None:
    """One frame of FIRE serves Breakout's ball, which shows some no-ops later."""
    protocol = dataclasses.replace(ODD, noop_max=30, repeat_action_probability=0.0)
    record = dataclasses.replace(
        make_record(),
        protocol_name=protocol.name,
        protocol_values=dataclasses.asdict(protocol),
        actions=np.zeros(10, dtype=np.uint8),
        num_agent_steps=10,
        episode_return=0.0,
    )
    _, num_start_frames, steps = replay_in_environments(record)
    assert num_start_frames > 1
    shown = [frame for frame in render_episode(record) if frame.observation_frame is not None]
    for step, frame in zip(steps, shown[1:], strict=True):
        np.testing.assert_array_equal(frame.observation_frame, step.frame[0])


def test_an_action_that_the_game_does_not_know_is_refused() -> None:
    record = dataclasses.replace(make_record(), actions=np.array([0, 1, 2, 4], dtype=np.uint8))
    with pytest.raises(ConfigurationError, match="takes action 4 of 4"):
        list(render_episode(record))


def test_a_stored_episode_is_read_back_whole_and_takes_little_room(tmp_path: Path) -> None:
    record = dataclasses.replace(
        make_record(),
        actions=np.random.default_rng(0).integers(4, size=5000).astype(np.uint8),
        num_agent_steps=5000,
        num_frames=20_000,
    )
    path = tmp_path / "episode.npz"
    save_episode(path, record)
    save_episode(path, record)
    assert [file.name for file in tmp_path.iterdir()] == ["episode.npz"]
    assert path.stat().st_size < 4000
    loaded = load_episode(path)
    np.testing.assert_array_equal(loaded.actions, record.actions)
    assert loaded.actions.dtype == np.uint8
    assert dataclasses.replace(loaded, actions=record.actions).__dict__ == record.__dict__
    assert Protocol.from_values(loaded.protocol_values) == MACHADO


def test_an_episode_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "episode.npz"
    save_episode(path, make_record())
    before = path.read_bytes()
    unwritable = dataclasses.replace(make_record(), protocol_values={"name": object()})
    with pytest.raises(TypeError):
        save_episode(path, unwritable)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["episode.npz"]


@pytest.mark.parametrize(
    "change",
    [
        {"num_agent_steps": 3},
        {"num_frames": 15},
        {"protocol_name": "nature"},
        {"actions": np.zeros(0, dtype=np.uint8), "num_agent_steps": 0, "num_frames": 0},
        {"protocol_values": {}},
        {"protocol_values": dataclasses.asdict(MACHADO) | {"frame_skip": 0}},
        {"seed": -1},
    ],
    ids=lambda change: ",".join(change),
)
def test_an_episode_whose_parts_contradict_each_other_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    save_episode(tmp_path / "e.npz", dataclasses.replace(make_record(), **change))
    with pytest.raises(ConfigurationError, match=r"e\.npz is no episode of this program: [^\n]+$"):
        load_episode(tmp_path / "e.npz")


def test_a_file_that_is_no_episode_is_refused_in_one_line_and_no_pickle_is_opened(tmp_path: Path) -> None:
    save_episode(tmp_path / "whole.npz", make_record())
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_text("once upon a time")
    np.savez(tmp_path / "foreign.npz", weights=np.zeros(3))
    np.savez(tmp_path / "pickle.npz", actions=np.array([object()]), values=np.array("{}"))
    np.savez(tmp_path / "json.npz", actions=np.zeros(3, dtype=np.uint8), values=np.array("{"))
    np.savez(tmp_path / "keys.npz", actions=np.zeros(3, dtype=np.uint8), values=np.array('{"game": "Pong"}'))
    for name in ("cut", "empty", "text", "foreign", "pickle", "json", "keys"):
        with pytest.raises(ConfigurationError, match=rf"{name}\.npz is no episode of this program: [^\n]+$"):
            load_episode(tmp_path / f"{name}.npz")
    with pytest.raises(ConfigurationError, match=r"there is no episode .*missing\.npz$"):
        load_episode(tmp_path / "missing.npz")

"""Does a video of a game show every emulator frame, and beside it what the network made of it?"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tests.helpers.scalar_atari import MACHADO, NATURE
from wn_rl.acting.policies import Policy, QFunction
from wn_rl.envs.atari import OBSERVATION, AtariEnvironments
from wn_rl.envs.protocols import Protocol
from wn_rl.envs.rendering import EpisodeRecord, RenderedFrame, render_episode
from wn_rl.errors import ConfigurationError
from wn_rl.viewing import recorder
from wn_rl.viewing.commentator import AgentView
from wn_rl.viewing.overlay import OverlayMoment, OverlayPainter
from wn_rl.viewing.recorder import choose_best_median_worst, record_best_median_worst, record_episode
from wn_rl.viewing.saliency_pictures import SaliencyFunction
from wn_rl.viewing.video import scale_up

CPU = torch.device("cpu")


def play(game: str, protocol: Protocol, *, num_agent_steps: int, seed: int = 5) -> EpisodeRecord:
    """A game of random actions that the time limit ends."""
    protocol = dataclasses.replace(protocol, max_episode_frames=num_agent_steps * protocol.frame_skip)
    environments = AtariEnvironments(game=game, protocol=protocol, num_envs=1, num_threads=1)
    environments.reset(seeds=np.array([seed]))
    actions = np.random.default_rng(seed).integers(environments.num_actions, size=num_agent_steps)
    episode_return = 0.0
    for action in actions:
        environments.send(np.array([action]))
        episode_return += float(environments.receive().reward[0])
    environments.close()
    return EpisodeRecord(
        game=environments.game,
        protocol_name=protocol.name,
        protocol_values=dataclasses.asdict(protocol),
        seed=seed,
        actions=actions.astype(np.uint8),
        episode_return=episode_return,
        num_agent_steps=num_agent_steps,
        num_frames=num_agent_steps * protocol.frame_skip,
        ended_by="truncated",
    )


@pytest.fixture(scope="module")
def pong() -> EpisodeRecord:
    return play("Pong", MACHADO, num_agent_steps=150)


def make_record(episode_return: float, seed: int = 0) -> EpisodeRecord:
    return EpisodeRecord(
        game="Pong",
        protocol_name="machado",
        protocol_values=dataclasses.asdict(MACHADO),
        seed=seed,
        actions=np.zeros(1, dtype=np.uint8),
        episode_return=episode_return,
        num_agent_steps=1,
        num_frames=4,
        ended_by="truncated",
    )


def decode(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def mean_of_newest_frame(observation: torch.Tensor) -> torch.Tensor:
    """Q-values that differ from state to state and from action to action, for the 6 actions of Pong."""
    mean = observation[:, -1].float().mean(dim=(1, 2))
    return mean[:, None] * torch.arange(1.0, 7.0)


def make_view(q_function: QFunction, stack_size: int = 4, saliency: SaliencyFunction | None = None) -> AgentView:
    return AgentView(Policy(q_function, stack_size=stack_size, observation=OBSERVATION, device=CPU), saliency)


def collect_moments(monkeypatch: pytest.MonkeyPatch, record: EpisodeRecord, stack_size: int = 4) -> list[OverlayMoment]:
    """What the overlay is asked to paint; the arrays are copied, since the recorder goes on writing them."""
    moments: list[OverlayMoment] = []

    def paint_panel(self: OverlayPainter, moment: OverlayMoment) -> np.ndarray:
        moments.append(
            moment._replace(q_values=moment.q_values.copy(), rewards=moment.rewards.copy()),
        )
        return np.zeros((self.shape[0], self.shape[1] // 2, 3), dtype=np.uint8)

    monkeypatch.setattr(OverlayPainter, "paint_panel", paint_panel)
    monkeypatch.setattr(recorder, "write_video", lambda path, frames, **_: len(list(frames)))
    monkeypatch.setattr(recorder, "write_poster", lambda path, frame: None)
    record_episode(
        record,
        Path("unused.mp4"),
        scale=3,
        view=make_view(mean_of_newest_frame, stack_size),
    )
    return moments


def test_a_video_shows_every_emulator_frame_in_the_colors_of_the_game(pong: EpisodeRecord, tmp_path: Path) -> None:
    path = tmp_path / "pong.mp4"
    counts: list[tuple[int, int]] = []
    num_frames = record_episode(
        pong,
        path,
        scale=2,
        view=None,
        on_frame=lambda done, total: counts.append((done, total)),
    )
    expected = [frame.rgb for frame in render_episode(pong)]
    assert num_frames == len(expected) == 600 + 1  # and the picture before the first action
    assert counts[0] == (1, 600)
    assert counts[-1] == (600, 600)
    shown = list(decode(path))
    assert len(shown) == num_frames
    assert shown[0].shape == (420, 320, 3)
    for number in range(0, num_frames, 50):
        error = np.abs(shown[number].astype(int) - scale_up(expected[number], 2))
        assert np.percentile(error, 99) < 12
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 60


def test_a_poster_lies_beside_the_video(pong: EpisodeRecord, tmp_path: Path) -> None:
    record_episode(pong, tmp_path / "pong.mp4", scale=1, view=None, max_seconds=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pong.mp4", "pong.png"]
    assert len(list(decode(tmp_path / "pong.mp4"))) == 60


@pytest.mark.parametrize(("game", "protocol"), [("Pong", MACHADO), ("Breakout", NATURE)])
def test_an_overlaid_video_has_one_size_and_every_frame(game: str, protocol: Protocol, tmp_path: Path) -> None:
    record = play(game, protocol, num_agent_steps=15)
    num_actions = {"Pong": 6, "Breakout": 4}[game]
    num_frames = record_episode(
        record,
        tmp_path / "game.mp4",
        scale=3,
        view=make_view(lambda observation: mean_of_newest_frame(observation)[:, :num_actions]),
    )
    frames = list(render_episode(record))
    shown = list(decode(tmp_path / "game.mp4"))
    assert num_frames == len(shown) == len(frames)
    assert {picture.shape for picture in shown} == {(630, 960, 3)}


def test_the_overlay_shows_the_observations_that_acting_would_have_seen(
    monkeypatch: pytest.MonkeyPatch, pong: EpisodeRecord
) -> None:
    moments = collect_moments(monkeypatch, pong)
    protocol = Protocol.from_values(pong.protocol_values)
    environments = AtariEnvironments(game="Pong", protocol=protocol, num_envs=1, num_threads=1)
    seen = [environments.reset(seeds=np.array([pong.seed]))[0]]
    rewards = []
    for action in pong.actions:
        environments.send(np.array([action], dtype=np.int64))
        step = environments.receive()
        seen.append(step.frame[0])
        rewards.append(float(step.reward[0]))
    environments.close()
    assert any(rewards)
    newest_of_step = {len(moment.rewards) - 1: moment for moment in moments}
    assert len(newest_of_step) == pong.num_agent_steps
    zeros = np.zeros((84, 84), dtype=np.uint8)
    for step_number, moment in newest_of_step.items():
        stack = [seen[i] if i >= 0 else zeros for i in range(step_number - 3, step_number + 1)]
        np.testing.assert_array_equal(moment.observation, np.stack(stack))
        assert moment.action == pong.actions[step_number]
        np.testing.assert_array_equal(moment.rewards, np.array(rewards[: step_number + 1], np.float32))
        expected = seen[step_number].mean() * np.arange(1, 7)
        np.testing.assert_allclose(moment.q_values[-1], expected, rtol=1e-4)


def test_starting_frames_are_shown_with_the_panel_of_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    record = play("Pong", NATURE, num_agent_steps=3, seed=1)
    frames = list(render_episode(record))
    assert sum(frame.agent_step == -1 for frame in frames) > 1
    moments = collect_moments(monkeypatch, record)
    assert [len(moment.rewards) for moment in moments] == [1, 1, 2, 3]


def test_a_reward_and_a_lost_life_are_shown_with_the_frame_that_brings_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def make_frame(agent_step: int, *, reward: float = 0.0, lives: int = 3, is_last: bool = False) -> RenderedFrame:
        observation = np.zeros((84, 84), dtype=np.uint8) if is_last else None
        return RenderedFrame(np.zeros((210, 160, 3), dtype=np.uint8), agent_step, reward, lives, observation)

    frames = [
        make_frame(-1, is_last=True),
        *[make_frame(0), make_frame(0, reward=1.0), make_frame(0), make_frame(0, reward=2.0, is_last=True)],
        *[make_frame(1), make_frame(1, lives=2), make_frame(1, lives=2), make_frame(1, lives=2, is_last=True)],
    ]
    monkeypatch.setattr(recorder, "render_episode", lambda record: iter(frames))
    record = dataclasses.replace(make_record(3.0), actions=np.zeros(2, dtype=np.uint8), num_agent_steps=2, num_frames=8)
    moments = collect_moments(monkeypatch, record)
    assert [(moment.rewards.tolist(), moment.lives) for moment in moments] == [
        ([0.0], 3),
        ([0.0], 3),
        ([1.0], 3),
        ([3.0], 3),
        ([3.0, 0.0], 3),
        ([3.0, 0.0], 2),
    ]


def test_a_game_that_does_not_come_out_as_recorded_leaves_no_video(pong: EpisodeRecord, tmp_path: Path) -> None:
    changed = dataclasses.replace(pong, episode_return=pong.episode_return + 1)
    with pytest.raises(ConfigurationError):
        record_episode(changed, tmp_path / "a.mp4", scale=1, view=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ([3.0], {"best": 3.0}),
        ([3.0, 5.0], {"best": 5.0, "worst": 3.0}),
        ([3.0, 5.0, -1.0], {"best": 5.0, "median": 3.0, "worst": -1.0}),
        ([4.0, 3.0, 5.0, -1.0], {"best": 5.0, "median": 3.0, "worst": -1.0}),
        ([1.0, 9.0, 2.0, 8.0, 3.0], {"best": 9.0, "median": 3.0, "worst": 1.0}),
    ],
)
def test_best_median_and_worst_are_chosen_by_return(returns: list[float], expected: dict[str, float]) -> None:
    chosen = choose_best_median_worst([make_record(value) for value in returns])
    assert {rank: record.episode_return for rank, record in chosen.items()} == expected


def test_no_game_stands_for_two() -> None:
    records = [make_record(7.0, seed) for seed in range(3)]
    chosen = choose_best_median_worst(records)
    assert sorted(record.seed for record in chosen.values()) == [0, 1, 2]
    with pytest.raises(ValueError, match="no game"):
        choose_best_median_worst([])


def test_three_videos_are_named_after_rank_and_return(tmp_path: Path) -> None:
    records = [play("Pong", MACHADO, num_agent_steps=2, seed=seed) for seed in (1, 2)]
    records.append(play("Pong", MACHADO, num_agent_steps=150, seed=5))
    assert records[2].episode_return < 0
    reports: list[tuple[str, int, int]] = []
    paths = record_best_median_worst(
        records,
        tmp_path,
        scale=1,
        view=None,
        on_frame=lambda rank, done, total: reports.append((rank, done, total)),
    )
    names = ["best-0.mp4", "median-0.mp4", f"worst-{records[2].episode_return:g}.mp4"]
    assert [path.name for path in paths] == names
    assert all(path.is_file() and path.with_suffix(".png").is_file() for path in paths)
    assert reports[0] == ("best", 1, 8)
    assert reports[-1] == ("worst", 600, 600)

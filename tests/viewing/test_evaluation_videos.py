"""Which stored games become videos, and which have one already?"""

from pathlib import Path

import numpy as np

from wn_rl.envs.rendering import EpisodeRecord, save_episode
from wn_rl.viewing.evaluation_videos import choose_missing_stages, find_missing_videos, make_video_name

PROTOCOL_VALUES: dict[str, object] = {
    "name": "machado", "repeat_action_probability": 0.25, "noop_max": 0, "use_fire_reset": False,
    "life_loss_ends_discount": False, "full_action_space": False, "max_episode_frames": 108_000, "frame_skip": 4,
}  # fmt: skip


def save_games(run_dir: Path, agent_steps: int, returns: list[float]) -> None:
    folder = run_dir / "episodes" / f"{agent_steps:09d}"
    folder.mkdir(parents=True)
    for number, episode_return in enumerate(returns):
        record = EpisodeRecord(
            game="Pong", protocol_name="machado", protocol_values=PROTOCOL_VALUES, seed=number,
            actions=np.zeros(3, dtype=np.uint8), episode_return=episode_return, num_agent_steps=3, num_frames=12,
            ended_by="terminated",
        )  # fmt: skip
        save_episode(folder / f"{number:03d}.npz", record)


def test_names_say_stage_rank_and_return() -> None:
    assert make_video_name(250_000, "median", -20.5) == "000250000--20.5.mp4"
    assert make_video_name(250_000, "best", 3.0) == "000250000-best-3.mp4"


def test_stages_lie_evenly_and_none_is_shown_twice() -> None:
    evaluated = list(range(10, 210, 10))
    assert choose_missing_stages(evaluated, set()) == [10, 60, 110, 150, 200]
    assert choose_missing_stages(evaluated, {50, 100, 150, 200}) == [10]
    assert choose_missing_stages(evaluated, {10, 200}) == [60, 110, 150]
    assert choose_missing_stages([10, 20], set()) == [10, 20]
    assert choose_missing_stages([10], {10}) == []
    assert choose_missing_stages([], {10}) == []


def test_the_newest_evaluation_shows_its_best_and_worst_game_too(tmp_path: Path) -> None:
    save_games(tmp_path, 100, [-3.0, -1.0, -2.0])
    save_games(tmp_path, 200, [5.0, 4.0, 9.0])
    (tmp_path / "episodes" / "evaluate-000000200-machado").mkdir()
    missing = find_missing_videos(tmp_path)
    names = {path.relative_to(tmp_path).as_posix(): record.episode_return for path, record in missing.items()}
    assert names == {
        "videos/000000100--2.mp4": -2.0, "videos/000000200-5.mp4": 5.0, "videos/000000200-best-9.mp4": 9.0,
        "videos/000000200-worst-4.mp4": 4.0,
    }  # fmt: skip
    (tmp_path / "videos").mkdir()
    for name in names:
        (tmp_path / name).touch()
    assert len(find_missing_videos(tmp_path)) == len(names)  # killed before the posters, which come last
    for name in names:
        (tmp_path / name).with_suffix(".png").touch()
    assert find_missing_videos(tmp_path) == {}
    (tmp_path / "videos" / "000000200-worst-4.mp4").unlink()
    assert [path.name for path in find_missing_videos(tmp_path)] == ["000000200-worst-4.mp4"]


def test_one_game_stands_for_its_evaluation_once(tmp_path: Path) -> None:
    save_games(tmp_path, 100, [7.0])
    assert [path.name for path in find_missing_videos(tmp_path)] == ["000000100-7.mp4"]


def test_a_run_without_stored_games_needs_no_videos(tmp_path: Path) -> None:
    assert find_missing_videos(tmp_path) == {}

"""The games of a run that are worth a video: the median one of each stage of training; best and worst at its end."""

import re
from collections.abc import Callable
from pathlib import Path

from wn_rl.envs.rendering import EpisodeRecord, load_episode
from wn_rl.runs.layout import EPISODES_FOLDER, VIDEOS_FOLDER
from wn_rl.viewing.recorder import choose_best_median_worst, record_episode

NUM_STAGES = 5
"""Stages of training that are shown at least, as far as there are evaluations."""

_STEPS = re.compile(r"[0-9]{1,15}")


def make_video_name(agent_steps: int, rank: str, episode_return: float) -> str:
    """``000250000--21.mp4`` for the median game of an evaluation, ``000250000-best-3.mp4`` for the others."""
    marked = "" if rank == "median" else f"{rank}-"
    return f"{agent_steps:09d}-{marked}{episode_return:.10g}.mp4"


def record_game(record: EpisodeRecord, path: Path, *, max_seconds: int, scale: int) -> Path:
    """Write a game as a video, without an overlay, at most ``max_seconds`` of game time; return its path."""
    path.parent.mkdir(exist_ok=True)
    record_episode(record, path, scale=scale, view=None, max_seconds=max_seconds)
    return path


def record_missing_videos(
    run_dir: Path, *, max_seconds: int, scale: int, on_game: Callable[[int, int], None] | None
) -> list[Path]:
    """Play stored evaluation games again where the run's videos lack them, and return what was written.

    These are the median games of the first, of the newest and of some evaluations between, as far as no video
    lies near, and the best and the worst game of the newest.

    Args:
        run_dir: the run folder.
        max_seconds, scale: see ``record_game``.
        on_game: called before each with how many are done and how many there are.

    Raises:
        ConfigurationError: a game cannot be read, or the emulator does not play it as it was recorded.
    """
    wanted = find_missing_videos(run_dir)
    for number, (path, record) in enumerate(wanted.items()):
        if on_game is not None:
            on_game(number, len(wanted))
        record_game(record, path, max_seconds=max_seconds, scale=scale)
    return list(wanted)


def find_missing_videos(run_dir: Path) -> dict[Path, EpisodeRecord]:
    """The videos that are to be made, each with its game."""
    evaluations = _find_evaluations(run_dir)
    shown = _find_shown_stages(run_dir / VIDEOS_FOLDER)
    missing: dict[Path, EpisodeRecord] = {}
    stages = choose_missing_stages(sorted(evaluations), shown)
    newest = max(evaluations, default=None)
    for agent_steps in sorted({*stages, *([] if newest is None else [newest])}):
        records = [load_episode(path) for path in sorted(evaluations[agent_steps].glob("*.npz"))]
        games = choose_best_median_worst(records)
        wanted = {"median": games.get("median", games["best"])} if agent_steps in stages else {}
        if agent_steps == newest and len(games) > 1:
            wanted |= {rank: games[rank] for rank in ("best", "worst")}
        for rank, record in wanted.items():
            missing[run_dir / VIDEOS_FOLDER / make_video_name(agent_steps, rank, record.episode_return)] = record
    return {path: record for path, record in missing.items() if not _is_complete(path)}


def choose_missing_stages(evaluated: list[int], shown: set[int]) -> list[int]:
    """Of the agent steps of evaluations those that need a video, so that stages lie evenly.

    The first and the newest always; one between only if no shown one lies nearer than half of the way to the
    next stage.
    """
    if not evaluated:
        return []
    number = min(NUM_STAGES, len(evaluated))
    places = {round(stage * (len(evaluated) - 1) / max(number - 1, 1)) for stage in range(number)}
    chosen = [evaluated[place] for place in sorted(places)]
    reach = (evaluated[-1] - evaluated[0]) / max(number - 1, 1) / 2
    ends = {evaluated[0], evaluated[-1]}
    return [
        steps for steps in chosen
        if steps not in shown and (steps in ends or all(abs(steps - other) > reach for other in shown))
    ]  # fmt: skip


def _find_evaluations(run_dir: Path) -> dict[int, Path]:
    """Folders of stored games of training's evaluations by agent steps."""
    folders = (run_dir / EPISODES_FOLDER).glob("[0-9]*")
    return {int(path.name): path for path in folders if _STEPS.fullmatch(path.name) and any(path.glob("*.npz"))}


def _find_shown_stages(folder: Path) -> set[int]:
    """Agent steps of the median games that have a video."""
    names = [path.stem.partition("-") for path in folder.glob("[0-9]*.mp4") if _is_complete(path)]
    return {
        int(steps) for steps, _, rest in names if _STEPS.fullmatch(steps) and not rest.startswith(("best", "worst"))
    }


def _is_complete(video: Path) -> bool:
    """Whether its poster, which is written last, is there too; else its writer was killed in between."""
    return video.is_file() and video.with_suffix(".png").is_file()

"""The page of one run: what was played, how it learned, how well it plays now, and what that looks like."""

from datetime import datetime
from pathlib import Path
from typing import Any

from wn_rl.viewing.pages.curves import compute_hours, make_charts
from wn_rl.viewing.pages.formatting import (
    format_count,
    format_hours,
    format_interval,
    format_number,
    format_percent,
    format_score,
)
from wn_rl.viewing.pages.run_reader import Evaluation, RunFolder, make_unreadable, read_run_folder
from wn_rl.viewing.pages.templating import escape_json, render, write_page
from wn_rl.viewing.pages.video_files import Video, VideoGroups, group_videos

GROUPS = {"": "Run", "protocol": "Protocol", "network": "Network", "optimizer": "Optimizer", "replay": "Replay",
          "exploration": "Exploration", "evaluation": "Evaluation", "video": "Videos"}  # fmt: skip
PLACES = ("run_dir", "resume", "sweep", "logger.run_dir", "logger.save_dir", "logger.tracking_uri")
"""Settings that say where the run lay on its machine: nobody else's business, and wrong where it was moved."""

SCRIPTS = ["plotting.js", "saving.js", "chart.js", "refresh.js", "run.js"]
SECONDS = 5
"""After which a served page asks for itself anew."""


def write_run_page(folder: Path) -> Path:
    """Write ``index.html`` into a run folder and return its path.

    Raises:
        ConfigurationError: it cannot be written.
    """
    return write_page(folder, render_run_page(folder, live=False))


def render_run_page(folder: Path, *, live: bool) -> str:
    """The page as text; ``live`` makes it refresh itself, which needs the server."""
    run = read_run_folder(folder)
    try:
        return _render(run, live=live)
    except Exception as error:  # whatever a stranger's files lead to is said on the page
        return _render(make_unreadable(folder, error), live=live)


def _render(run: RunFolder, *, live: bool) -> str:
    charts, hours = make_charts(run), compute_hours(run.metrics)
    groups = group_videos(run.videos)
    return render(
        "run.html", SCRIPTS, refresh_seconds=SECONDS if live else None, run=run,
        name=run.folder.resolve().name, tiles=_make_tiles(run, hours), charts=charts,
        has_hours=len(hours["hours"]) > 0, galleries=_make_galleries(groups),
        stages=groups.stages, settings=group_settings(run.settings), provenance=run.provenance,
        evaluations=list(reversed(run.evaluations)), progress=_compute_progress(run),
        written=f"{datetime.now():%Y-%m-%d %H:%M}",
        data=escape_json({"charts": charts, "hours": hours, "frames_per_agent_step": run.frames_per_agent_step}),
    )  # fmt: skip


def group_settings(settings: dict[str, Any]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Settings under headings: those of the run itself, then a group per first part of their names."""
    groups: dict[str, list[tuple[str, Any]]] = {}
    for key, value in settings.items():
        if key in PLACES:
            continue
        group, _, rest = key.rpartition(".")
        first = group.partition(".")[0]
        groups.setdefault(first, []).append((key.removeprefix(f"{first}.") if rest and first else key, value))
    known = [*GROUPS, *(name for name in groups if name not in GROUPS)]
    return [(GROUPS.get(name, name.capitalize()), groups[name]) for name in known if name in groups]


def get_last_evaluation(run: RunFolder) -> Evaluation | None:
    """The newest one that training made; where it made none, the newest of the evaluate command."""
    of_training = [row for row in run.evaluations if row.is_of_training]
    candidates = of_training or run.evaluations
    return candidates[-1] if candidates else None


def _make_tiles(run: RunFolder, hours: dict[str, list[float]]) -> list[dict[str, str]]:
    last = get_last_evaluation(run)
    best = max(run.evaluations, key=lambda row: row.mean, default=None)
    returns = [value for value in run.metrics.get("train/mean_return", []) if value is not None]
    steps, frames = run.agent_steps, run.agent_steps * run.frames_per_agent_step
    tiles = []
    if last is not None and best is not None:
        tiles = [
            _make_tile("Last evaluation", format_score(last.mean),
                       format_interval(last.ci95_low, last.ci95_high) + f" {_count_games(last)}"),
            _make_tile("Human-normalized", format_percent(last.human_normalized), "0\xa0% random play, 100\xa0% human"),
            _make_tile("Best evaluation", format_score(best.mean), f"at {format_count(best.agent_steps)} agent steps"),
        ]  # fmt: skip
    if returns:
        tiles.append(
            _make_tile("Training return", format_score(returns[-1]), f"mean of the last {_describe_games(run)}")
        )
    tiles.append(_make_tile("Agent steps", format_count(steps), f"{format_count(frames)} frames"))
    if hours["hours"]:
        speeds = sorted(value for value in run.metrics["speed/agent_steps_per_second"] if value is not None)
        detail = f"{format_number(round(speeds[len(speeds) // 2]))} agent steps per second"
        tiles.append(_make_tile("Training time", format_hours(hours["hours"][-1]), detail))
    return tiles


def _make_tile(label: str, value: str, detail: str) -> dict[str, str]:
    return {"label": label, "value": value, "detail": detail}


def _count_games(row: Evaluation) -> str:
    if row.episodes is None:
        return ""
    return f"· {row.episodes:.0f}\xa0game{'' if row.episodes == 1 else 's'}"


def _describe_games(run: RunFolder) -> str:
    """Games of training, which begins them anew with every iteration: those are counted that end before."""
    iteration, num_envs = (run.settings.get(key) for key in ("iteration_agent_steps", "num_envs"))
    if not (isinstance(iteration, int) and isinstance(num_envs, int) and num_envs > 0):
        return "games"
    return f"games of at most {format_count(-(-iteration // num_envs))} agent steps"


def _make_galleries(groups: VideoGroups) -> list[dict[str, Any]]:
    """The rows of videos below the stages."""
    galleries = [
        ("Best, median and worst", _describe_newest(groups.newest), groups.newest),
        ("Played to watch", "best, median and worst of the games that the watch command played", groups.played),
        ("More videos", "", groups.others),
    ]
    return [{"title": title, "note": note, "videos": videos} for title, note, videos in galleries if videos]


def _describe_newest(videos: list[Video]) -> str:
    newest = max((video.agent_steps or 0 for video in videos), default=0)
    return f"games of the newest evaluation, after {format_count(newest)} agent steps"


def _compute_progress(run: RunFolder) -> float | None:
    """Share of the agent steps that are done, at most 1; None where the settings do not say how many."""
    total = run.settings.get("total_agent_steps")
    if not isinstance(total, int) or total <= 0:
        return None
    return min(run.agent_steps / total, 1.0)

"""The page of many runs: sorted, laid over each other, and where their settings differ."""

import os
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from wn_rl.errors import ConfigurationError
from wn_rl.runs.layout import METRICS_FILE, PAGE_FILE
from wn_rl.viewing.pages.curves import compute_hours, make_evaluation_series, make_human_series, make_training_series
from wn_rl.viewing.pages.formatting import format_setting
from wn_rl.viewing.pages.run_page import PLACES, get_last_evaluation, write_run_page
from wn_rl.viewing.pages.run_reader import RunFolder, is_run_folder, make_unreadable, read_run_folder
from wn_rl.viewing.pages.templating import escape_json, render, write_page
from wn_rl.viewing.pages.video_files import Video

MAX_DEPTH = 4  # runs/sweeps/<time>/<run>, and one more
MAX_POINTS = 250
SCRIPTS = ["plotting.js", "chart.js", "refresh.js", "gallery.js"]
NO_DIFFERENCE = (*PLACES, "name")
"""Settings that say where a run lies, not what it is."""
ABOUT = ("preset", "protocol.name")
"""What is told under a run's name."""

CURVES = {
    "evaluation": "Evaluation return",
    "human": "Human-normalized score",
    "train/mean_return": "Training return",
    "train/loss": "Loss",
    "train/max_q_value": "Q-values",
    "speed/agent_steps_per_second": "Speed",
}


def find_run_folders(folder: Path) -> list[Path]:
    """Every run folder below, itself included, down to four levels.

    Raises:
        ConfigurationError: there is none.
    """
    found = []
    for path, names, _ in os.walk(folder):
        here = Path(path)
        if is_run_folder(here):
            found.append(here)
            names.clear()
        if len(here.relative_to(folder).parts) >= MAX_DEPTH:
            names.clear()
        names[:] = [name for name in names if not name.startswith(".")]
    if not found:
        raise ConfigurationError(f"{folder}: no run in it; name a run folder, or a folder of runs such as runs/")
    return sorted(found)


def find_linked_folders(folder: Path) -> list[Path]:
    """The links to folders within the same depth: they are not followed, since they may lead anywhere."""
    found = []
    for path, names, _ in os.walk(folder):
        here = Path(path)
        found += [here / name for name in names if (here / name).is_symlink()]
        if is_run_folder(here) or len(here.relative_to(folder).parts) >= MAX_DEPTH:
            names.clear()
        names[:] = [name for name in names if not name.startswith(".")]
    return sorted(found)


def write_gallery(folder: Path) -> Path:
    """Write ``index.html`` into a folder of runs, and the pages of its runs, to which it leads.

    Raises:
        ConfigurationError: no run is there, or the page of all cannot be written.
    """
    problems = {}
    for run_folder in find_run_folders(folder):
        try:
            write_run_page(run_folder)
        except ConfigurationError as error:
            problems[run_folder] = str(error)
    return write_page(folder, render_gallery(folder, live=False, problems=problems))


def render_gallery(folder: Path, *, live: bool, problems: Mapping[Path, str] = MappingProxyType({})) -> str:
    """The page as text; ``live`` makes it refresh itself, which needs the server.

    Whatever is wrong with a run is a line beside that run, as are ``problems``.
    """
    found = [_describe(path, path.relative_to(folder).as_posix()) for path in find_run_folders(folder)]
    runs, rows, curves = zip(*found, strict=True)
    for run in runs:
        run.problems.extend(problem for path, problem in problems.items() if path == run.folder)
    return render(
        "gallery.html", SCRIPTS, live=live, rows=rows, games=sorted({run.game for run in runs}),
        name=folder.resolve().name, differences=compare_settings([run.settings for run in runs]), curves=CURVES,
        written=f"{datetime.now():%Y-%m-%d %H:%M}",
        data={"runs": curves, "curves": CURVES},
    )  # fmt: skip


def compare_settings(settings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Settings in which runs differ: key, the runs' values as text, and which of them are not the most frequent.

    What a run lacks is None.
    """
    keys = dict.fromkeys(key for one in settings for key in one if key not in NO_DIFFERENCE)
    differences = []
    for key in keys:
        values = [format_setting(one[key]) if key in one else None for one in settings]
        if len(set(values)) > 1:
            usual = Counter(values).most_common(1)[0][0]
            differences.append({"key": key, "values": values, "is_unusual": [value != usual for value in values]})
    return differences


def _describe(path: Path, label: str) -> tuple[RunFolder, dict[str, Any], dict[str, Any]]:
    """A run with its row and its curves."""
    run = read_run_folder(path)
    try:
        curves = _make_curves(run, label)
        escape_json(curves)  # which must not fail for all runs together
        return run, _make_row(run, label), curves
    except Exception as error:  # whatever a stranger's files lead to is said beside that run
        empty = make_unreadable(path, error)
        return empty, _make_row(empty, label), _make_curves(empty, label)


def _make_row(run: RunFolder, label: str) -> dict[str, Any]:
    last = get_last_evaluation(run)
    best = max((row.mean for row in run.evaluations), default=None)
    hours = compute_hours(run.metrics)["hours"]
    returns = [value for value in run.metrics.get("train/mean_return", []) if value is not None]
    poster = _find_poster(run.videos)
    return {
        "label": label,
        "url": quote(os.fsencode(f"./{label}/{PAGE_FILE}")),
        "poster": None if poster is None else quote(os.fsencode(f"./{label}/")) + poster,
        "problems": run.problems,
        "game": run.game,
        "normalizer": run.settings.get("normalizer"),
        "about": ", ".join(str(run.settings[key]) for key in ABOUT if run.settings.get(key) is not None),
        "seed": run.settings.get("seed"),
        "agent_steps": run.agent_steps,
        "last": last,
        "best": best,
        "training": returns[-1] if returns else None,
        "hours": hours[-1] if hours else None,
        "changed": _find_change(run),
    }


def _find_poster(videos: list[Video]) -> str | None:
    """Of the agent that had learned longest."""
    with_poster = [video for video in videos if video.poster is not None]
    return max(with_poster, key=lambda video: video.agent_steps or 0).poster_url if with_poster else None


def _find_change(run: RunFolder) -> datetime | None:
    try:
        return datetime.fromtimestamp((run.folder / METRICS_FILE).stat().st_mtime)
    except (OSError, OverflowError, ValueError):
        return None


def _make_curves(run: RunFolder, label: str) -> dict[str, Any]:
    changed = _find_change(run)
    of_training = [row for row in run.evaluations if row.is_of_training]
    curves = {name: make_training_series(run.metrics, name, label, MAX_POINTS) for name in CURVES if "/" in name}
    curves["evaluation"] = make_evaluation_series(of_training, label)
    curves["human"] = make_human_series(run.game, of_training, label)
    return {
        "name": label,
        "game": run.game,
        "changed": 0 if changed is None else changed.timestamp(),
        "frames_per_agent_step": run.frames_per_agent_step,
        "hours": compute_hours(run.metrics),
        "curves": curves,
    }

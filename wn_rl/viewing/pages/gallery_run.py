"""One run of many, as the gallery's script takes it: a row of the table, and curves as fine as there is room for."""

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from wn_rl.runs.layout import METRICS_FILE, PAGE_FILE
from wn_rl.runs.scores import REFERENCE_RETURNS
from wn_rl.viewing.pages.curves import COUNTERS, compute_hours, make_evaluation_series, make_training_series
from wn_rl.viewing.pages.formatting import (
    format_count,
    format_hours,
    format_interval,
    format_percent,
    format_score,
    format_setting,
)
from wn_rl.viewing.pages.run_page import PLACES, get_last_evaluation
from wn_rl.viewing.pages.run_reader import RunFolder, make_unreadable, read_run_folder
from wn_rl.viewing.pages.templating import escape_json
from wn_rl.viewing.pages.video_files import Video

COLUMNS = {
    "game": "Game", "last": "Last evaluation", "best": "Best", "human": "Human-norm.", "training": "Training",
    "agent_steps": "Agent steps", "hours": "Time", "normalizer": "Normalizer", "seed": "Seed", "changed": "Changed",
}  # fmt: skip
"""Of the table, after the run's name."""
ABOUT = ("preset", "protocol.name")
"""What is told under a run's name."""
NO_DIFFERENCE = (*PLACES, "name")
"""Settings that say where a run lies, not what it is."""
MAIN = ("train/mean_return", "train/loss", "train/max_q_value", "speed/agent_steps_per_second")
"""Metrics that every run shows, however many runs there are."""

MAX_POINTS, MIN_POINTS = 250, 16
MAX_MAIN_VALUES, MAX_OTHER_VALUES = 350_000, 200_000
"""Of all runs together, at some six bytes: the page of a thousand runs stays below five megabytes."""
VALUES_PER_MAIN_POINT, OTHER_METRICS = 11, 50
MAX_TEXT = 200


class Limits(NamedTuple):
    """How many points a curve of one run may have: of the main metrics, and of each other one (0: it is left out)."""

    main: int
    other: int


class GalleryRun(NamedTuple):
    """What the page of many holds of one run.

    Attributes:
        data: JSON that is safe within a page.
        settings: flat, as text.
        metrics: that it has curves of.
        changed: when its metrics were last written, in seconds since 1970; 0 where nobody knows.
    """

    data: Markup
    settings: Mapping[str, str]
    metrics: tuple[str, ...]
    changed: float


def share_points(num_runs: int) -> list[Limits]:
    """The limits of each of so many runs, newest first: of some hundreds, older ones keep the main metrics alone."""
    main = max(MIN_POINTS, min(MAX_POINTS, MAX_MAIN_VALUES // (VALUES_PER_MAIN_POINT * num_runs)))
    other = max(MIN_POINTS, min(MAX_POINTS, MAX_OTHER_VALUES // (OTHER_METRICS * num_runs)))
    num_whole = MAX_OTHER_VALUES // (OTHER_METRICS * other)
    return [Limits(main, other if number < num_whole else 0) for number in range(num_runs)]


@lru_cache(maxsize=4096)
def describe_run(
    path: Path, label: str, identity: tuple[Any, ...], limits: Limits, problems: tuple[str, ...], is_linked: bool
) -> GalleryRun:
    """Read a run folder, once as long as its files are those of ``identity``; what is wrong is a line beside it.

    Args:
        label: its path from the gallery's folder.
        problems: lines besides its own.
        is_linked: whether its own page is there, to lead to.
    """
    run = read_run_folder(path)
    try:
        return _describe(run, label, limits, problems, is_linked)
    except Exception as error:  # whatever a stranger's files lead to is said beside that run
        empty = make_unreadable(path, error)
        return _describe(empty, label, limits, problems, is_linked)


def find_change(folder: Path) -> datetime | None:
    """When the run's metrics were last written."""
    try:
        return datetime.fromtimestamp((folder / METRICS_FILE).stat().st_mtime)
    except (OSError, OverflowError, ValueError):
        return None


def _describe(run: RunFolder, label: str, limits: Limits, problems: Iterable[str], is_linked: bool) -> GalleryRun:
    changed, hours = find_change(run.folder), compute_hours(run.metrics)
    poster = _find_poster(run.videos)
    references = REFERENCE_RETURNS.get(run.game)
    others = [name for name in run.metrics if name not in (*MAIN, *COUNTERS)] if limits.other else []
    metrics = (*(name for name in MAIN if name in run.metrics), *others)
    data = escape_json({
        "name": label,
        "url": quote(os.fsencode(f"./{label}/{PAGE_FILE}")) if is_linked else None,
        "poster": None if poster is None else quote(os.fsencode(f"./{label}/")) + poster,
        "about": ", ".join(str(run.settings[key]) for key in ABOUT if run.settings.get(key) is not None)[:MAX_TEXT],
        "problems": [*run.problems, *problems],
        "game": run.game[:MAX_TEXT],
        "references": None if references is None else [references.random, references.human],
        "frames_per_agent_step": run.frames_per_agent_step,
        "hours": {key: [_shorten(value) for value in _thin(values, limits.main)] for key, values in hours.items()},
        "cells": _make_cells(run, hours, changed),
        "evaluation": _make_evaluation_curve(run, limits.main),
        **_make_curves(run, metrics, limits),
    })  # fmt: skip
    settings = {
        key: format_setting(value)[:MAX_TEXT] for key, value in run.settings.items() if key not in NO_DIFFERENCE
    }
    return GalleryRun(data, settings, metrics, 0.0 if changed is None else changed.timestamp())


def _make_cells(
    run: RunFolder, hours: dict[str, list[float]], changed: datetime | None
) -> list[tuple[float | str | None, str, str]]:
    """By column: what is sorted by, the text, and a note below it."""
    last = get_last_evaluation(run)
    best = max((row.mean for row in run.evaluations), default=None)
    returns = [value for value in run.metrics.get("train/mean_return", []) if value is not None]
    training, spent = returns[-1] if returns else None, hours["hours"][-1] if hours["hours"] else None
    human = None if last is None else last.human_normalized
    mean = None if last is None else last.mean
    interval = "" if last is None else format_interval(last.ci95_low, last.ci95_high)
    games = "" if last is None or last.episodes is None or interval else f"of {last.episodes:.0f}"
    normalizer, seed = (
        None if run.settings.get(key) is None else str(run.settings[key]) for key in ("normalizer", "seed")
    )
    cells = {
        "game": (run.game, run.game, ""),
        "last": (mean, format_score(mean), interval or games),
        "best": (best, format_score(best), ""),
        "human": (human, format_percent(human), ""),
        "training": (training, format_score(training), ""),
        "agent_steps": (run.agent_steps, format_count(run.agent_steps), ""),
        "hours": (spent, format_hours(spent), ""),
        "normalizer": (normalizer, normalizer or "–", ""),
        "seed": (run.settings.get("seed") if isinstance(run.settings.get("seed"), int) else None, seed or "–", ""),
        "changed": (None if changed is None else int(changed.timestamp()),
                    "–" if changed is None else f"{changed:%Y-%m-%d}", ""),
    }  # fmt: skip
    return [
        (value[:MAX_TEXT] if isinstance(value, str) else value, text[:MAX_TEXT], note)
        for value, text, note in (cells[key] for key in COLUMNS)
    ]


def _find_poster(videos: list[Video]) -> str | None:
    """Of the agent that had learned longest."""
    with_poster = [video for video in videos if video.poster is not None]
    return max(with_poster, key=lambda video: video.agent_steps or 0).poster_url if with_poster else None


def _make_evaluation_curve(run: RunFolder, max_points: int) -> dict[str, Any]:
    of_training = [row for row in run.evaluations if row.is_of_training]
    series = make_evaluation_series(_thin(of_training, max_points), "")
    return {key: [_shorten(value) for value in series[key]] for key in ("steps", "y", "low", "high")}


def _make_curves(run: RunFolder, metrics: tuple[str, ...], limits: Limits) -> dict[str, Any]:
    """Each metric's values, and the number of the list of agent steps that it shares with others."""
    num_others = sum(name not in MAIN for name in metrics)
    other = min(limits.other, OTHER_METRICS * limits.other // max(num_others, 1))  # one run does not take all the room
    grids: dict[tuple[int, ...], int] = {}
    curves = {}
    for name in metrics:
        series = make_training_series(run.metrics, name, "", max(limits.main if name in MAIN else other, 1))
        place = grids.setdefault(tuple(series["steps"]), len(grids))
        curves[name] = [place, [_shorten(value) for value in series["y"]]]
    return {"grids": list(grids), "curves": curves}


def _thin(values: list[Any], max_points: int) -> list[Any]:
    """Every so many of them, and the last."""
    stride = -(-len(values) // max_points) or 1
    return [*values[:-1:stride], *values[-1:]]


def _shorten(value: float | None) -> float | int | None:
    """Four significant digits of what is no whole number: less than a pixel."""
    if value is None:
        return None
    short = float(f"{value:.4g}")
    return int(value) if value == int(value) else short

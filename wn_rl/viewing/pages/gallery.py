"""The page of many runs: sorted, grouped, laid over each other, and where their settings differ."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from markupsafe import Markup

from wn_rl.errors import ConfigurationError
from wn_rl.runs.layout import PAGE_FILE
from wn_rl.viewing.pages.curves import describe_metric
from wn_rl.viewing.pages.gallery_run import COLUMNS, MAIN, GalleryRun, describe_run, find_change, share_points
from wn_rl.viewing.pages.run_page import write_run_page
from wn_rl.viewing.pages.run_reader import identify, is_run_folder
from wn_rl.viewing.pages.templating import escape_json, render, write_page

MAX_DEPTH = 4  # runs/sweeps/<time>/<run>, and one more
SCRIPTS = [
    "plotting.js",
    "saving.js",
    "chart.js",
    "refresh.js",
    "statistics.js",
    "gallery_table.js",
    "gallery_curves.js",
    "gallery.js",
]
MAX_SETTINGS, MAX_METRICS = 200, 1000
"""That runs differ in, and that there are curves of; more are a stranger's."""
SECONDS, RUNS_PER_SECOND = 5, 20
"""After which a served gallery asks for itself anew: five, and one more for each twenty runs."""
NOT_SHOWN = ("training", "normalizer")
"""Columns that have to be asked for: with them the table is wider than a laptop's screen."""


class WrittenGallery(NamedTuple):
    """A gallery on disk: its page, the runs in it, and how many of those have no page of their own."""

    page: Path
    num_runs: int
    num_without_page: int


def find_run_folders(folder: Path, tell: Callable[[str], None] = lambda text: None) -> list[Path]:
    """Every run folder below, itself included, down to four levels; ``tell`` hears how far it has come.

    Raises:
        ConfigurationError: there is none.
    """
    found: list[Path] = []
    for number, (path, names, _) in enumerate(os.walk(folder)):
        tell(f"looking for runs in {folder}: {len(found):,} in {number:,} folders")
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
    found: list[Path] = []
    for path, names, _ in os.walk(folder):
        here = Path(path)
        found += [here / name for name in names if (here / name).is_symlink()]
        if is_run_folder(here) or len(here.relative_to(folder).parts) >= MAX_DEPTH:
            names.clear()
        names[:] = [name for name in names if not name.startswith(".")]
    return sorted(found)


def write_gallery(folder: Path, *, with_pages: bool, tell: Callable[[str], None] = lambda text: None) -> WrittenGallery:
    """Write ``index.html`` into a folder of runs, and with ``with_pages`` the pages of its runs.

    Raises:
        ConfigurationError: no run is there, or the page of all cannot be written.
    """
    problems = {}
    run_folders = find_run_folders(folder, tell)
    for number, run_folder in enumerate(run_folders if with_pages else []):
        tell(f"writing page {number + 1:,} of {len(run_folders):,}")
        try:
            write_run_page(run_folder)
        except ConfigurationError as error:
            problems[run_folder] = str(error)
    page = write_page(folder, render_gallery(folder, live=False, problems=problems, tell=tell))
    num_without_page = sum(not (run_folder / PAGE_FILE).is_file() for run_folder in run_folders)
    return WrittenGallery(page, len(run_folders), num_without_page)


def render_gallery(
    folder: Path, *, live: bool, problems: Mapping[Path, str] = MappingProxyType({}),
    tell: Callable[[str], None] = lambda text: None,
) -> str:  # fmt: skip
    """The page as text; ``live`` makes it refresh itself, which needs the server.

    Runs come newest first. Whatever is wrong with a run is a line beside that run, as are ``problems``.
    """
    paths = sorted(find_run_folders(folder, tell), key=_get_age)
    runs = []
    for number, (path, limits) in enumerate(zip(paths, share_points(len(paths)), strict=True)):
        tell(f"reading run {number + 1:,} of {len(paths):,}")
        own = tuple(problem for place, problem in problems.items() if place == path)
        is_linked = live or (path / PAGE_FILE).is_file()
        label = path.relative_to(folder).as_posix()
        runs.append(describe_run(path, label, identify(path), limits, own, is_linked))
    return render(
        "gallery.html", SCRIPTS, refresh_seconds=SECONDS + len(runs) // RUNS_PER_SECOND if live else None,
        num_runs=len(runs), name=folder.resolve().name, written=f"{datetime.now():%Y-%m-%d %H:%M}",
        data=_join_data(runs),
    )  # fmt: skip


def compare_settings(settings: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Settings in which runs differ, at most 200, those that most runs have.

    Returns:
        of each its "key", the "texts" that it has, and "of" each run the number of its text; −1 where it lacks it.
    """
    keys = dict.fromkeys(key for one in settings for key in one)
    differences = []
    for key in keys:
        values = [one.get(key) for one in settings]
        texts = list(dict.fromkeys(value for value in values if value is not None))
        if len(set(values)) > 1:
            numbers = {text: number for number, text in enumerate(texts)}
            of = [-1 if value is None else numbers[value] for value in values]
            differences.append({"key": key, "texts": texts, "of": of})
    if len(differences) > MAX_SETTINGS:
        differences = sorted(differences, key=lambda one: one["of"].count(-1))[:MAX_SETTINGS]
    return differences


def _get_age(path: Path) -> tuple[float, Path]:
    changed = find_change(path)
    return (0.0 if changed is None else -changed.timestamp()), path


def _join_data(runs: list[GalleryRun]) -> Markup:
    """What the script draws: the runs' own JSON, and what they have in common."""
    metrics = list(dict.fromkeys([*MAIN, *(name for run in runs for name in run.metrics)]))[:MAX_METRICS]
    known = {name for run in runs for name in run.metrics}
    common = escape_json({
        "columns": [[key, title, key not in NOT_SHOWN] for key, title in COLUMNS.items()],
        "metrics": {name: describe_metric(name) for name in metrics if name in known},
        "settings": compare_settings([run.settings for run in runs]),
    })  # fmt: skip
    return Markup('{"runs":[') + Markup(",").join(run.data for run in runs) + Markup("],") + common[1:]

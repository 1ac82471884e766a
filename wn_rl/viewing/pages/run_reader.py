"""What a run folder says, read without PyTorch and without trust: any file may be missing, torn or hostile."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from wn_rl.runs.configuration_file import follow_references, read_configuration
from wn_rl.runs.layout import (
    CONFIG_FILE,
    EVALUATIONS_FILE,
    EXPERIMENT_FILE,
    METRICS_FILE,
    PAGE_FILE,
    PROVENANCE_FILE,
    VIDEOS_FOLDER,
)
from wn_rl.runs.scores import MIN_INTERVAL_GAMES
from wn_rl.system.files import read_limited
from wn_rl.viewing.pages.video_files import Video, find_videos

STEPS_COLUMN = "agent_steps"

# What longer runs than anybody has made do not reach, and a page can still be made of.
MAX_METRICS_BYTES, MAX_EVALUATIONS_BYTES, MAX_PROVENANCE_BYTES = 2**26, 2**21, 2**16
MAX_COLUMNS, MAX_EVALUATIONS, MAX_NAME = 1000, 2000, 200
MAX_NUMBER = 1e30
"""Greater ones, of which sums would be infinite, are none; what is smaller than their inverse is 0."""

Columns = dict[str, list[float | None]]
"""Columns of a table by name, all of one length; None where a row has no value."""

_Content = TypeVar("_Content")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One line of evaluations.jsonl; what it does not say, or says in another type, is None.

    So is the interval of fewer than five games, which says nothing.
    """

    agent_steps: int
    mean: float
    ci95_low: float | None
    ci95_high: float | None
    median: float | None
    min: float | None
    max: float | None
    episodes: float | None
    mean_agent_steps: float | None
    human_normalized: float | None
    epsilon: float | None
    seed: float | None
    protocol: str
    source: str

    @property
    def is_of_training(self) -> bool:
        """Whether training played it at the end of an iteration; else the evaluate command did."""
        return self.source != "evaluate"


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """A run, as far as its folder can be read.

    Attributes:
        settings: config.yaml, flat: ``replay.n_step`` to its value.
        metrics: metrics.csv by column.
        evaluations: in the order of agent steps.
        videos: of the folder videos/.
        problems: what could not be read, a sentence each.
    """

    folder: Path
    settings: dict[str, Any]
    metrics: Columns
    evaluations: list[Evaluation]
    provenance: dict[str, Any]
    videos: list[Video]
    problems: list[str]

    @property
    def game(self) -> str:
        """The game's name, or "unknown game"."""
        return str(self.settings.get("game") or "unknown game")

    @property
    def agent_steps(self) -> int:
        """Up to which anything was written."""
        steps = [value for value in self.metrics.get(STEPS_COLUMN, []) if value is not None]
        return int(max([0, *steps, *(row.agent_steps for row in self.evaluations if row.is_of_training)]))

    @property
    def frames_per_agent_step(self) -> int:
        """Emulator frames that one action lasts; Gymnasium's environments have no others than agent steps."""
        if self.settings.get("protocol.name") == "gymnasium":
            return 1
        value = self.settings.get("protocol.frame_skip")
        return value if isinstance(value, int) and value > 0 else 4


def is_run_folder(folder: Path) -> bool:
    """Whether training has written here; the paper's other experiments have pages of their own."""
    if (folder / EXPERIMENT_FILE).is_file():
        return False
    return any((folder / name).is_file() for name in (CONFIG_FILE, METRICS_FILE, EVALUATIONS_FILE))


def identify(folder: Path) -> tuple[Any, ...]:
    """What changes when anything changes that a page shows of a run: which file each is, its size and its time."""
    names = (CONFIG_FILE, METRICS_FILE, EVALUATIONS_FILE, PROVENANCE_FILE, VIDEOS_FOLDER, PAGE_FILE)
    return tuple(_identify_file(folder / name) for name in names)


def _identify_file(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_run_folder(folder: Path) -> RunFolder:
    """Read all that there is; what cannot be read becomes a problem that the page shows, never an error."""
    problems: list[str] = []
    return RunFolder(
        folder=folder,
        settings=read_settings(folder, problems),
        metrics=_read(folder / METRICS_FILE, lambda path: _parse_metrics(path, problems), {}, problems),
        evaluations=read_evaluations(folder, problems),
        provenance=_read(folder / PROVENANCE_FILE, _parse_provenance, {}, problems),
        videos=find_videos(folder / VIDEOS_FOLDER),
        problems=problems,
    )


def read_settings(folder: Path, problems: list[str]) -> dict[str, Any]:
    """config.yaml alone, flat; what is wrong with it is added to ``problems``."""
    return _read(folder / CONFIG_FILE, _parse_settings, {}, problems)


def read_evaluations(folder: Path, problems: list[str]) -> list[Evaluation]:
    """evaluations.jsonl alone, in the order of agent steps; what is wrong with it is added to ``problems``."""
    return _read(folder / EVALUATIONS_FILE, lambda path: _parse_evaluations(path, problems), [], problems)


def make_unreadable(folder: Path, error: Exception) -> RunFolder:
    """What is left of a run of which no page can be made: the reason."""
    problem = f"this run cannot be shown: {_summarize(error)}"
    return RunFolder(
        folder=folder, settings={}, metrics={}, evaluations=[], provenance={}, videos=[], problems=[problem]
    )


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted keys; lists are values."""
    if not isinstance(values, dict) or not values:
        return {prefix: values} if prefix else {}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _read(path: Path, parse: Callable[[Path], _Content], missing: _Content, problems: list[str]) -> _Content:
    try:
        return parse(path) if path.exists() or path.is_symlink() else missing
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        problems.append(f"{path.name} cannot be read: {_summarize(error)}")
        return missing


def _summarize(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _read_text(path: Path, max_bytes: int) -> str:
    return read_limited(path, max_bytes, follow_links=False).decode("utf-8", "replace")


def _parse_settings(path: Path) -> dict[str, Any]:
    return flatten(follow_references(read_configuration(path)))


def _parse_provenance(path: Path) -> dict[str, Any]:
    return flatten(json.loads(_read_text(path, MAX_PROVENANCE_BYTES)))


def _parse_metrics(path: Path, problems: list[str]) -> Columns:
    """Rows with a value under agent_steps; a last line without its end was being written and is left out."""
    lines = _read_text(path, MAX_METRICS_BYTES).replace("\0", "").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    header, *rows = list(csv.reader(lines)) or [[]]
    if not rows or STEPS_COLUMN not in header:
        return {}
    if len(header) > MAX_COLUMNS or max(map(len, header)) > MAX_NAME:
        raise ValueError(f"it has more than {MAX_COLUMNS} columns, or a name of more than {MAX_NAME} letters")
    place = header.index(STEPS_COLUMN)
    whole = [row for row in rows if len(row) == len(header) and _as_number(row[place]) is not None]
    if len(whole) < len(rows):
        problems.append(f"{METRICS_FILE}: {len(rows) - len(whole)} torn rows are left out")
    return {name: [_as_number(row[number]) for row in whole] for number, name in enumerate(header)}


def _parse_evaluations(path: Path, problems: list[str]) -> list[Evaluation]:
    rows, num_torn = [], 0
    lines = _read_text(path, MAX_EVALUATIONS_BYTES).splitlines()
    if len(lines) > MAX_EVALUATIONS:
        problems.append(f"{EVALUATIONS_FILE}: of {len(lines):,} lines the last {MAX_EVALUATIONS:,} are shown")
    for line in lines[-MAX_EVALUATIONS:]:
        try:
            rows.append(_make_evaluation(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            num_torn += bool(line.strip())
    if num_torn:
        problems.append(f"{EVALUATIONS_FILE}: {num_torn} torn lines are left out")
    return sorted(rows, key=lambda row: row.agent_steps)


def _make_evaluation(values: dict[str, Any]) -> Evaluation:
    mean, agent_steps = _as_number(values["mean"]), _as_number(values["agent_steps"])
    if mean is None or agent_steps is None:
        raise ValueError("no mean or no agent_steps")
    optional = ("ci95_low", "ci95_high", "median", "min", "max", "episodes", "mean_agent_steps",
                "human_normalized", "epsilon", "seed")  # fmt: skip
    episodes = _as_number(values.get("episodes"))
    if episodes is not None and episodes < MIN_INTERVAL_GAMES:
        values = {**values, "ci95_low": None, "ci95_high": None}
    return Evaluation(
        agent_steps=int(agent_steps), mean=mean, protocol=str(values.get("protocol", ""))[:MAX_NAME],
        source=str(values.get("source", ""))[:MAX_NAME], **{name: _as_number(values.get(name)) for name in optional},
    )  # fmt: skip


def _as_number(value: Any) -> float | None:
    """A number that can be reckoned with, else None: pages hold JSON, which knows no NaN."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if not abs(number) <= MAX_NUMBER:
        return None
    return number if abs(number) >= 1 / MAX_NUMBER else 0.0

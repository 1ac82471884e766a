"""What a run folder says, read without PyTorch and without trust: any file may be missing, torn or hostile."""

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from wn_rl.runs.layout import CONFIG_FILE, EVALUATIONS_FILE, METRICS_FILE, PROVENANCE_FILE, VIDEOS_FOLDER
from wn_rl.viewing.pages.video_files import Video, find_videos

STEPS_COLUMN = "agent_steps"

Columns = dict[str, list[float | None]]
"""Columns of a table by name, all of one length; None where a row has no value."""

_Content = TypeVar("_Content")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One line of evaluations.jsonl; what it does not say, or says in another type, is None."""

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
    """Whether training has written here."""
    return any((folder / name).is_file() for name in (CONFIG_FILE, METRICS_FILE, EVALUATIONS_FILE))


def read_run_folder(folder: Path) -> RunFolder:
    """Read all that there is; what cannot be read becomes a problem that the page shows, never an error."""
    problems: list[str] = []
    return RunFolder(
        folder=folder,
        settings=_read(folder / CONFIG_FILE, _parse_settings, {}, problems),
        metrics=_read(folder / METRICS_FILE, lambda text: _parse_metrics(text, problems), {}, problems),
        evaluations=_read(folder / EVALUATIONS_FILE, lambda text: _parse_evaluations(text, problems), [], problems),
        provenance=_read(folder / PROVENANCE_FILE, _parse_provenance, {}, problems),
        videos=find_videos(folder / VIDEOS_FOLDER),
        problems=problems,
    )


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted keys; lists are values."""
    if not isinstance(values, dict) or not values:
        return {prefix: values} if prefix else {}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _read(path: Path, parse: Callable[[str], _Content], missing: _Content, problems: list[str]) -> _Content:
    try:
        if not path.is_file():
            return missing
        return parse(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError, csv.Error, YAMLError, OmegaConfBaseException, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        problems.append(f"{path.name} cannot be read: {reason}")
        return missing


def _parse_settings(text: str) -> dict[str, Any]:
    config = OmegaConf.create(text)
    if not OmegaConf.is_dict(config):
        raise ValueError("it holds no settings")
    return flatten(OmegaConf.to_container(config, resolve=True))


def _parse_provenance(text: str) -> dict[str, Any]:
    return flatten(json.loads(text))


def _parse_metrics(text: str, problems: list[str]) -> Columns:
    """Rows with a value under agent_steps; a last line without its end was being written and is left out."""
    lines = text.replace("\0", "").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    header, *rows = list(csv.reader(lines)) or [[]]
    if not rows or STEPS_COLUMN not in header:
        return {}
    place = header.index(STEPS_COLUMN)
    whole = [row for row in rows if len(row) == len(header) and _as_number(row[place]) is not None]
    if len(whole) < len(rows):
        problems.append(f"{METRICS_FILE}: {len(rows) - len(whole)} torn rows are left out")
    return {name: [_as_number(row[number]) for row in whole] for number, name in enumerate(header)}


def _parse_evaluations(text: str, problems: list[str]) -> list[Evaluation]:
    rows, num_torn = [], 0
    for line in text.splitlines():
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
    return Evaluation(
        agent_steps=int(agent_steps), mean=mean, protocol=str(values.get("protocol", "")),
        source=str(values.get("source", "")), **{name: _as_number(values.get(name)) for name in optional},
    )  # fmt: skip


def _as_number(value: Any) -> float | None:
    """A finite number, else None: pages hold JSON, which knows no NaN."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None

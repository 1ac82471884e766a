"""A declared comparison: what a file of configs/study/ says, checked before anything is run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from wn_rl.errors import ConfigurationError, show_value
from wn_rl.runs.scores import REFERENCE_RETURNS
from wn_rl.system.fields import number, parse, section, setting, text, whole

Words = dict[str, Any]
"""Settings of wn_rl.train by their keys."""


def _table(key: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{key}={show_value(value)}: needs settings by their names")
    return dict(value)


def _tables(key: str, value: Any) -> Any:
    if not isinstance(value, Mapping) or not value:
        raise ConfigurationError(f"{key}={show_value(value)}: needs names, each with its settings")
    return {str(name): _table(f"{key}.{name}", settings) for name, settings in value.items()}


def _several(check: Any) -> Any:
    def check_all(key: str, value: Any) -> Any:
        if not isinstance(value, list | tuple) or not value or len(set(map(str, value))) < len(value):
            raise ConfigurationError(f"{key}={show_value(value)}: needs a list of different values")
        return [check(key, entry) for entry in value]

    return check_all


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """Stage 1."""

    seeds: list[int] = setting(_several(whole(0)))
    total_agent_steps: int = setting(whole(1))


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is compared; each setting is explained in configs/study/."""

    name: str = setting(text)
    question: str = setting(text)
    settings: Words = setting(_table)
    problems: dict[str, Words] = setting(_tables)
    score_ranges: dict[str, Any] = setting(_table)
    arms: dict[str, Words] = setting(_tables)
    learning_rates: list[float] = setting(_several(number(above=0)))
    selection: SelectionSettings = section(SelectionSettings)
    seeds: list[int] = setting(_several(whole(0)))

    def compute_normalized(self, problem: str, score: float) -> float:
        """0 is random play, 1 a human tester, or the bounds of ``score_ranges``."""
        low, high = self._find_range(problem)
        return (score - low) / (high - low)

    def check(self) -> None:
        """Raises ConfigurationError where stages share seeds, or a problem's scores cannot be normalized."""
        if shared := set(self.seeds) & set(self.selection.seeds):
            raise ConfigurationError(
                f"seeds={self.seeds} and selection.seeds={self.selection.seeds} share {sorted(shared)}: learning rates"
                " must be chosen on other seeds than those that are compared"
            )
        for problem in self.problems:
            self._find_range(problem)
        folders: dict[Path, str] = {}
        for arm, problem in product(self.arms, self.problems):
            told = f"{arm} in {problem}"
            if (other := folders.setdefault(name_folder(arm, problem), told)) != told:
                raise ConfigurationError(f"{told} and {other} would have one folder; give other names")

    def _find_range(self, problem: str) -> tuple[float, float]:
        bounds = self.score_ranges.get(problem)
        if bounds is None and problem in REFERENCE_RETURNS:
            return REFERENCE_RETURNS[problem]
        if not isinstance(bounds, list) or len(bounds) != 2 or not bounds[0] < bounds[1]:
            raise ConfigurationError(
                f"score_ranges.{problem}={show_value(bounds)}: {problem} has no human tester's score in the literature;"
                " give its [least, greatest]"
            )
        return bounds[0], bounds[1]


def name_folder(arm: str, problem: str) -> Path:
    """Where an arm's runs of a problem lie below their stage: what a command line would understand otherwise is _."""
    return Path(*(re.sub(r"[^\w.+-]+", "_", name) for name in (arm, problem)))


def read_study(values: Mapping[str, Any]) -> Study:
    """A study from its plain values; raises ConfigurationError where it cannot be run."""
    study: Study
    [study] = parse(dict(values), Study)
    study.check()
    return study

"""How several runs of one command (a sweep) are told: each with its state and score, and means over seeds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wn_rl.errors import show_text
from wn_rl.runs.outcome import Progress, has_begun, read_failure, read_progress
from wn_rl.runs.seed_statistics import SeedStatistics, summarize_seeds
from wn_rl.viewing.pages.run_reader import Evaluation, read_evaluations, read_settings
from wn_rl.viewing.status_display import format_return
from wn_rl.viewing.tables import count_games

STYLES = {"finished": "green", "failed": "red", "begun": "yellow", "waiting": "bright_black"}
"""The states of a run; one that is begun trains now, or was stopped and can go on."""

_SEED = re.compile(r"(^|,)seed=[^,]*")


@dataclass(frozen=True, kw_only=True)
class SweptRun:
    """One run of a sweep.

    Attributes:
        name: of its folder: what is swept, ``game=Pong,seed=1``.
        state: a key of ``STYLES``.
        agent_steps: of its last checkpoint.
        evaluation: the last of training.
        failure: why it stopped, if it failed.
    """

    name: str
    state: str
    agent_steps: int
    evaluation: Evaluation | None
    failure: str | None


def is_sweep_folder(folder: Path) -> bool:
    """Whether the runs in it are named by what is swept."""
    return any("=" in path.name for path in _list_folders(folder))


def read_sweep(folder: Path) -> list[SweptRun]:
    """The runs of a sweep, by name, numbers in their order; nothing in it is trusted."""
    return [_read_run(path) for path in sorted(_list_folders(folder), key=lambda path: _split_numbers(path.name))]


def average_over_seeds(runs: Sequence[SweptRun]) -> dict[str, SeedStatistics]:
    """Statistics of the finished runs under what is swept besides the seed."""
    scores: dict[str, list[float]] = {}
    for run in runs:
        if run.state == "finished" and run.evaluation is not None:
            scores.setdefault(_SEED.sub("", run.name).strip(","), []).append(run.evaluation.mean)
    return {name: summarize_seeds(values) for name, values in scores.items()}


def print_sweep(folder: Path, runs: Sequence[SweptRun], console: Console | None = None) -> None:
    """Print the runs of a sweep as a table, and one of means over seeds where a seed is swept.

    Args:
        folder: of the sweep.
        runs: as ``read_sweep`` finds them there.
        console: where to print; None: the standard output.
    """
    console = Console() if console is None else console
    table = Table(title=Text(f"{folder}, {len(runs)} runs"), title_justify="left", box=None, pad_edge=False)
    for column in ("run", "state"):
        table.add_column(column)
    for column in ("agent steps", "mean return"):
        table.add_column(column, justify="right")
    table.add_column("of")
    for run in runs:
        score = "-" if run.evaluation is None else format_return(run.evaluation.mean)
        table.add_row(
            Text(show_text(run.name)), Text(run.state, style=STYLES[run.state]), f"{run.agent_steps:,}", score,
            Text(show_text(_describe(run))),
        )  # fmt: skip
    console.print(table)
    averages = average_over_seeds(runs)
    if any(average.num_seeds > 1 for average in averages.values()):
        console.print(_make_seed_table(averages))


def _make_seed_table(averages: dict[str, SeedStatistics]) -> Table:
    table = Table(
        title=Text("Finished runs, over training seeds"), title_justify="left", box=None, pad_edge=False
    )  # fmt: skip
    table.add_column("runs")
    for column in ("seeds", "mean return", "95 % interval (Student)"):
        table.add_column(column, justify="right")
    for name, (num_seeds, mean, low, high) in averages.items():
        interval = "-" if low is None or high is None else f"[{format_return(low)}, {format_return(high)}]"
        table.add_row(Text(show_text(name or "all")), str(num_seeds), format_return(mean), Text(interval))
    return table


def _describe(run: SweptRun) -> str:
    """Why a run failed, or what its score is the mean of."""
    if run.failure is not None:
        return run.failure
    if run.evaluation is None:
        return ""
    row = run.evaluation
    pieces = [] if row.episodes is None else [count_games(round(row.episodes))]
    pieces += [row.protocol] if row.epsilon is None else [row.protocol, f"epsilon {row.epsilon:g}"]
    return ", ".join(pieces)


def _read_run(folder: Path) -> SweptRun:
    settings, evaluations = read_settings(folder, []), read_evaluations(folder, [])
    progress, failure = read_progress(folder), read_failure(folder)
    if _is_finished(progress, settings):
        state, failure = "finished", None
    elif failure is not None:
        state = "failed"
    else:
        state = "begun" if has_begun(folder) else "waiting"
    of_training = [row for row in evaluations if row.is_of_training]
    return SweptRun(
        name=folder.name, state=state, agent_steps=progress.agent_steps,
        evaluation=of_training[-1] if of_training else None, failure=failure,
    )  # fmt: skip


def _is_finished(progress: Progress, settings: dict[str, Any]) -> bool:
    total, num_episodes = settings.get("total_agent_steps"), settings.get("evaluation.episodes")
    if not isinstance(total, int) or not isinstance(num_episodes, int):
        return False
    return progress.is_end(total_agent_steps=total, num_episodes=num_episodes)


def _list_folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _split_numbers(name: str) -> list[tuple[int, str]]:
    """Sorts seed=2 before seed=10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]

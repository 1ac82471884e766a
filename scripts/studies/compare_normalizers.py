"""Draw the learning curves of runs that differ in their normalizer: means, and intervals over their seeds.

    python -m scripts.studies.compare_normalizers runs/SpaceInvaders/*

writes docs/figures/normalizers_<Game>.csv and .svg and prints a table. Rows of runs that are not given again stay in
the CSV, so that seeds can be added one day after the other. Runs that differ in anything else are refused.
"""

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from scripts.studies.learning_curves import read_learning_curve
from scripts.studies.study_results import (
    COLORS,
    FIGURES,
    compute_interval,
    make_figure,
    read_rows,
    save_figure,
    write_rows,
)

OWN_SETTINGS = ("normalizer", "seed", "name", "run_dir", "resume", "logger", "progress", "video", "total_agent_steps")
"""What may differ between the runs of a comparison."""


def read_settings(run: Path) -> dict[str, Any]:
    """What a run was made with."""
    return yaml.safe_load((run / "config.yaml").read_text())


def find_difference(first: dict[str, Any], second: dict[str, Any]) -> str | None:
    """The first setting, not counting OWN_SETTINGS, in which two runs differ; None if there is none."""
    names = sorted({*first, *second} - set(OWN_SETTINGS))
    return next((name for name in names if first.get(name) != second.get(name)), None)


def read_run(run: Path, settings: dict[str, Any]) -> list[dict[str, str]]:
    """A row for each iteration."""
    identity = {"normalizer": settings["normalizer"], "seed": settings["seed"]}
    return [
        {name: str(value) for name, value in {**identity, **asdict(point)}.items()}
        for point in read_learning_curve(run)
    ]


def merge(kept: list[dict[str, str]], new: list[dict[str, str]]) -> list[dict[str, str]]:
    """All rows in order; where a run is in both, its new ones."""
    replaced = {identify(row) for row in new}
    rows = [*(row for row in kept if identify(row) not in replaced), *new]
    return sorted(rows, key=lambda row: (*identify(row), int(row["agent_steps"])))


def identify(row: dict[str, str]) -> tuple[str, int]:
    """Which run a row is of."""
    return row["normalizer"], int(row["seed"])


def group(rows: Iterable[dict[str, str]], name: str) -> dict[int, list[float]]:
    """The values of a column over the seeds, by agent steps."""
    values: dict[int, list[float]] = {}
    for row in rows:
        values.setdefault(int(row["agent_steps"]), []).append(float(row[name]))
    return values


def draw(rows: list[dict[str, str]], game: str, path: Path) -> None:
    """Return in training and in evaluation over agent steps; a band where there are several seeds."""
    figure, axes = make_figure(2)
    columns = {"training_mean": "last 100 games of training", "evaluation_mean": "evaluation"}
    for axis, (name, label) in zip(axes[0], columns.items(), strict=True):
        for normalizer in dict.fromkeys(row["normalizer"] for row in rows):
            grouped = group((row for row in rows if row["normalizer"] == normalizer), name)
            intervals = [compute_interval(values, seed=0) for values in grouped.values()]
            color, steps = COLORS[normalizer], list(grouped)
            axis.plot(steps, [one.mean for one in intervals], color=color, marker="o", markersize=3, label=normalizer)
            lows, highs = [one.low for one in intervals], [one.high for one in intervals]
            axis.fill_between(steps, lows, highs, color=color, alpha=0.2, linewidth=0)
        axis.set(title=f"{game}, {label}", xlabel="agent steps")
    axes[0][0].set_ylabel("return of a game")
    axes[0][0].legend(frameon=False)
    save_figure(figure, path)


def describe(values: list[float]) -> str:
    """Mean and interval over seeds; one seed has no interval."""
    interval = compute_interval(values, seed=0)
    return f"{interval.mean:.1f}" + (f" [{interval.low:.1f}, {interval.high:.1f}]" if len(values) > 1 else "")


def summarize(rows: list[dict[str, str]]) -> str:
    """A Markdown table: what each normalizer has after the most agent steps that all runs have done, and that some of
    each normalizer have."""
    last: dict[str, dict[str, int]] = {}
    for row in rows:
        last.setdefault(row["normalizer"], {})[row["seed"]] = int(row["agent_steps"])
    all_runs = min(min(seeds.values()) for seeds in last.values())
    some_runs = min(max(seeds.values()) for seeds in last.values())
    lines = ["| agent steps | normalizer | seeds | return in training | evaluation |", "|---|---|---|---|---|"]
    for steps in sorted({all_runs, some_runs}):
        for normalizer in last:
            there = [row for row in rows if row["normalizer"] == normalizer and int(row["agent_steps"]) == steps]
            cells = [describe([float(row[name]) for row in there]) for name in ("training_mean", "evaluation_mean")]
            lines.append(f"| {steps:,} | {normalizer} | {len(there)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of one game")
    parser.add_argument("--into", type=Path, default=FIGURES)
    options = parser.parse_args()
    settings = [read_settings(run) for run in options.runs]
    for run, other in zip(options.runs, settings, strict=True):
        name = find_difference(settings[0], other)
        if name is not None:
            raise SystemExit(
                f"{run} has {name}={other.get(name)} and {options.runs[0]} has {settings[0].get(name)}:"
                " give runs that differ in normalizer and seed alone"
            )
    game = settings[0]["game"]
    table = options.into / f"normalizers_{game}.csv"
    new = [row for run, own in zip(options.runs, settings, strict=True) for row in read_run(run, own)]
    rows = merge(read_rows(table), new)
    write_rows(table, rows)
    draw(rows, game, table.with_suffix(".svg"))
    print(summarize(rows))


if __name__ == "__main__":
    main()

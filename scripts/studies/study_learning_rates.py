"""Is weight normalization robust to the learning rate? Returns and TD errors over learning rates 1e-5 to 1e-1.

    python -m scripts.studies.study_learning_rates                        what is missing on CartPole, then the figure
    python -m scripts.studies.study_learning_rates --minutes 4  begin no run after 4 minutes; go on another time
    python -m scripts.studies.study_learning_rates --problem Breakout --seeds 0 1 --learning-rates 1e-4 1e-3
    python -m scripts.studies.study_learning_rates --figure-only

Every finished run is a row of docs/figures/learning_rates_<problem>.csv; a run that has its row is not done again.
All networks start from the same data-dependent initialization (Section 3, Salimans & Kingma 2016) and learn with Adam,
so that they differ in the reparameterization alone, as in the paper. All are trained by the application itself:
CartPole with ``preset=cartpole``, an Atari game with ``preset=quick`` under the protocol machado and a shorter time
limit; ``--settings`` are passed on to it.
"""

import argparse
import contextlib
import io
import json
import logging
import math
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from scripts.studies.study_results import (
    COLORS,
    FIGURES,
    append_row,
    compute_interval,
    make_figure,
    read_rows,
    save_figure,
)

LEARNING_RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
RUN_COLUMNS = ("problem", "normalizer", "learning_rate", "seed", "agent_steps")
"""What tells one run from another."""

CART_POLE = "CartPole-v1"
MAX_EPISODE_FRAMES = 8000  # 2,000 agent steps: an agent that waits for ever does not hold up its evaluation
EVALUATION_EPISODES = 10


class Outcome(NamedTuple):
    """What a training came to: the mean return of its last evaluation, and the last |TD error|."""

    num_updates: int
    mean_return: float
    td_error: float


def train(
    problem: str, normalizer: str, *, learning_rate: float, seed: int, agent_steps: int, settings: Sequence[str]
) -> Outcome:
    """Train by the application; one evaluation at the end. A run that diverged has infinite TD error and no return."""
    from wn_rl.app.composition import compose_settings
    from wn_rl.app.training import start_run
    from wn_rl.errors import ConfigurationError

    own = {"game": problem, "preset": "quick", "protocol.max_episode_frames": MAX_EPISODE_FRAMES}
    if problem == CART_POLE:
        own = {"preset": "cartpole"}
    words = {
        **own, "normalizer": normalizer, "learning_rate": learning_rate, "seed": seed,
        "total_agent_steps": agent_steps, "iteration_agent_steps": agent_steps, "replay.capacity": agent_steps,
        "warmup_agent_steps": agent_steps // 10, "exploration.decay_agent_steps": agent_steps // 2,
        "chunk_agent_steps": agent_steps // 10,
        "evaluation.episodes": EVALUATION_EPISODES, "evaluation.num_envs": EVALUATION_EPISODES,
        "video.period_iterations": 0, "weight_statistics.period_agent_steps": 0, "logger": "none", "progress": "false",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"{key}={value}" for key, value in words.items()]
        config, _ = compose_settings("train", [*overrides, *settings, f"run_dir={folder}/run"])
        with contextlib.redirect_stdout(io.StringIO()):
            run = start_run(config, preset=own["preset"])
            try:
                run.train()
            except ConfigurationError as error:
                if "diverged" not in str(error):
                    raise
                return Outcome(run.algorithm.num_updates, math.nan, math.inf)
        row = json.loads((run.folder / "evaluations.jsonl").read_text().splitlines()[-1])
        td_error = run.algorithm.metrics.latest["train/absolute_td_error"]
        return Outcome(run.algorithm.num_updates, row["mean"], td_error)


def list_runs(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The runs asked for: seed after seed, so that an interruption leaves whole curves."""
    return [
        dict(zip(RUN_COLUMNS, (options.problem, normalizer, learning_rate, seed, options.agent_steps), strict=True))
        for seed in options.seeds
        for learning_rate in options.learning_rates
        for normalizer in options.normalizers
    ]


def identify(row: dict[str, Any]) -> tuple[Any, ...]:
    """What tells a run from another, also as the text of a CSV file."""
    return (
        row["problem"], row["normalizer"], float(row["learning_rate"]), int(row["seed"]), int(row["agent_steps"])
    )  # fmt: skip


def do_runs(options: argparse.Namespace, table: Path) -> None:
    """Do the runs that have no row yet, until the time is over."""
    done = {identify(row) for row in read_rows(table)}
    missing = [run for run in list_runs(options) if identify(run) not in done]
    began = time.monotonic()
    for number, run in enumerate(missing):
        spent_minutes = (time.monotonic() - began) / 60
        if spent_minutes > options.minutes:
            print(f"{len(missing) - number} runs are left: call again to go on")
            return
        arguments = {key: run[key] for key in ("learning_rate", "seed", "agent_steps")}
        begin = time.process_time()
        outcome = train(run["problem"], run["normalizer"], **arguments, settings=options.settings)
        row = {**run, **outcome._asdict(), "cpu_seconds": round(time.process_time() - begin, 1)}
        append_row(table, row)
        print(row, flush=True)


def draw(table: Path, figure_path: Path) -> None:
    """Return and |TD error| over the learning rate, one column per problem, with intervals over seeds."""
    rows = read_rows(table)
    problems = list(dict.fromkeys(row["problem"] for row in rows))
    figure, axes = make_figure(len(problems), 2, sharex=True)
    for column, problem in enumerate(problems):
        own = [row for row in rows if row["problem"] == problem]
        for line, (name, label) in enumerate((("mean_return", "return"), ("td_error", "mean |TD error| at the end"))):
            axis = axes[line][column]
            for number, normalizer in enumerate(dict.fromkeys(row["normalizer"] for row in own)):
                _draw_curve(axis, [row for row in own if row["normalizer"] == normalizer], name, number)
            axis.set(xscale="log", ylabel=label)
            if name == "td_error":
                axis.set(yscale="log", xlabel="learning rate (Adam)")
        steps = {int(row["agent_steps"]) for row in own}
        axes[0][column].set_title(f"{problem}, {max(steps):,} agent steps")
    axes[0][0].legend(frameon=False)
    save_figure(figure, figure_path)


def _draw_curve(axis: Any, rows: list[dict[str, str]], name: str, number: int) -> None:
    """One normalizer: the mean over seeds, its interval, and every run as a point, beside those of the others."""
    color, shift = COLORS[rows[0]["normalizer"]], 1.06**number
    learning_rates = sorted({float(row["learning_rate"]) for row in rows})
    values = [[float(row[name]) for row in rows if float(row["learning_rate"]) == rate] for rate in learning_rates]
    finite = [[value for value in one if math.isfinite(value)] for one in values]
    intervals = [compute_interval(one, seed=0) for one in finite]
    axis.plot(learning_rates, [one.mean for one in intervals], color=color, label=rows[0]["normalizer"])
    axis.fill_between(
        learning_rates, [one.low for one in intervals], [one.high for one in intervals], color=color, alpha=0.2, lw=0
    )
    for rate, one in zip(learning_rates, finite, strict=True):
        axis.plot([rate * shift] * len(one), one, ".", color=color, markersize=3, alpha=0.6)


def summarize(table: Path) -> str:
    """A Markdown table: the best learning rate of each normalizer, and how many come near it."""
    lines = [
        "| problem | normalizer | seeds | best learning rate | return there | rates with half of that or more |",
        "|---|---|---|---|---|---|",
    ]
    rows = read_rows(table)
    for problem, normalizer in dict.fromkeys((row["problem"], row["normalizer"]) for row in rows):
        own = [row for row in rows if (row["problem"], row["normalizer"]) == (problem, normalizer)]
        returns: dict[float, list[float]] = {}
        for row in own:
            returns.setdefault(float(row["learning_rate"]), []).append(float(row["mean_return"]))
        means = {rate: sum(values) / len(values) for rate, values in returns.items()}
        best = max(means, key=lambda rate: means[rate] if math.isfinite(means[rate]) else -math.inf)
        interval = compute_interval(returns[best], seed=0)
        near = sum(mean >= means[best] / 2 for mean in means.values())
        lines.append(
            f"| {problem} | {normalizer} | {len(returns[best])} | {best:g} | {interval.mean:.1f}"
            f" ({interval.low:.1f} to {interval.high:.1f}) | {near} of {len(means)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default=CART_POLE, help=f"{CART_POLE}, or an Atari game")
    parser.add_argument("--normalizers", nargs="+", default=["none", "weight_norm"], choices=list(COLORS))
    parser.add_argument("--learning-rates", nargs="+", type=float, default=list(LEARNING_RATES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--agent-steps", type=int, default=3000)
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no further run begins")
    parser.add_argument("--settings", nargs="*", default=[], help="of an Atari run, as the command line takes them")
    parser.add_argument("--table", type=Path, default=None, help="docs/figures/learning_rates_<problem>.csv")
    parser.add_argument("--figure-only", action="store_true")
    options = parser.parse_args()
    table = options.table or FIGURES / f"learning_rates_{options.problem}.csv"
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    if not options.figure_only:
        do_runs(options, table)
    draw(table, table.with_suffix(".svg"))
    print(summarize(table))


if __name__ == "__main__":
    main()

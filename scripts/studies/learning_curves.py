"""The learning curve of a run: what it returned, after how many agent steps, frames and minutes."""

import csv
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.studies.study_results import write_rows

FRAMES_PER_AGENT_STEP = 4


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """The end of an iteration.

    Attributes:
        agent_steps, frames, minutes: so far; minutes are those of training, evaluations apart.
        training_mean: mean return of the last 100 games of training, with exploration.
        evaluation_mean, evaluation_ci95_low, evaluation_ci95_high: of the evaluation, with its 95 % interval.
    """

    agent_steps: int
    frames: int
    minutes: float
    training_mean: float
    evaluation_mean: float
    evaluation_ci95_low: float
    evaluation_ci95_high: float


def read_learning_curve(run: Path) -> list[CurvePoint]:
    """The iterations in ``metrics.csv`` that ended in an evaluation.

    Minutes are summed over the rows, each an interval of agent steps and the speed in it, so that the time between
    stopping a run and going on with it does not count.
    """
    points, minutes, agent_steps, training_mean = [], 0.0, 0, float("nan")
    with (run / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["speed/agent_steps_per_second"]:
                steps = int(row["agent_steps"]) - agent_steps
                minutes += steps / float(row["speed/agent_steps_per_second"]) / 60
                agent_steps += steps
            if row.get("train/mean_return"):  # there is none before the first game has ended
                training_mean = float(row["train/mean_return"])
            if row["evaluation/mean"]:
                point = CurvePoint(
                    agent_steps=int(row["agent_steps"]), frames=FRAMES_PER_AGENT_STEP * int(row["agent_steps"]),
                    minutes=round(minutes, 2), training_mean=training_mean,
                    evaluation_mean=float(row["evaluation/mean"]),
                    evaluation_ci95_low=float(row["evaluation/ci95_low"]),
                    evaluation_ci95_high=float(row["evaluation/ci95_high"]),
                )  # fmt: skip
                points.append(point)
    return points


def write_learning_curve(path: Path, points: list[CurvePoint]) -> None:
    """As CSV, a line a point."""
    write_rows(path, [asdict(point) for point in points])

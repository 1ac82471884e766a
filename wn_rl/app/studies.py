"""The runs of a declared comparison: how they are run, and what each of them came to.

Stage 1 trains every arm at every learning rate on seeds of its own and chooses each arm's best; stage 2 trains every
arm at that rate on new seeds. Both are sweeps of ``wn_rl.train``, which check their runs, skip what is finished and go
on with what is begun, on whatever launcher.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import numpy as np

from wn_rl.app.command_line import EXIT_MISUSE
from wn_rl.app.composition import write_words
from wn_rl.app.study_settings import Study, name_folder
from wn_rl.errors import ConfigurationError
from wn_rl.runs.outcome import has_begun, read_failure
from wn_rl.runs.score_statistics import Scores
from wn_rl.runs.seed_statistics import summarize_seeds
from wn_rl.viewing.pages.run_reader import STEPS_COLUMN, RunFolder, read_run_folder
from wn_rl.viewing.study_report import ArmResult, StudyResult

SELECTION, COMPARISON = "selection", "comparison"
"""The stages, and their folders."""


class Sweep(NamedTuple):
    """The runs of one arm on one problem in one stage: its folder, and the words of its command."""

    folder: Path
    words: list[str]


def list_sweeps(study: Study, folder: Path, stage: str, rates: Mapping[str, float]) -> list[Sweep]:
    """The sweeps of a stage, problem by problem, so that early answers are about all arms.

    Args:
        folder: of the study.
        rates: each arm's learning rate, for the second stage.
    """
    sweeps = []
    for problem, of_problem in study.problems.items():
        for arm, of_arm in study.arms.items():
            settings = study.settings | of_problem | of_arm
            seeds, learning_rates = study.seeds, [rates.get(arm)]
            if stage == SELECTION:
                settings |= {"total_agent_steps": study.selection.total_agent_steps}
                seeds, learning_rates = study.selection.seeds, list(study.learning_rates)
            words = write_words(settings)
            words += [f"{key}={','.join(map(str, values))}" for key, values in
                      (("learning_rate", learning_rates), ("seed", seeds))]  # fmt: skip
            sweeps.append(Sweep(folder / stage / name_folder(arm, problem), words))
    return sweeps


def run_study(study: Study, folder: Path, launch: Sequence[str]) -> bool:
    """Run what is missing, stage by stage; False if the user stopped it.

    Args:
        folder: of the study.
        launch: words for every sweep, as those that choose a launcher.

    Raises:
        ConfigurationError: runs could not be begun, or an arm lacks those that its learning rate is chosen by.
    """
    if len(study.learning_rates) > 1 and not run_sweeps(list_sweeps(study, folder, SELECTION, {}), launch):
        return False
    rates = choose_rates(study, read_runs(study, folder, SELECTION))
    if missing := [arm for arm in study.arms if arm not in rates]:
        raise ConfigurationError(f"{folder}: runs of {', '.join(missing)} are missing; the same command goes on")
    return run_sweeps(list_sweeps(study, folder, COMPARISON, rates), launch)


def run_sweeps(sweeps: Sequence[Sweep], launch: Sequence[str]) -> bool:
    """Run what is missing of them; False if the user stopped it, which leaves a checkpoint of what was under way.

    Raises:
        ConfigurationError: one of them could not be begun.
    """
    for position, sweep in enumerate(sweeps, 1):
        print(f"--- {position} of {len(sweeps)}: {sweep.folder}", flush=True)
        command = [sys.executable, "-m", "wn_rl.train", "-m", f"sweep={sweep.folder}", *sweep.words, *launch]
        process = subprocess.Popen(command)
        with _waiting(process) as stopped:
            status = process.wait()
        if stopped:
            return False
        if status not in (0, EXIT_MISUSE) or not any(_list_runs(sweep.folder)):
            raise ConfigurationError(f"{sweep.folder}: its runs could not be begun (exit status {status}, see above)")
    return True


@contextmanager
def _waiting(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Signals that come meanwhile: Ctrl-C reaches the sweep by itself, SIGTERM is handed on."""
    received: list[int] = []

    def note(signal_number: int, frame: FrameType | None) -> None:
        received.append(signal_number)
        if signal_number == signal.SIGTERM:
            process.terminate()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for signal_number, handler in before.items():
            signal.signal(signal_number, handler)


class StudyRun(NamedTuple):
    """What one run came to.

    ``final`` is the mean of the last evaluation of training, ``area`` the mean return in training over its agent steps
    (the area under the learning curve, divided by its length); of a run that failed, as one that diverged, both are
    None. ``agent_steps`` is how far it is.
    """

    stage: str
    arm: str
    problem: str
    learning_rate: float
    seed: int
    agent_steps: int
    final: float | None
    area: float | None
    failure: str | None


def read_runs(study: Study, folder: Path, stage: str) -> list[StudyRun]:
    """The runs of a stage that have come to their end, in the order of arms and problems."""
    runs = []
    for arm in study.arms:
        for problem in study.problems:
            runs += [
                run for path in _list_runs(folder / stage / name_folder(arm, problem))
                if (run := _read_run(path, stage, arm, problem)) is not None
            ]  # fmt: skip
    return runs


def read_all_runs(study: Study, folder: Path) -> list[StudyRun]:
    """Those of both stages."""
    return [*read_runs(study, folder, SELECTION), *read_runs(study, folder, COMPARISON)]


def _list_runs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if has_begun(path))


def _read_run(path: Path, stage: str, arm: str, problem: str) -> StudyRun | None:
    run = read_run_folder(path)
    evaluations = [row for row in run.evaluations if row.is_of_training]
    rate, seed, total = (run.settings.get(key) for key in ("learning_rate", "seed", "total_agent_steps"))
    if not isinstance(rate, int | float) or not isinstance(seed, int) or not isinstance(total, int):
        return None
    made = (stage, arm, problem, float(rate), seed, run.agent_steps)
    if (failure := read_failure(path)) is not None:
        return StudyRun(*made, None, None, failure)
    if not evaluations or evaluations[-1].agent_steps < total:
        return None
    return StudyRun(*made, evaluations[-1].mean, compute_area(run), None)


def compute_area(run: RunFolder) -> float:
    """The mean return of the last 100 games of training, averaged over agent steps by the trapezoidal rule.

    Of a run in which no game came to its end it is not a number.
    """
    steps, returns = run.metrics.get(STEPS_COLUMN, []), run.metrics.get("train/mean_return", [])
    points = [(x, y) for x, y in zip(steps, returns, strict=bool(returns)) if x is not None and y is not None]
    if not points:
        return float("nan")
    x, y = np.array(points, np.float64).T
    return float((np.diff(x) @ (y[1:] + y[:-1])) / 2 / (x[-1] - x[0])) if x[-1] > x[0] else float(y.mean())


def group_scores(study: Study, runs: Sequence[StudyRun], measure: str) -> Scores:
    """Normalized scores of one arm's runs, by problem; a run that failed counts as random play, 0.

    Args:
        measure: "final" or "area".
    """
    return [
        np.array([_normalize(study, run, measure) for run in runs if run.problem == problem], np.float64)
        for problem in study.problems
    ]


def _normalize(study: Study, run: StudyRun, measure: str) -> float:
    value = getattr(run, measure)
    return 0.0 if value is None or not np.isfinite(value) else study.compute_normalized(run.problem, value)


def rate_scores(study: Study, runs: Sequence[StudyRun]) -> dict[str, dict[float, float]]:
    """For each arm, the mean over problems of the normalized area at each learning rate that was tried there."""
    scores: dict[str, dict[float, float]] = {}
    for arm in study.arms:
        for rate in study.learning_rates:
            of_rate = [run for run in runs if run.arm == arm and run.learning_rate == rate]
            by_problem = [values for values in group_scores(study, of_rate, "area") if len(values)]
            if len(by_problem) == len(study.problems):
                scores.setdefault(arm, {})[rate] = float(np.mean([values.mean() for values in by_problem]))
    return scores


def choose_rates(study: Study, runs: Sequence[StudyRun]) -> dict[str, float]:
    """Each arm's best learning rate, of those arms whose runs of stage 1 are all there."""
    if len(study.learning_rates) == 1:
        return dict.fromkeys(study.arms, study.learning_rates[0])
    num_seeds = len(study.selection.seeds)
    scores = rate_scores(study, runs)
    chosen = {}
    for arm in study.arms:
        num_runs = sum(run.arm == arm and run.seed in study.selection.seeds for run in runs)
        if num_runs >= num_seeds * len(study.learning_rates) * len(study.problems):
            chosen[arm] = max(scores[arm], key=lambda rate: scores[arm][rate])
    return chosen


def summarize_study(study: Study, runs: Sequence[StudyRun]) -> StudyResult:
    """What a report shows of the finished runs of both stages."""
    selection = [run for run in runs if run.stage == SELECTION]
    comparison = [run for run in runs if run.stage == COMPARISON]
    chosen = choose_rates(study, selection)
    arms = []
    for arm, rate in chosen.items():
        of_arm = [run for run in comparison if run.arm == arm and run.learning_rate == rate]
        if {run.problem for run in of_arm} == study.problems.keys():
            arms.append(_summarize_arm(study, arm, rate, of_arm))
    planned = len(study.arms) * len(study.problems) * len(study.seeds)
    if len(study.learning_rates) > 1:
        planned += len(study.arms) * len(study.problems) * len(study.selection.seeds) * len(study.learning_rates)
    return StudyResult(
        name=study.name, question=study.question, rates=rate_scores(study, selection), arms=arms,
        missing=max(0, planned - len(runs)),
    )  # fmt: skip


def _summarize_arm(study: Study, arm: str, rate: float, runs: Sequence[StudyRun]) -> ArmResult:
    finals = {
        problem: [run.final for run in runs if run.problem == problem and run.final is not None]
        for problem in study.problems
    }
    return ArmResult(
        name=arm, learning_rate=rate, final=group_scores(study, runs, "final"), area=group_scores(study, runs, "area"),
        raw={problem: summarize_seeds(values) for problem, values in finals.items() if values},
        num_failed=sum(run.failure is not None for run in runs),
    )  # fmt: skip

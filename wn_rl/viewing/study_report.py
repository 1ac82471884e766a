"""What a study shows: its runs as a table of numbers, and its statistics as Markdown and as a page."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from markupsafe import Markup

from wn_rl.runs.score_statistics import (
    Estimate,
    Scores,
    compute_improvement,
    compute_interquartile_mean,
    compute_profile,
    estimate,
)
from wn_rl.runs.seed_statistics import SeedStatistics
from wn_rl.system.files import write_whole
from wn_rl.viewing.pages.templating import render, write_page

RUNS_FILE, REPORT_FILE = "runs.csv", "report.md"
GOOD_SHARE = 0.8
"""A learning rate is good where an arm has that share of what it has at its best one."""
THRESHOLDS = np.linspace(0, 1.5, 61)
WIDTH, HEIGHT = 560, 260
"""Of the chart of profiles, in pixels."""


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """What one arm came to in the comparison.

    Attributes:
        learning_rate: the one that was chosen for it.
        final, area: normalized scores of its runs, by problem: the last evaluation, and the area under the curve.
        raw: last evaluations in points, by problem: mean and Student's interval over seeds.
        num_failed: runs that failed, and count as random play.
    """

    name: str
    learning_rate: float
    final: Scores
    area: Scores
    raw: Mapping[str, SeedStatistics]
    num_failed: int


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """All that a report shows.

    Attributes:
        rates: normalized area by arm and learning rate, of stage 1.
        arms: of stage 2; the first is what the others are compared with.
        missing: how many runs are missing still.
    """

    name: str
    question: str
    rates: Mapping[str, Mapping[float, float]]
    arms: Sequence[ArmResult]
    missing: int


@dataclass(frozen=True)
class TextTable:
    """A table of texts under a title, with a note below it."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


def write_report(folder: Path, result: StudyResult, rows: Sequence[Mapping[str, object]]) -> list[Path]:
    """Write ``runs.csv``, ``report.md`` and ``index.html``, and return their paths."""
    table = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(table, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    write_whole(folder / RUNS_FILE, table.getvalue().encode())
    tables = make_tables(result)
    write_whole(folder / REPORT_FILE, _write_markdown(result, tables).encode())
    return [folder / REPORT_FILE, folder / RUNS_FILE, write_page(folder, _render(result, tables))]


def make_tables(result: StudyResult) -> list[TextTable]:
    """The learning rates, the statistics over problems, and each problem apart; none for a stage without runs."""
    tables = [_tell_rates(result)] if any(len(scores) > 1 for scores in result.rates.values()) else []
    if result.arms:
        tables += [_tell_arms(result.arms), _tell_problems(result.arms)]
    return tables


def _tell_rates(result: StudyResult) -> TextTable:
    rates = sorted({rate for scores in result.rates.values() for rate in scores})
    rows = []
    for arm, scores in result.rates.items():
        best = max(scores.values())
        good = [rate for rate, score in scores.items() if score >= GOOD_SHARE * best > 0]
        width = f"{max(good) / min(good):g} times" if good else "-"
        cells = [f"{scores[rate]:.3f}" if rate in scores else "" for rate in rates]
        rows.append([arm, *cells, width])
    return TextTable(
        "Learning rates", ["arm", *(f"{rate:g}" for rate in rates), "good range"], rows,
        "Stage 1, on seeds of its own: area under the learning curve, normalized, mean over problems and seeds. Good is"
        f" a rate with at least {GOOD_SHARE:.0%} of the arm's best; its range is the greatest over the least.",
    )  # fmt: skip


def _tell_arms(arms: Sequence[ArmResult]) -> TextTable:
    first, rows = arms[0], []
    for arm in arms:
        final, area = (estimate(compute_interquartile_mean, scores, seed=0) for scores in (arm.final, arm.area))
        better = "-" if arm is first else _tell_improvement(estimate(compute_improvement, arm.area, first.area, seed=0))
        num_runs = str(sum(map(len, arm.final)))
        rows.append(
            [arm.name, f"{arm.learning_rate:g}", num_runs, str(arm.num_failed), _tell(area), _tell(final), better]
        )
    return TextTable(
        "Over all problems",
        ["arm", "learning rate", "runs", "failed", "IQM of area", "IQM of final score", f"P(better than {first.name})"],
        rows,
        "Stage 2. IQM: the mean of the middle half of all runs, normalized (0 is random play, 1 a human tester, or the"
        " study's own bounds), with its 95 % stratified bootstrap interval. P: the probability that a run has a greater"
        " area than one of the first arm, mean over problems (Agarwal et al. 2021); an arm is called better or worse"
        " only where the interval excludes one half. A run that failed counts as random play.",
    )  # fmt: skip


def _tell_improvement(value: Estimate) -> str:
    if value.low is None or value.high is None:
        return f"{value.value:.2f}, too few runs"
    verdict = "better" if value.low > 0.5 else "worse" if value.high < 0.5 else "not told apart"
    return f"{_tell(value, digits=2)}, {verdict}"


def _tell_problems(arms: Sequence[ArmResult]) -> TextTable:
    problems = list(arms[0].raw)
    rows = [[arm.name, *(_tell_seeds(arm.raw.get(problem)) for problem in problems)] for arm in arms]
    return TextTable(
        "Each problem", ["arm", *problems], rows,
        "Stage 2: mean return of the last evaluation over seeds, with Student's 95 % interval.",
    )  # fmt: skip


def _tell_seeds(statistics: SeedStatistics | None) -> str:
    if statistics is None:
        return ""
    if statistics.low is None:
        return f"{statistics.mean:.1f}"
    return f"{statistics.mean:.1f} [{statistics.low:.1f}, {statistics.high:.1f}]"


def _tell(value: Estimate, *, digits: int = 3) -> str:
    shown = f"{value.value:.{digits}f}"
    return shown if value.low is None else f"{shown} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def _write_markdown(result: StudyResult, tables: Sequence[TextTable]) -> str:
    lines = [f"# {result.question}", "", _tell_state(result), ""]
    for table in tables:
        lines += [f"## {table.title}", "", f"| {' | '.join(table.head)} |", f"|{'---|' * len(table.head)}"]
        lines += [f"| {' | '.join(row)} |" for row in table.rows]
        lines += ["", table.note, ""]
    return "\n".join(lines)


def _tell_state(result: StudyResult) -> str:
    missing = f"{result.missing} runs are missing still" if result.missing else "all runs are there"
    return f"Study {result.name}: {missing}."


def _render(result: StudyResult, tables: Sequence[TextTable]) -> str:
    profiles = [
        {"name": arm.name, "points": _make_points(compute_profile(arm.final, THRESHOLDS)), "number": number % 8}
        for number, arm in enumerate(result.arms)
    ]
    return render(
        "study.html", [], data=Markup("{}"), refresh_seconds=None, result=result, state=_tell_state(result),
        tables=tables, profiles=profiles, width=WIDTH, height=HEIGHT, greatest=float(THRESHOLDS[-1]),
        written=f"{datetime.now():%Y-%m-%d %H:%M}",
    )  # fmt: skip


def _make_points(shares: np.ndarray) -> str:
    """The points of a line in the chart of profiles."""
    xs, ys = THRESHOLDS / THRESHOLDS[-1] * WIDTH, (1 - shares) * HEIGHT
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))

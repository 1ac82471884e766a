"""The curves of a page: series over agent steps, thinned so that a page stays small."""

import itertools
from typing import Any

from wn_rl.runs.scores import MIN_INTERVAL_GAMES, REFERENCE_RETURNS, compute_human_normalized_score
from wn_rl.viewing.pages.run_reader import STEPS_COLUMN, Columns, Evaluation, RunFolder

SPEED_COLUMN, EVALUATION_SECONDS_COLUMN = "speed/agent_steps_per_second", "speed/evaluation_seconds"
SECONDS_PER_HOUR = 3600
MAX_POINTS = 600
"""More than the pixels that most screens have for a curve."""

Series = dict[str, Any]
"""name, steps, y, and for an evaluation low and high; lists of one length."""

TITLES = {
    "train/loss": ("Loss", "mean over the updates of a chunk"),
    "train/max_q_value": ("Q-values", "greatest of a state, mean over minibatches"),
    "train/absolute_td_error": ("TD error", "mean absolute value"),
    "train/kl_divergence": ("KL divergence", "of the learned distribution of returns from its target, mean"),
    "train/mean_return": ("Training return", "mean of the last training games, exploration included"),
    "train/epsilon": ("Exploration", "epsilon: probability of a random action while training"),
    "train/mean_episode_agent_steps": ("Length of training games", "agent steps, mean of the last games"),
    "evaluation/mean_episode_agent_steps": ("Length of evaluation games", "agent steps, mean"),
    "speed/agent_steps_per_second": ("Speed", "agent steps per second"),
    "speed/updates_per_second": ("Updates per second", "optimizer steps"),
    "speed/evaluation_seconds": ("Time of an evaluation", "seconds"),
    "speed/weight_statistics_seconds": ("Time of the weight statistics", "seconds"),
}
WEIGHT_TITLES = {
    "v_norm_mean": ("‖v‖, mean", "length of the weight vectors that are learned, per layer"),
    "v_norm_max": ("‖v‖, longest", "of a layer's weight vectors"),
    "g_mean": ("g, mean", "the length that normalization gives the weights, per layer"),
    "w_norm_mean": ("‖w‖, mean", "length of the weights that compute, per layer"),
    "w_norm_max": ("‖w‖, longest", "of a layer's weight vectors"),
    "gradient_norm": ("Gradient", "‖∇v L‖ of the last update, ‖∇w L‖ of plain layers"),
    "g_gradient_norm": ("Gradient of g", "‖∇g L‖ of the last update, per layer"),
    "effective_learning_rate": ("Effective learning rate", "of the direction: falls as v grows longer"),
    "update_angle": ("Turn per update", "radians by which one update turned the weight vectors"),
    "dormant_share": ("Dormant units", "share of units that are all but silent beside their layer"),
    "effective_rank": ("Rank of the features", "directions in which the last hidden layer tells states apart"),
}
COUNTERS = ("train/updates", "train/episodes", STEPS_COLUMN)
"""They rise evenly: as curves they say nothing."""
ALL_LAYERS = "all layers"
EXACT = ("train/epsilon",)
"""Without noise: not to be smoothed."""


def make_charts(run: RunFolder) -> list[dict[str, Any]]:
    """The charts of a run's page in their order; a chart without data is left out."""
    shown = {"train/mean_return", *COUNTERS}
    main = [name for name in TITLES if name in run.metrics and name not in shown]
    others = [
        name for name in run.metrics
        if name not in {*TITLES, *shown} and not name.startswith(("weights/", "evaluation/"))
    ]  # fmt: skip
    charts = [_make_learning_chart(run), _make_human_chart(run)]
    charts += [_make_chart(run.metrics, name) for name in main]
    charts += make_weight_charts(run.metrics)
    charts += [_make_chart(run.metrics, name) for name in others]
    return [chart for chart in charts if any(series["steps"] for series in chart["series"])]


def describe_metric(column: str) -> str:
    """A metric's name for readers: of ``train/loss`` "Loss", of ``weights/conv1/v_norm_mean`` "‖v‖, mean: conv1"."""
    if not column.startswith("weights/"):
        return TITLES.get(column, (column, ""))[0]
    layer, _, statistic = column.removeprefix("weights/").rpartition("/")
    title = WEIGHT_TITLES.get(statistic, (statistic.replace("_", " ").capitalize(), ""))[0]
    return f"{title}: {layer}" if layer else title


def make_training_series(
    metrics: Columns, column: str, name: str, max_points: int = MAX_POINTS, *, counter: str = STEPS_COLUMN
) -> Series:
    """One column over agent steps, or over another ``counter``.

    Beyond ``max_points`` each point is the mean of as many neighbors as needed.
    """
    pairs = [
        (steps, value) for steps, value in zip(metrics.get(counter, []), metrics.get(column, []), strict=False)
        if steps is not None and value is not None
    ]  # fmt: skip
    size = -(-len(pairs) // max_points) or 1
    buckets = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    return {
        "name": name,
        "steps": [int(bucket[-1][0]) for bucket in buckets],
        "y": [_round(sum(value for _, value in bucket) / len(bucket)) for bucket in buckets],
    }


def make_evaluation_series(evaluations: list[Evaluation], name: str) -> Series:
    """Means with their intervals, None where there is none."""
    return {
        "name": name,
        "marks": True,
        "steps": [row.agent_steps for row in evaluations],
        "y": [_round(row.mean) for row in evaluations],
        "low": [None if row.ci95_low is None else _round(row.ci95_low) for row in evaluations],
        "high": [None if row.ci95_high is None else _round(row.ci95_high) for row in evaluations],
    }


def make_human_series(game: str, evaluations: list[Evaluation], name: str) -> Series:
    """The same in percent of the way from random play to a human tester; empty where nobody measured a human."""
    series = make_evaluation_series(evaluations, name)
    if compute_human_normalized_score(game, 0.0) is None:
        return {**series, "steps": [], "y": [], "low": [], "high": []}
    for key in ("y", "low", "high"):
        series[key] = [
            None if value is None else _round(100 * (compute_human_normalized_score(game, value) or 0.0))
            for value in series[key]
        ]
    return series


def compute_hours(metrics: Columns) -> dict[str, list[float]]:
    """Agent steps to hours of training and evaluating, cumulated from the speeds that were written.

    Each chunk lasts (agent steps since the one before) / (its agent steps per second); evaluations add their
    seconds. Warm-up, checkpoints and pauses are not in it: nothing in metrics.csv says how long they took.

    Returns:
        "steps" and "hours", rising, thinned.
    """
    steps_column, speeds = metrics.get(STEPS_COLUMN, []), metrics.get(SPEED_COLUMN, [])
    evaluation_seconds = metrics.get(EVALUATION_SECONDS_COLUMN, [None] * len(steps_column))
    chunk_ends = [s for s, speed in zip(steps_column, speeds, strict=False) if s is not None and speed]
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(chunk_ends))
    first = gaps[len(gaps) // 2] if gaps else 0.0  # its beginning, the end of the warm-up, is not written
    seconds, previous = 0.0, None
    result: dict[str, list[float]] = {"steps": [], "hours": []}
    for steps, speed, evaluating in zip(steps_column, speeds, evaluation_seconds, strict=False):
        seconds += evaluating or 0.0
        if steps is None or not speed or speed < 0:
            continue
        seconds += (first if previous is None else max(steps - previous, 0.0)) / speed
        previous = steps
        result["steps"].append(int(steps))
        result["hours"].append(_round(seconds / SECONDS_PER_HOUR))
    stride = -(-len(result["steps"]) // MAX_POINTS) or 1
    return {key: [*values[:-1:stride], *values[-1:]] for key, values in result.items()}


def _make_learning_chart(run: RunFolder) -> dict[str, Any]:
    training = make_training_series(run.metrics, "train/mean_return", "training")
    while_training = [row for row in run.evaluations if row.is_of_training]
    later = [row for row in run.evaluations if not row.is_of_training]
    references = REFERENCE_RETURNS.get(run.game)
    return {
        "id": "learning",
        "title": "Return",
        "note": "undiscounted, unclipped score of whole games; bars and band: 95 % bootstrap interval of the mean,"
        f" from {MIN_INTERVAL_GAMES} games on",
        "series": [
            {**make_evaluation_series(while_training, "evaluation mean")},
            {**training, "color": 1},
            *([{**make_evaluation_series(later, "evaluate command"), "line": False, "color": 2}] if later else []),
        ],
        "references": []
        if references is None
        else [{"name": "human", "y": references.human}, {"name": "random", "y": references.random}],
    }


def _make_human_chart(run: RunFolder) -> dict[str, Any]:
    while_training = [row for row in run.evaluations if row.is_of_training]
    return {
        "id": "human",
        "title": "Human-normalized score",
        "note": "0 % is random play, 100 % a human tester",
        "unit": " %",
        "series": [make_human_series(run.game, while_training, "evaluation mean")],
        "references": [{"name": "human", "y": 100}, {"name": "random", "y": 0}],
    }


def _make_chart(metrics: Columns, column: str) -> dict[str, Any]:
    title, note = TITLES.get(column, (column, ""))
    series = make_training_series(metrics, column, title)
    return {"id": column, "title": title, "note": note, "series": [{**series, "smooth": column not in EXACT}]}


def make_weight_charts(metrics: Columns, *, counter: str = STEPS_COLUMN) -> list[dict[str, Any]]:
    """A chart per statistic, a curve per layer, of columns such as ``weights/<layer>/<statistic>``."""
    charts: dict[str, dict[str, Any]] = {}
    for column in metrics:
        if column.startswith("weights/"):
            layer, _, statistic = column.removeprefix("weights/").rpartition("/")
            unknown = (statistic.replace("_", " ").capitalize(), "per layer" if layer else "")
            title, note = WEIGHT_TITLES.get(statistic, unknown)
            chart: dict[str, Any] = {
                "id": f"weights/{statistic}",
                "title": f"Weights: {title}",
                "note": note,
                "series": [],
            }
            series = make_training_series(metrics, column, layer or ALL_LAYERS, counter=counter)
            charts.setdefault(statistic, chart)["series"].append(series)
    for chart in charts.values():  # so that a layer has the same color in every chart
        chart["series"].sort(key=lambda series: series["name"] == ALL_LAYERS)
    return list(charts.values())


def _round(value: float) -> float:
    """Six significant digits: a page holds thousands of numbers."""
    return float(f"{value:.6g}")

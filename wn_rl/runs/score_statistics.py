"""What the scores of several runs say over several problems: the statistics of Agarwal et al. 2021.

"Deep Reinforcement Learning at the Edge of the Statistical Precipice". Scores are given problem by problem, as one
array of runs each, and are normalized, so that problems can be averaged over.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

Scores = Sequence[Float64[np.ndarray, "_"]]
"""For each problem, the scores of its runs."""

NUM_RESAMPLES = 2000
MIN_RUNS = 3
"""Of a problem, for an interval: of fewer a bootstrap knows next to nothing."""


class Estimate(NamedTuple):
    """A statistic and its 95 % stratified bootstrap interval; None where a problem has too few runs for one."""

    value: float
    low: float | None
    high: float | None


def compute_interquartile_mean(scores: Scores) -> float:
    """The mean of the middle half of all runs of all problems: a quarter, rounded down, is left out at each end."""
    ordered = np.sort(np.concatenate(scores))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def compute_improvement(scores: Scores, others: Scores) -> float:
    """P(X > Y) of a run X of one method and a run Y of another, ties counting half; the mean over problems."""
    differences = [np.sign(np.subtract.outer(x, y)) for x, y in zip(scores, others, strict=True)]
    return float(np.mean([(difference.mean() + 1) / 2 for difference in differences]))


def compute_profile(scores: Scores, thresholds: Float64[np.ndarray, "K"]) -> Float64[np.ndarray, "K"]:
    """The share of all runs whose score is above each threshold (a performance profile)."""
    return np.greater.outer(np.concatenate(scores), thresholds).mean(axis=0)


def estimate(statistic: Callable[..., float], *methods: Scores, seed: int) -> Estimate:
    """A statistic of the scores of one or several methods, with its interval.

    Runs are drawn with replacement within each problem of each method (a stratified bootstrap; percentiles).
    """
    value = statistic(*methods)
    if any(len(runs) < MIN_RUNS for scores in methods for runs in scores):
        return Estimate(value, None, None)
    rng = np.random.default_rng(seed)
    resampled = [
        statistic(*([rng.choice(runs, len(runs)) for runs in scores] for scores in methods))
        for _ in range(NUM_RESAMPLES)
    ]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(value, float(low), float(high))

"""What several runs say that differ in their seeds alone: the mean of their scores and how far off it may be."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class SeedStatistics(NamedTuple):
    """Mean over training seeds, and the bounds of its 95 % interval; None for a single seed, which bounds nothing."""

    num_seeds: int
    mean: float
    low: float | None
    high: float | None


def summarize_seeds(scores: Sequence[float]) -> SeedStatistics:
    """mean ± t s / √n: Student's interval, since the seeds of a study are few (n = 3 to 10).

    Args:
        scores: one for each seed, at least one.
    """
    n, mean = len(scores), statistics.fmean(scores)
    if n == 1:
        return SeedStatistics(1, mean, None, None)
    half = compute_t_quantile(n - 1) * statistics.stdev(scores) / math.sqrt(n)
    return SeedStatistics(n, mean, mean - half, mean + half)


def compute_t_quantile(num_degrees: int, *, probability: float = 0.95) -> float:
    """The t that a Student variable stays within, |T| <= t, with a probability; by bisection."""
    low, high = 0.0, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        if _compute_probability_within(middle, num_degrees) < probability:
            low = middle
        else:
            high = middle
    return high


def _compute_probability_within(t: float, num_degrees: int) -> float:
    """P(|T| <= t) for whole degrees of freedom (26.7.3 and 26.7.4, Abramowitz & Stegun 1964)."""
    angle = math.atan(t / math.sqrt(num_degrees))
    sine, squared_cosine = math.sin(angle), math.cos(angle) ** 2
    is_odd = num_degrees % 2 == 1
    term = math.cos(angle) if is_odd else 1.0
    total = 0.0
    for k in range(2 if is_odd else 1, num_degrees, 2):
        total += term
        term *= squared_cosine * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if is_odd else sine * total

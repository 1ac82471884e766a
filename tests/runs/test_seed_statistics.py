"""Means over training seeds, with intervals that are wide where seeds are few."""

import pytest

from wn_rl.runs.seed_statistics import compute_t_quantile, summarize_seeds


@pytest.mark.parametrize(
    ("num_degrees", "quantile"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (9, 2.26216), (30, 2.04227)]
)
def test_the_quantiles_are_those_of_the_tables(num_degrees: int, quantile: float) -> None:
    assert compute_t_quantile(num_degrees) == pytest.approx(quantile, rel=1e-5)


def test_three_seeds_make_a_wide_interval_and_one_makes_none() -> None:
    assert summarize_seeds([2.0]) == (1, 2.0, None, None)
    num_seeds, mean, low, high = summarize_seeds([1.0, 2.0, 6.0])
    assert (num_seeds, mean) == (3, 3.0)
    half = 4.30265 * 7**0.5 / 3**0.5  # s² = (4 + 1 + 9) / 2
    assert (low, high) == (pytest.approx(3 - half, rel=1e-5), pytest.approx(3 + half, rel=1e-5))

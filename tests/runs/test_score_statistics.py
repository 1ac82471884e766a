"""Statistics of scores over problems, against numbers worked by hand and against brute force."""

import itertools

import numpy as np
import pytest

from wn_rl.runs.score_statistics import (
    compute_improvement,
    compute_interquartile_mean,
    compute_profile,
    estimate,
)


def arrays(*problems: list[float]) -> list[np.ndarray]:
    return [np.array(runs, np.float64) for runs in problems]


def test_the_interquartile_mean_leaves_out_a_quarter_of_all_runs_at_each_end():
    assert compute_interquartile_mean(arrays([0, 100], [1, 3])) == 2
    assert compute_interquartile_mean(arrays([5, 1, 2, 3, 4])) == 3  # a quarter of five, rounded down, is one
    assert compute_interquartile_mean(arrays([1, 2, 6])) == 3


def test_improvement_is_the_share_of_pairs_that_are_won_with_ties_as_halves_and_problems_counting_alike():
    x, y = arrays([1, 2, 2], [5, 5, 5, 5]), arrays([2, 0], [9])
    pairs = [1 if a > b else 0.5 if a == b else 0 for a, b in itertools.product(x[0], y[0])]
    assert compute_improvement(x, y) == pytest.approx((np.mean(pairs) + 0) / 2)
    assert compute_improvement(y, x) == pytest.approx(1 - compute_improvement(x, y))


def test_a_profile_is_the_share_of_runs_above_each_threshold():
    assert compute_profile(arrays([0.1, 0.5], [0.5, 2.0]), np.array([0.0, 0.5, 1.0, 2.0])).tolist() == [
        1,
        0.25,
        0.25,
        0,
    ]


def test_an_interval_is_drawn_within_problems_and_covers_what_it_should():
    scores = arrays([0, 0, 0, 0], [1, 1, 1, 1])  # drawn over all runs together, means would vary
    found = estimate(lambda scores: float(np.concatenate(scores).mean()), scores, seed=0)
    assert found == (0.5, 0.5, 0.5)
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(20):
        value = estimate(lambda scores: float(np.mean(scores)), [rng.normal(3.0, 1.0, 30)], seed=seed)
        assert value.low is not None
        assert value.high is not None
        covered += value.low <= 3.0 <= value.high
    assert covered >= 17


def test_of_two_runs_there_is_no_interval():
    found = estimate(compute_interquartile_mean, arrays([1, 2, 3], [1, 2]), seed=0)
    assert (found.low, found.high) == (None, None)

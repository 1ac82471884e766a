"""Prioritized replay: draws in proportion to the priorities, and weights that make up for it (Schaul et al. 2016)."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wn_rl.errors import ConfigurationError
from wn_rl.replay.prioritized_sampler import SMALLEST_ERROR, PrioritizedSampler
from wn_rl.replay.samplers import Draw
from wn_rl.replay.sum_tree import SumTree


@st.composite
def draw_changes(draw: Any) -> tuple[int, list[tuple[list[int], list[float]]]]:
    num_leaves = draw(st.sampled_from([1, 31, 32, 33, 1024, 1025, 2000]))
    leaf, weight = st.integers(0, num_leaves - 1), st.sampled_from([0.0, 1e-3, 0.5, 1.0, 1e3])
    change = st.lists(st.tuples(leaf, weight), min_size=1, max_size=40)
    change = change.map(lambda pairs: tuple(map(list, zip(*pairs, strict=True))))
    return num_leaves, draw(st.lists(change, min_size=1, max_size=5))


@settings(max_examples=200, deadline=None)
@given(draw_changes(), st.integers(0, 100))
def test_a_sum_tree_finds_what_a_running_sum_over_all_leaves_finds(changes, seed: int) -> None:
    num_leaves, batches = changes
    tree, expected = SumTree(num_leaves), np.zeros(num_leaves, np.float32)
    for leaves, weights in batches:
        tree.set(np.array(leaves), np.array(weights, np.float32))
        for leaf, weight in zip(leaves, weights, strict=True):
            expected[leaf] = weight
    assert (tree.leaves == expected).all()
    assert tree.largest == expected.max()
    sums = expected.cumsum(dtype=np.float64)
    assert tree.total == pytest.approx(sums[-1], rel=1e-12)
    if sums[-1] == 0:
        return
    shares = np.append(np.random.default_rng(seed).random(50), [0.0, np.nextafter(1.0, 0.0)])
    found = tree.find(shares)
    assert (expected[found] > 0).all()
    before, after = sums[found] - expected[found], sums[found]
    margin = 1e-9 * sums[-1]
    assert (before - margin <= shares * sums[-1]).all()
    assert (shares * sums[-1] <= after + margin).all()


@settings(max_examples=50, deadline=None)
@given(draw_changes())
def test_a_sum_tree_depends_on_its_weights_alone(changes) -> None:
    """And not on the order in which they came: else a resumed run would draw other transitions."""
    num_leaves, batches = changes
    grown, whole = SumTree(num_leaves), SumTree(num_leaves)
    for leaves, weights in batches:
        grown.set(np.array(leaves), np.array(weights, np.float32))
    whole.set_all(grown.leaves)
    assert all((a == b).all() for a, b in zip(grown._levels, whole._levels, strict=True))
    assert grown.largest == whole.largest


def make_sampler(errors: list[float], *, alpha: float = 0.5, beta: float = 0.5) -> PrioritizedSampler:
    """Rows 10, 11, ... of 100, with these errors."""
    sampler = PrioritizedSampler(priority_exponent=alpha, importance_exponent=beta)
    sampler.allocate(100)
    rows = np.arange(10, 10 + len(errors))
    sampler.on_new(rows)
    sampler.update_priorities(torch.from_numpy(rows), torch.tensor(errors))
    return sampler


def draw(sampler: PrioritizedSampler, batch_size: int, seed: int = 0) -> Draw:
    generator = torch.Generator().manual_seed(seed)
    return sampler.draw(batch_size, valid=np.zeros((1, 100), np.bool_), num_filled=100, generator=generator)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_draws_are_in_proportion_to_the_errors_to_the_power_of_alpha(alpha: float) -> None:
    errors = [0.0, 0.1, 0.4, 0.9, 3.0, 0.1]
    counts = np.bincount(draw(make_sampler(errors, alpha=alpha), 100_000).rows, minlength=100)
    expected = (np.array(errors) + SMALLEST_ERROR) ** alpha
    assert counts.sum() == counts[10:16].sum()
    # One draw from each hundred-thousandth of the sum: a count is off by at most one at either border.
    assert np.abs(counts[10:16] - 100_000 * expected / expected.sum()).max() <= 2


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_weights_are_those_of_the_paper(beta: float) -> None:
    """(1 / (N P))^beta, divided by the largest of the minibatch."""
    errors = np.array([0.1, 0.4, 0.9, 3.0])
    drawn = draw(make_sampler(errors.tolist(), beta=beta), 64)
    priorities = np.sqrt(errors + SMALLEST_ERROR)
    probability = (priorities / priorities.sum())[drawn.rows - 10]
    weight = (1 / (len(errors) * probability)) ** beta
    np.testing.assert_allclose(drawn.weight, weight / weight.max(), rtol=1e-5)
    assert drawn.weight.dtype == np.float32


def test_weights_undo_the_draws_where_beta_is_one() -> None:
    """The weighted mean over draws is the mean over transitions, as under uniform sampling."""
    errors = [0.1, 0.4, 0.9, 3.0, 0.1]
    drawn = draw(make_sampler(errors, alpha=0.7, beta=1.0), 100_000)
    values = np.array([1.0, 5.0, -2.0, 8.0, 3.0])
    assert (drawn.weight * values[drawn.rows - 10]).sum() / drawn.weight.sum() == pytest.approx(values.mean(), abs=1e-3)


def test_what_is_new_has_the_largest_priority_of_what_is_stored() -> None:
    sampler = make_sampler([8.0, 0.5])
    sampler.on_new(np.array([50]))
    assert sampler._tree.leaves[50] == pytest.approx(np.sqrt(8 + SMALLEST_ERROR))
    sampler.update_priorities(torch.tensor([10, 50]), torch.tensor([0.1, 0.2]))
    sampler.on_new(np.array([51]))  # what had 8 has it no more
    assert sampler._tree.leaves[51] == pytest.approx(np.sqrt(0.5 + SMALLEST_ERROR))
    assert sampler._tree.leaves[10] == pytest.approx(np.sqrt(0.1 + SMALLEST_ERROR))
    sampler.on_invalid(np.array([11, 51]))  # what had 0.5 is overwritten
    sampler.on_new(np.array([52]))
    assert sampler._tree.leaves[52] == pytest.approx(np.sqrt(0.2 + SMALLEST_ERROR))
    sampler.on_invalid(np.arange(100))
    sampler.on_new(np.array([53]))
    assert sampler._tree.leaves[53] == 1.0


def test_one_infinite_error_does_not_give_what_is_new_nearly_all_draws_for_ever() -> None:
    sampler = make_sampler([0.25] * 90)
    sampler.update_priorities(torch.tensor([10]), torch.tensor([float("inf")]))
    sampler.update_priorities(torch.tensor([10]), torch.tensor([0.25]))  # drawn again, and learned from
    sampler.on_new(np.array([5]))
    counts = np.bincount(draw(sampler, 100_000).rows, minlength=100)
    assert counts[5] < 2 * counts[10]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_new_priorities_are_those_of_a_search_over_all_rows_and_a_resumed_sampler_goes_on_alike(data: Any) -> None:
    sampler, expected = make_sampler([], alpha=0.7), {}
    rows, error = st.integers(0, 99), st.sampled_from([0.0, 0.1, 0.5, 8.0, 1e4, float("inf"), float("nan")])
    for _ in range(data.draw(st.integers(1, 12))):
        kind, chosen = data.draw(st.sampled_from(["new", "invalid", "errors"])), data.draw(st.sets(rows, min_size=1))
        if kind == "new":
            expected |= dict.fromkeys(chosen, max(expected.values(), default=np.float32(1)))
            sampler.on_new(np.array(list(chosen)))
        elif kind == "invalid":
            expected = {row: priority for row, priority in expected.items() if row not in chosen}
            sampler.on_invalid(np.array(list(chosen)))
        elif known := sorted(chosen & expected.keys()):
            errors = [data.draw(error) for _ in known]
            sampler.update_priorities(torch.tensor(known), torch.tensor(errors))
            bounded = np.array([1e6 if np.isnan(e) else min(e, 1e6) for e in errors], np.float32)
            powers = (bounded + np.float32(SMALLEST_ERROR)) ** np.float32(0.7)
            expected |= dict(zip(known, powers, strict=True))
        if data.draw(st.booleans()):
            state, valid = sampler.state_dict(), np.isin(np.arange(100), list(expected))
            sampler = PrioritizedSampler(priority_exponent=0.7, importance_exponent=0.5)
            sampler.allocate(100)
            sampler.load_state_dict(state, valid=valid)
    assert {row: sampler._tree.leaves[row] for row in expected} == expected
    assert np.count_nonzero(sampler._tree.leaves) == len(expected)


def test_what_is_no_longer_valid_is_not_drawn() -> None:
    sampler = make_sampler([100.0, 0.1, 0.1])
    sampler.on_invalid(np.array([10, 70]))
    assert set(draw(sampler, 1000).rows.tolist()) == {11, 12}


def test_an_empty_replay_is_an_error() -> None:
    sampler = make_sampler([0.3])
    sampler.on_invalid(np.array([10]))
    with pytest.raises(ValueError, match="no complete transition yet"):
        draw(sampler, 4)


def test_the_generator_given_is_the_only_source_of_chance() -> None:
    sampler = make_sampler([0.1] * 50)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert (draw(sampler, 16).rows == draw(sampler, 16).rows).all()
    assert (draw(sampler, 16).rows != draw(sampler, 16, seed=1).rows).any()
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


@pytest.mark.parametrize("error", [float("nan"), float("inf"), 1e38])
def test_errors_of_a_diverging_run_do_not_break_the_draws(error: float) -> None:
    """Such a run ends at the end of its chunk, with a message of its own."""
    sampler = make_sampler([error, 0.1], alpha=1.0)
    assert draw(sampler, 1000).rows.min() == 10
    assert np.isfinite(draw(sampler, 1000).weight).all()


@pytest.mark.parametrize(
    ("name", "row", "value"),
    [("priority", 10, 0.0), ("priority", 20, 1.0), ("priority", 10, -1.0), ("priority", 10, float("nan")),
     ("priority", 10, 1e30), ("priority", 10, float("inf"))],
    ids=["valid without", "invalid with", "negative", "no number", "above what errors give", "infinite"],
)  # fmt: skip
def test_damaged_priorities_are_refused(name: str, row: int, value: float) -> None:
    sampler, valid = make_sampler([0.1, 0.2]), np.zeros(100, np.bool_)
    valid[10:12] = True
    state = sampler.state_dict()
    sampler.load_state_dict(state, valid=valid)
    state[name][row] = value
    with pytest.raises(ConfigurationError, match="'priority' is out of range: the checkpoint is damaged"):
        sampler.load_state_dict(state, valid=valid)


def test_a_state_of_before_that_says_the_largest_priority_of_all_time_is_taken_without_it() -> None:
    sampler, valid = make_sampler([0.1, 0.2]), np.zeros(100, np.bool_)
    valid[10:12] = True
    sampler.load_state_dict({**sampler.state_dict(), "largest": torch.full((1,), 1e3)}, valid=valid)
    sampler.on_new(np.array([50]))
    assert sampler._tree.leaves[50] == pytest.approx(np.sqrt(0.2 + SMALLEST_ERROR))


def test_a_state_without_priorities_is_refused() -> None:
    """As of a run that was started with a uniform sampler."""
    with pytest.raises(ConfigurationError, match="has no 'priority'"):
        make_sampler([0.1]).load_state_dict({}, valid=np.zeros(100, np.bool_))

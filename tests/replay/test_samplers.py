"""The uniform sampler: uniform over the valid rows, whatever else is there, and from its generator alone."""

import numpy as np
import pytest
import torch

from wn_rl.replay.samplers import UniformSampler


def draw(valid: np.ndarray, batch_size: int, *, num_filled: int | None = None, seed: int = 0) -> np.ndarray:
    num_filled = valid.shape[1] if num_filled is None else num_filled
    generator = torch.Generator().manual_seed(seed)
    drawn = UniformSampler().draw(batch_size, valid=valid, num_filled=num_filled, generator=generator)
    assert drawn.weight.tolist() == [1.0] * batch_size
    return drawn.rows


def make_valid(num_lanes: int, num_slots: int, *rows: int) -> np.ndarray:
    valid = np.zeros((num_lanes, num_slots), np.bool_)
    valid.reshape(-1)[list(rows)] = True
    return valid


@pytest.mark.parametrize(
    ("share_valid", "num_filled"),
    [(0.9, 50), (0.3, 50), (0.01, 50), (0.9, 20)],
    ids=["usual", "many invalid", "almost none valid", "partly filled"],
)
def test_every_valid_row_is_drawn_equally_often(share_valid: float, num_filled: int) -> None:
    """Chi-squared against its mean plus five standard deviations; the seed is fixed."""
    valid = np.random.default_rng(1).random((4, 50)) < share_valid
    valid[:, num_filled:] = False
    rows = np.flatnonzero(valid)
    num_draws = 400 * len(rows)
    counts = np.bincount(draw(valid, num_draws, num_filled=num_filled), minlength=valid.size)
    assert counts.sum() == num_draws
    assert counts[~valid.reshape(-1)].sum() == 0
    chi_squared = ((counts[rows] - 400) ** 2 / 400).sum()
    freedom = len(rows) - 1
    assert chi_squared <= freedom + 5 * np.sqrt(2 * freedom)


def test_draws_are_independent_of_each_other() -> None:
    """With replacement: pairs of neighbouring draws are equal with probability 1 / num_valid."""
    rows = draw(make_valid(2, 10, 3, 4, 12, 19), 4000)
    assert abs((rows[1:] == rows[:-1]).mean() - 0.25) < 0.04


def test_a_single_valid_row_among_many_is_found_in_bounded_time() -> None:
    assert draw(make_valid(8, 100_000, 654_321), 32).tolist() == [654_321] * 32


@pytest.mark.parametrize("num_filled", [0, 10])
def test_an_empty_replay_is_an_error_not_an_endless_loop(num_filled: int) -> None:
    with pytest.raises(ValueError, match="no complete transition yet"):
        draw(make_valid(2, 10), 4, num_filled=num_filled)


def test_the_generator_given_is_the_only_source_of_chance() -> None:
    valid = make_valid(2, 10, *range(18))
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert (draw(valid, 16) == draw(valid, 16)).all()
    assert (draw(valid, 16) != draw(valid, 16, seed=1)).any()
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_priorities_of_a_uniform_sampler_change_nothing() -> None:
    sampler, valid = UniformSampler(), make_valid(1, 10, 2, 5)
    sampler.allocate(10)
    sampler.on_new(np.array([2, 5]))
    sampler.update_priorities(torch.tensor([2]), torch.tensor([1e9]))
    sampler.on_invalid(np.array([7]))
    sampler.load_state_dict(sampler.state_dict(), valid=valid.reshape(-1))
    rows = sampler.draw(1000, valid=valid, num_filled=10, generator=torch.Generator().manual_seed(0)).rows
    assert 400 < (rows == 2).sum() < 600

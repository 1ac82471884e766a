"""What the studies of docs/weight_normalization.md compute: numbers worked by hand, and what must always hold."""

import csv
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import scripts.studies.study_gradient_covariance as covariance
import scripts.studies.study_learning_rates as rates
import scripts.studies.study_minibatch_dependence as dependence
import scripts.studies.study_results as results
from wn_rl.nn.conversion import weight_normalize


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- gradient covariance


def test_covariance_of_two_gradients_is_that_worked_by_hand():
    x = torch.tensor([[1.0, 2.0], [3.0, -2.0]])
    deltas = torch.tensor([[1.0, 2.0], [1.0, 0.0]])
    found = covariance.compute_covariances(x, deltas)
    first = [[1.0, -2.0], [-2.0, 4.0]]  # gradients (1, 2) and (3, −2), mean (2, 0)
    second = [[1.0, 2.0], [2.0, 4.0]]  # gradients (2, 4) and (0, 0), mean (1, 2)
    assert found.tolist() == [first, second]


def test_covariance_without_w_is_that_of_the_gradients_of_v():
    layer = weight_normalize(nn.Linear(4, 3)).double()
    x, y = draw(20, 4) + 1, draw(20, 3, seed=1)
    per_example = []
    for one, target in zip(x, y, strict=True):  # autograd, example by example
        loss = (layer(one) - target).pow(4).sum()
        per_example.append(torch.autograd.grad(loss, layer.v)[0])
    deltas = 4 * (layer(x) - y).pow(3)
    found = covariance.compute_covariances(x, deltas.detach())
    for unit, gradients in enumerate(torch.stack(per_example, dim=1)):
        scale = (layer.g[unit] / layer.v[unit].norm()).item() ** 2
        expected = torch.linalg.eigvalsh(torch.cov(gradients.T, correction=0))[1:] / scale  # the first is 0, along v
        without = covariance.remove_direction(found[unit], layer.weight[unit].detach())
        torch.testing.assert_close(torch.linalg.eigvalsh(without), expected, rtol=1e-6, atol=1e-9)


def test_spectrum_and_share_of_a_diagonal_covariance():
    c = torch.diag(torch.tensor([6.0, 1.0, 2.0], dtype=torch.float64))
    first = torch.tensor([2.0, 0.0, 0.0])
    assert covariance.compute_spectrum(c).tolist() == pytest.approx([2.0, 2 / 3, 1 / 3])
    assert covariance.compute_share(c, first) == pytest.approx(2.0)  # 6 over the mean of 6, 1 and 2
    rest = covariance.compute_spectrum(covariance.remove_direction(c, first))
    assert rest.tolist() == pytest.approx([4 / 3, 2 / 3])
    assert covariance.compute_condition_number(rest) == pytest.approx(2.0)
    dead = torch.diag(torch.tensor([6.0, 0.0, 2.0], dtype=torch.float64))
    assert covariance.compute_condition_number(covariance.compute_spectrum(dead)) == pytest.approx(3.0)


def test_what_is_left_lies_between_what_was_there_whatever_is_removed():
    roots = draw(5, 5)
    c = roots @ roots.T
    whole = torch.linalg.eigvalsh(c)
    for seed in range(5):
        rest = torch.linalg.eigvalsh(covariance.remove_direction(c, draw(5, seed=seed)))
        assert (whole[:-1] <= rest + 1e-9).all()
        assert (rest <= whole[1:] + 1e-9).all()


def test_study_of_covariances_looks_at_both_networks_and_draws(tmp_path):
    x, y = covariance.play(60, seed=1)
    assert x.shape == (60, 4)
    assert abs(y.mean()) < 1e-5
    rows = [
        row
        for name in ("none", "weight_norm")
        for row in covariance.train(name, x, y, looks=(0, 2), learning_rate=1e-3)
    ]
    start, other = (
        {
            (row["layer"], row["removed"], row["quantity"]): row["median"]
            for row in rows if row["normalizer"] == name and row["update"] == 0
        }
        for name in ("none", "weight_norm")
    )  # fmt: skip
    key = ("hidden layer 1", "w", "share")
    assert float(start[key]) == pytest.approx(float(other[key]), rel=1e-3)  # the same function at first
    results.write_rows(tmp_path / "rows.csv", rows)
    covariance.draw(tmp_path / "rows.csv", tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_text().startswith("<?xml")


# --- minibatch dependence


def test_change_of_one_example_moves_a_minibatch_mean_as_worked_by_hand():
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    x, other = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([6.0])

    def centered(network, x):
        t = network(x)
        return t - t.mean(0)

    found = dependence.measure(centered, network, x, other)
    # Outputs w (−1, 0, 1), of deviation 1, become w (3, −2, −1): both others move by −2. The gradient of the others'
    # loss w² (0 + 1)/2 is 1 at w = 1, that of w² (4 + 1)/2 is 5.
    assert found == pytest.approx((2.0, 4.0))
    assert dependence.measure(lambda network, x: network(x), network, x, other) == (0.0, 0.0)


@pytest.mark.parametrize("name", sorted(dependence.NORMALIZERS))
def test_examples_depend_on_each_other_under_batch_norms_alone_and_elsewhere_not_at_all(name):
    frames = torch.randint(256, (12, 4, 84, 84), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    network = dependence.make_network(name, frames)
    found = dependence.measure(lambda network, x: network(x).q_values, network, frames[:6], frames[7])
    if "batch_norm" in name:
        assert found.outputs > 1e-3
        assert found.gradients > 1e-3
    else:
        assert found == (0.0, 0.0)


# --- learning rates


def test_interval_is_the_mean_within_what_resampling_gives():
    found = results.compute_interval([1.0, 2.0, 6.0], seed=0)
    assert found.mean == pytest.approx(3.0)
    assert 1.0 <= found.low < 3.0 < found.high <= 6.0
    assert results.compute_interval([4.0], seed=0) == (4.0, 4.0, 4.0)
    assert all(math.isnan(value) for value in results.compute_interval([], seed=0))


def test_bytes_of_an_observation_are_those_worked_by_hand():
    observations = np.array([[-2.4, 0.0, 0.21, 9.0], [0.0, -1.5, 0.0, 0.0]], np.float32)
    assert covariance.encode(observations).tolist() == [[0, 128, 255, 255], [128, 64, 128, 128]]


def make_options(table, **changes):
    values = {
        "problem": rates.CART_POLE, "normalizers": ["none", "weight_norm"], "learning_rates": [1e-3, 1e-2],
        "seeds": [0, 1], "agent_steps": 100, "minutes": math.inf, "settings": [], "table": table,
    }  # fmt: skip
    return SimpleNamespace(**{**values, **changes})


def test_study_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    table, trained = tmp_path / "rates.csv", []

    def train(problem, normalizer, *, learning_rate, seed, agent_steps, settings):
        trained.append((normalizer, learning_rate, seed))
        if len(trained) == 3:
            raise KeyboardInterrupt
        return rates.Outcome(5, 100 * learning_rate + seed, 0.5)

    monkeypatch.setattr(rates, "train", train)
    with pytest.raises(KeyboardInterrupt):
        rates.do_runs(make_options(table), table)
    with table.open("a") as file:
        file.write("CartPole-v1,none,0.0")  # a line that a killed process did not finish
    rates.do_runs(make_options(table), table)
    later = [(normalizer, rate, 1) for rate in (1e-3, 1e-2) for normalizer in ("none", "weight_norm")]
    assert trained[2:] == [trained[2], trained[2], ("weight_norm", 1e-2, 0), *later]
    rates.do_runs(make_options(table), table)
    assert len(trained) == 9
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert len({rates.identify(row) for row in rows}) == len(rows) == 8
    rates.draw(table, tmp_path / "figure.svg")
    assert "| CartPole-v1 | none | 2 | 0.01 | 1.5 (1.0 to 2.0) | 1 of 2 |" in rates.summarize(table)


def test_study_begins_no_run_after_its_minutes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rates, "train", lambda *args, **kwargs: pytest.fail("trained"))
    rates.do_runs(make_options(tmp_path / "rates.csv", minutes=-1), tmp_path / "rates.csv")
    assert "8 runs are left" in capsys.readouterr().out


def test_cart_pole_is_trained_by_the_application():
    arguments = {"learning_rate": 1e-3, "seed": 3, "agent_steps": 400, "settings": ["num_threads=1"]}
    first, second = (rates.train(rates.CART_POLE, "weight_norm", **arguments) for _ in range(2))
    assert first == second
    assert 8 <= first.mean_return <= 500
    assert 0 < first.td_error < 10


@pytest.mark.slow
def test_atari_game_is_trained_by_the_application(monkeypatch):
    monkeypatch.setattr(rates, "EVALUATION_EPISODES", 2)
    small = ["network.torso=mlp", "network.hidden_units=4", "batch_size=8", "num_threads=1", "num_env_threads=1"]
    outcome = rates.train(
        "Pong", "none", learning_rate=1e-3, seed=0, agent_steps=100,
        settings=[*small, "num_envs=2", "protocol.max_episode_frames=80", "initialization_batch_size=16"],
    )  # fmt: skip
    assert outcome.num_updates == (100 - 10 - 2) * 16 // 8  # those that fall due before the last round
    assert outcome.mean_return == 0  # nobody scores within 20 agent steps
    assert math.isfinite(outcome.td_error)

"""Quantile regression: the loss against plain loops, and what it converges to."""

import numpy as np
import pytest
import torch

from tests.helpers.targets import compute_dqn_loss
from wn_rl.losses.quantile_regression import compute_quantile_loss

NUM_TRANSITIONS, NUM_ACTIONS, NUM_QUANTILES = 5, 3, 4


def draw() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    quantiles = (NUM_TRANSITIONS, NUM_ACTIONS, NUM_QUANTILES)
    return {
        "values_tm1": normal(*quantiles).requires_grad_(),
        "a_tm1": torch.tensor([2, 0, 1, 1, 0]),
        "r_t": normal(NUM_TRANSITIONS),
        "discount_t": torch.tensor([0.97, 0.0, 0.5, 1.0, 0.9]),
        "values_t": normal(*quantiles).requires_grad_(),
        "selector": normal(NUM_TRANSITIONS, NUM_ACTIONS).requires_grad_(),
    }


def test_the_loss_is_algorithm_1_of_dabney_et_al_2018() -> None:
    batch = draw()
    loss, priority, _ = compute_dqn_loss(**batch)
    values = {name: value.detach().double().numpy() for name, value in batch.items()}
    for b in range(NUM_TRANSITIONS):
        action = int(values["selector"][b].argmax())
        target = [values["r_t"][b] + values["discount_t"][b] * theta for theta in values["values_t"][b, action]]
        predicted = values["values_tm1"][b, int(values["a_tm1"][b])]
        expected = 0.0
        for i, theta in enumerate(predicted):
            tau = (2 * i + 1) / (2 * NUM_QUANTILES)
            for other in target:
                u = other - theta
                huber = u**2 / 2 if abs(u) <= 1 else abs(u) - 1 / 2
                expected += (tau if u > 0 else 1 - tau) * huber / NUM_QUANTILES
        assert loss[b].item() == pytest.approx(expected, rel=1e-5)
        assert priority[b].item() == pytest.approx(abs(np.mean(target) - np.mean(predicted)), rel=1e-5)


def test_the_loss_at_drawn_probabilities_is_equation_3_of_dabney_et_al_2018b() -> None:
    """N and N' differ; each transition has probabilities of its own."""
    generator = torch.Generator().manual_seed(5)
    predicted, target = (torch.randn(3, count, generator=generator) for count in (4, 2))
    taus = torch.rand(3, 4, generator=generator)
    loss, priority = compute_quantile_loss(predicted, target, taus)
    for b in range(3):
        expected = 0.0
        for i in range(4):
            for j in range(2):
                u = float(target[b, j] - predicted[b, i])
                huber = u**2 / 2 if abs(u) <= 1 else abs(u) - 1 / 2
                expected += abs(float(taus[b, i]) - (u < 0)) * huber / 2
        assert loss[b].item() == pytest.approx(expected, rel=1e-5)
        assert priority[b].item() == pytest.approx(abs(float(target[b].mean() - predicted[b].mean())), rel=1e-4)


def test_one_quantile_is_half_of_huber() -> None:
    batch = {name: value[..., :1] if "values" in name else value for name, value in draw().items()}
    loss, priority, _ = compute_dqn_loss(**batch)
    expected, expected_priority, _ = compute_dqn_loss(
        batch["values_tm1"].squeeze(2), batch["a_tm1"], batch["r_t"], batch["discount_t"],
        batch["values_t"].squeeze(2), batch["selector"], error_function="huber",
    )  # fmt: skip
    torch.testing.assert_close(loss, expected / 2)
    torch.testing.assert_close(priority, expected_priority)


def test_the_gradient_reaches_the_executed_action_alone_and_no_target() -> None:
    batch = draw()
    loss, priority, _ = compute_dqn_loss(**batch)
    loss.sum().backward()
    assert not priority.requires_grad
    assert batch["values_t"].grad is None
    assert batch["selector"].grad is None
    gradient = batch["values_tm1"].grad
    assert gradient is not None
    is_executed = torch.nn.functional.one_hot(batch["a_tm1"], NUM_ACTIONS).bool()
    assert gradient[is_executed].ne(0).all()
    assert gradient[~is_executed].eq(0).all()


def test_descent_finds_the_quantiles_of_the_returns() -> None:
    """Of a number from 0 to 1000, where Huber's kink is small against the spread: (z + 1/2) / Z of 1000."""
    quantiles = torch.zeros(1, 1, NUM_QUANTILES, requires_grad=True)
    returns = torch.linspace(0, 1000, 1001)
    zeros = torch.zeros(len(returns), 1)
    optimizer = torch.optim.SGD([quantiles], lr=100.0)
    for _ in range(300):
        loss, _, _ = compute_dqn_loss(
            quantiles.expand(len(returns), 1, NUM_QUANTILES), zeros[:, 0].long(), returns, zeros[:, 0],
            zeros.unsqueeze(2).expand(-1, 1, NUM_QUANTILES), zeros,
        )  # fmt: skip
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    torch.testing.assert_close(quantiles.detach().flatten(), torch.tensor([125.0, 375, 625, 875]), atol=1, rtol=0)

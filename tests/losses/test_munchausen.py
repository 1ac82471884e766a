"""Munchausen's target against sums over actions in plain Python, and what it converges to."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.targets import compute_munchausen_loss
from tests.helpers.toy_runs import GAMMA, NUM_STATES, make_chain, make_toy_module, make_trainer
from wn_rl.losses.munchausen import compute_munchausen_reward, compute_soft_value

NUM_TRANSITIONS, NUM_ACTIONS, NUM_QUANTILES = 5, 3, 4
SCALE, TEMPERATURE, FLOOR = 0.7, 0.3, -0.8
DISCOUNT_T = [0.97, 0.0, 0.5, 1.0, 0.9]
A_TM1 = [2, 0, 1, 1, 0]


def draw(*, quantiles: bool) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shape = (NUM_TRANSITIONS, NUM_ACTIONS, NUM_QUANTILES)[: 3 if quantiles else 2]
    return {
        "values_tm1": torch.randn(shape, generator=generator).requires_grad_(),
        "a_tm1": torch.tensor(A_TM1),
        "r_t": torch.randn(NUM_TRANSITIONS, generator=generator),
        "discount_t": torch.tensor(DISCOUNT_T),
        "target_tm1": torch.randn(shape, generator=generator).requires_grad_(),
        "target_t": torch.randn(shape, generator=generator).requires_grad_(),
    }


def compute_log_policy(q_values: list[float]) -> list[float]:
    """By the definition of softmax, one action after the other."""
    normalizer = math.log(sum(math.exp(q / TEMPERATURE) for q in q_values))
    return [q / TEMPERATURE - normalizer for q in q_values]


def compute_target_by_hand(batch: dict[str, torch.Tensor], b: int) -> list[float]:
    """Eq. 1 of Vieillard et al. 2020, of each quantile; of values there is one."""
    shape = (NUM_TRANSITIONS, NUM_ACTIONS, -1)
    tm1, t = (batch[key].detach().double().reshape(shape)[b] for key in ("target_tm1", "target_t"))
    log_policy_tm1, log_policy_t = (compute_log_policy(values.mean(dim=1).tolist()) for values in (tm1, t))
    bonus = SCALE * min(0.0, max(FLOOR, TEMPERATURE * log_policy_tm1[A_TM1[b]]))
    targets = []
    for quantile in t.T.tolist():
        soft = [math.exp(log_pi) * (q - TEMPERATURE * log_pi) for q, log_pi in zip(quantile, log_policy_t, strict=True)]
        targets.append(batch["r_t"][b].item() + bonus + DISCOUNT_T[b] * sum(soft))
    return targets


def test_values_are_compared_with_equation_1_of_vieillard_et_al_2020() -> None:
    batch = draw(quantiles=False)
    loss, priority, _ = compute_munchausen_loss(
        **batch, scale=SCALE, temperature=TEMPERATURE, floor=FLOOR, error_function="mse"
    )
    for b in range(NUM_TRANSITIONS):
        (target,) = compute_target_by_hand(batch, b)
        error = target - batch["values_tm1"][b, A_TM1[b]].item()
        assert priority[b].item() == pytest.approx(abs(error), rel=1e-4)
        assert loss[b].item() == pytest.approx(error**2 / 2, rel=1e-4)


def test_quantiles_are_compared_with_the_soft_target_of_each_quantile() -> None:
    batch = draw(quantiles=True)
    loss, priority, _ = compute_munchausen_loss(**batch, scale=SCALE, temperature=TEMPERATURE, floor=FLOOR)
    for b in range(NUM_TRANSITIONS):
        target = compute_target_by_hand(batch, b)
        predicted = batch["values_tm1"][b, A_TM1[b]].tolist()
        expected = 0.0
        for i, theta in enumerate(predicted):
            tau = (2 * i + 1) / (2 * NUM_QUANTILES)
            for other in target:
                u = other - theta
                huber = u**2 / 2 if abs(u) <= 1 else abs(u) - 1 / 2
                expected += (tau if u > 0 else 1 - tau) * huber / NUM_QUANTILES
        assert loss[b].item() == pytest.approx(expected, rel=1e-4)
        assert priority[b].item() == pytest.approx(abs(np.mean(target) - np.mean(predicted)), rel=1e-4)


@pytest.mark.parametrize("quantiles", [False, True])
def test_the_gradient_reaches_the_executed_action_alone_and_no_target(quantiles: bool) -> None:
    batch = draw(quantiles=quantiles)
    loss, priority, _ = compute_munchausen_loss(**batch, scale=SCALE, temperature=TEMPERATURE, floor=FLOOR)
    loss.sum().backward()
    assert not priority.requires_grad
    assert batch["target_tm1"].grad is None
    assert batch["target_t"].grad is None
    gradient = batch["values_tm1"].grad
    assert gradient is not None
    is_executed = torch.nn.functional.one_hot(batch["a_tm1"], NUM_ACTIONS).bool()
    assert gradient[is_executed].ne(0).all()
    assert gradient[~is_executed].eq(0).all()


def test_the_reward_is_0_where_the_policy_is_sure_and_never_below_the_floor() -> None:
    q_tm1 = torch.tensor([[0.0, 5.0], [0.0, 5.0], [0.0, 0.0]])
    rewards = compute_munchausen_reward(q_tm1, torch.tensor([1, 0, 0]), scale=0.9, temperature=0.03, floor=-1.0)
    torch.testing.assert_close(rewards, torch.tensor([0.0, -0.9, -0.9 * 0.03 * math.log(2)]))


def test_values_of_thousands_stay_finite() -> None:
    """exp(1000 / 0.03) is no number."""
    q_t = torch.tensor([[1000.0, -1000.0, 999.99]])
    value = compute_soft_value(q_t, q_t, temperature=0.03)
    torch.testing.assert_close(
        value, torch.tensor([1000.0 + 0.03 * math.log(1 + math.exp(-0.01 / 0.03))]), rtol=0, atol=1e-3
    )


def solve_chain(*, scale: float, temperature: float, floor: float) -> np.ndarray:
    """What Munchausen value iteration (Eq. 1) makes of the chain, in 400 sweeps over its table."""
    chain = make_chain()
    q_values = np.zeros((NUM_STATES, 2))
    rewards = (chain.transition_probabilities * chain.rewards).sum(axis=2)
    is_running = np.arange(NUM_STATES) < NUM_STATES - 1
    for _ in range(400):
        highest = q_values.max(axis=1, keepdims=True)
        log_policy = (q_values - highest) / temperature
        log_policy -= np.log(np.exp(log_policy).sum(axis=1, keepdims=True))
        soft = (np.exp(log_policy) * (q_values - temperature * log_policy)).sum(axis=1) * is_running
        bonus = scale * (temperature * log_policy).clip(floor, 0)
        q_values = rewards + bonus + GAMMA * chain.transition_probabilities @ soft
    return q_values[: NUM_STATES - 1]


@pytest.mark.parametrize(
    "changes", [{}, pytest.param({"head": "quantile", "total_agent_steps": 4000}, marks=pytest.mark.slow)]
)
def test_the_chain_is_learned_as_munchausen_value_iteration_solves_it(tmp_path: Path, changes: dict[str, Any]) -> None:
    numbers = {"scale": 0.5, "temperature": 0.1, "floor": -0.15}
    settings = {"total_agent_steps": 1500, "iteration_agent_steps": 500, "samples_per_agent_step": 16, **changes}
    named = {f"munchausen_{name}": value for name, value in numbers.items()}
    module = make_toy_module(tmp_path, target_period_updates=10, munchausen=True, **named, **settings)
    make_trainer(module, tmp_path, []).fit(module)
    frames = torch.from_numpy(make_chain().state_frames()[: NUM_STATES - 1]).unsqueeze(1)
    with torch.no_grad():
        found = module.network.eval()(frames).q_values.numpy()
    np.testing.assert_allclose(found, solve_chain(**numbers), atol=0.05)


def test_no_gradient_flows_through_a_soft_value() -> None:
    q_t = torch.randn(2, 3, requires_grad=True)
    assert not compute_soft_value(q_t, q_t, temperature=0.1).requires_grad
    assert not compute_munchausen_reward(
        q_t, torch.tensor([0, 1]), scale=0.9, temperature=0.1, floor=-1.0
    ).requires_grad

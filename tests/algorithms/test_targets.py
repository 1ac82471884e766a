"""DQN's loss against targets worked by hand."""

import pytest
import torch

from tests.helpers.targets import compute_dqn_loss
from wn_rl.errors import ConfigurationError
from wn_rl.losses.advantage_learning import compute_advantage

Q_TM1 = [[1.0, 2.0, 3.5], [4.0, 5.5, 6.0], [-1.0, 0.25, 0.5]]
A_TM1 = [1, 0, 2]
R_T = [0.5, -1.0, 0.75]
DISCOUNT_T = [0.5, 0.0, 1.0]
Q_T = [[10.0, 20.0, 30.0], [7.0, 8.0, 9.0], [2.0, 1.5, 1.0]]
Q_T_SELECTOR = [[3.0, 9.0, 1.0], [0.0, 1.0, 2.0], [0.0, 0.0, 5.0]]
# Plain: targets 0.5 + 0.5 * 30 = 15.5; -1; 0.75 + 1 * 2 = 2.75. Errors against Q_TM1[a]: 2, 4, 0.5.
PLAIN_ERRORS = [13.5, -5.0, 2.25]
# Double: the selector chooses 1, 2, 2: targets 0.5 + 0.5 * 20 = 10.5; -1; 0.75 + 1 = 1.75.
DOUBLE_ERRORS = [8.5, -5.0, 1.25]


def compute(selector: list[list[float]], error_function: str = "mse") -> tuple[torch.Tensor, torch.Tensor]:
    loss, priority, _ = compute_dqn_loss(
        torch.tensor(Q_TM1), torch.tensor(A_TM1), torch.tensor(R_T), torch.tensor(DISCOUNT_T), torch.tensor(Q_T),
        torch.tensor(selector), error_function=error_function,
    )  # fmt: skip
    return loss, priority


@pytest.mark.parametrize(("selector", "errors"), [(Q_T, PLAIN_ERRORS), (Q_T_SELECTOR, DOUBLE_ERRORS)])
def test_squared_error_matches_targets_worked_by_hand(selector: list[list[float]], errors: list[float]) -> None:
    loss, priority = compute(selector)
    torch.testing.assert_close(loss, torch.tensor([0.5 * error**2 for error in errors]))
    torch.testing.assert_close(priority, torch.tensor([abs(error) for error in errors]))


def test_huber_is_linear_beyond_one_and_quadratic_within() -> None:
    loss, _, _ = compute_dqn_loss(
        torch.tensor([[0.0], [0.0]]), torch.tensor([0, 0]), torch.tensor([0.5, -3.0]), torch.tensor([0.0, 0.0]),
        torch.tensor([[9.0], [9.0]]), torch.tensor([[9.0], [9.0]]), error_function="huber",
    )  # fmt: skip
    torch.testing.assert_close(loss, torch.tensor([0.125, 2.5]))


def test_discount_zero_ignores_the_next_values() -> None:
    loss, priority = compute(Q_T)
    assert priority[1] == 5.0  # r = -1, q = 4: whatever the target network says
    assert loss[1] == 12.5


def test_gradient_reaches_the_chosen_action_alone_and_no_target() -> None:
    q_tm1 = torch.tensor(Q_TM1, requires_grad=True)
    q_t = torch.tensor(Q_T, requires_grad=True)
    selector = torch.tensor(Q_T_SELECTOR, requires_grad=True)
    loss, priority, _ = compute_dqn_loss(
        q_tm1,
        torch.tensor(A_TM1),
        torch.tensor(R_T),
        torch.tensor(DISCOUNT_T),
        q_t,
        selector,
        error_function="mse",
    )
    loss.sum().backward()
    assert q_t.grad is None
    assert selector.grad is None
    assert not priority.requires_grad
    expected = torch.zeros(3, 3)
    for row, (action, error) in enumerate(zip(A_TM1, DOUBLE_ERRORS, strict=True)):
        expected[row, action] = -error
    torch.testing.assert_close(q_tm1.grad, expected)


def test_every_transition_has_one_loss_and_one_priority() -> None:
    loss, priority = compute(Q_T)
    assert loss.shape == priority.shape == (3,)


def test_an_advantage_is_0_or_how_far_the_executed_action_is_below_the_best() -> None:
    q_tm1 = torch.tensor(Q_TM1, requires_grad=True)
    advantage = compute_advantage(q_tm1, torch.tensor(A_TM1))
    assert advantage.tolist() == [-1.5, -2.0, 0.0]
    assert not advantage.requires_grad


def test_unknown_error_function_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="known: mse, huber"):
        compute(Q_T, "l1")

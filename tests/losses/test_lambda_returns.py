"""Lambda-returns worked by hand; tests/algorithms/test_pqn.py has those of whole episodes."""

import torch

from wn_rl.losses.lambda_returns import compute_lambda_returns


def test_returns_are_those_worked_by_hand() -> None:
    """Of a lane that goes on, one whose second step is a terminal, and one that a time limit cuts after the first."""
    r_t = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    discount_t = torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 1.0, 0.5]])
    v_t = torch.tensor([[10.0, 20.0, 30.0], [40.0, 50.0, 60.0], [70.0, 80.0, 90.0]])
    lambda_t = torch.tensor([[0.25, 0.25, 0.0], [0.25, 0.25, 0.25], [0.0, 0.0, 0.0]])
    last = [7 + 0.5 * 70, 8 + 1.0 * 80, 9 + 0.5 * 90]
    second = [4 + 0.5 * (0.75 * 40 + 0.25 * last[0]), 5.0, 6 + 0.5 * (0.75 * 60 + 0.25 * last[2])]
    first = [1 + 0.5 * (0.75 * 10 + 0.25 * second[0]), 2 + 0.5 * (0.75 * 20 + 0.25 * second[1]), 3 + 0.5 * 30]
    returns = compute_lambda_returns(r_t, discount_t, v_t, lambda_t)
    torch.testing.assert_close(returns, torch.tensor([first, second, last]))
    believed_to_the_end = torch.full((3, 3), 0.25)  # the last lambda of a lane counts as 0
    believed_to_the_end[:2] = lambda_t[:2]
    torch.testing.assert_close(compute_lambda_returns(r_t, discount_t, v_t, believed_to_the_end), returns)

"""Values on a scale of their own, against numbers worked by hand, and targets there against the definition."""

import pytest
import torch

from tests.helpers.targets import compute_dqn_loss
from wn_rl.losses.sequence_priority import compute_sequence_priority
from wn_rl.losses.value_rescaling import rescale, undo_rescaling

# sign(x) (sqrt(|x| + 1) - 1) + x / 1000
BY_HAND = [(0.0, 0.0), (3.0, 1.003), (-3.0, -1.003), (8.0, 2.008), (-99.0, -9.099), (0.21, 0.10021), (9999.0, 108.999)]


@pytest.mark.parametrize(("value", "rescaled"), BY_HAND)
def test_a_number_and_its_rescaled_one_worked_by_hand(value: float, rescaled: float) -> None:
    assert rescale(torch.tensor([value])).item() == pytest.approx(rescaled, rel=1e-6)
    assert undo_rescaling(torch.tensor([rescaled])).item() == pytest.approx(value, rel=1e-5, abs=1e-7)


def test_each_undoes_the_other() -> None:
    values = torch.cat([-torch.logspace(5, -4, 500), torch.zeros(1), torch.logspace(-4, 5, 500)])
    torch.testing.assert_close(undo_rescaling(rescale(values)), values, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(rescale(undo_rescaling(values)), values, rtol=1e-5, atol=1e-6)
    assert (rescale(values).diff() > 0).all()


def test_a_target_is_rescaled_after_rewards_are_added_to_returns() -> None:
    """The action that the selector prefers has the values 1.003 and 2.008, that is returns of 3 and 8."""
    q_t = torch.tensor([[1.003, 50.0], [50.0, 2.008]])
    loss, error, _ = compute_dqn_loss(
        torch.tensor([[0.5, 0.0], [0.0, 0.25]]), torch.tensor([0, 1]), torch.tensor([5.0, -3.0]),
        torch.tensor([1.0, 0.0]), q_t, torch.tensor([[1.0, 0.0], [0.0, 1.0]]), error_function="mse",
        value_rescaling=True,
    )  # fmt: skip
    expected = torch.tensor([2.008 - 0.5, 1.003 + 0.25])  # h(5 + 3), h(-3)
    torch.testing.assert_close(error, expected)
    torch.testing.assert_close(loss, expected.square() / 2)


def test_every_quantile_is_rescaled_as_a_value_is() -> None:
    quantiles_t = torch.tensor([[[1.003, -1.003], [50.0, 50.0]]])
    outputs = torch.tensor([[[2.008, 1.0], [0.0, 0.0]]]), torch.tensor([0]), torch.tensor([5.0]), torch.tensor([1.0])
    selector = torch.tensor([[1.0, 0.0]])
    found = compute_dqn_loss(*outputs, quantiles_t, selector, value_rescaling=True)
    values = torch.tensor([[[8.0, 2.0], [50.0, 50.0]]])  # rescaled: 2.008 and sqrt(3) - 1 + 0.002
    given = compute_dqn_loss(outputs[0], outputs[1], torch.zeros(1), outputs[3], rescale(values), selector)
    torch.testing.assert_close(found.loss, given.loss)


def test_the_priority_of_a_sequence_is_worked_by_hand() -> None:
    error = torch.tensor([[1.0, 2.0, 6.0, 100.0], [4.0, 4.0, 4.0, 4.0], [7.0, 7.0, 7.0, 7.0]])
    is_learned = torch.tensor([[True, True, True, False], [True] * 4, [False] * 4])
    priority = compute_sequence_priority(error, is_learned, max_share=0.9)
    torch.testing.assert_close(priority, torch.tensor([0.9 * 6 + 0.1 * 3, 4.0, 0.0]))

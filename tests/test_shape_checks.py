"""The tests check shapes: in each of them the first calls of a function."""

import pytest
import torch
from jaxtyping import TypeCheckError

from tests.helpers.shape_checks import NUM_CHECKED_CALLS
from wn_rl.losses.q_learning import compute_value_loss

NUMBERS = torch.zeros(3)
ONE_NUMBER = torch.zeros(1)  # for three transitions: it broadcasts


def compute(predicted: torch.Tensor) -> None:
    compute_value_loss(predicted, NUMBERS, error_function="mse")


@pytest.mark.parametrize("test", [1, 2])
def test_first_calls_of_each_test_are_checked(test: int) -> None:
    for _ in range(NUM_CHECKED_CALLS - 1):
        compute(NUMBERS)
    with pytest.raises(TypeCheckError):
        compute(ONE_NUMBER)
    compute(ONE_NUMBER)

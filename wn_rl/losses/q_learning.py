"""What a Q-network is trained to reduce: the error of its values against bootstrapped targets."""

from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from wn_rl.errors import ConfigurationError

ERROR_FUNCTIONS = ("mse", "huber")


class TransitionLoss(NamedTuple):
    """Per transition: the loss, and |td_error| as the priority for a prioritized sampler."""

    loss: Float32[Tensor, "B"]
    priority: Float32[Tensor, "B"]


def select_action(values: Float32[Tensor, "B A *Z"], action: Int64[Tensor, "B"]) -> Float32[Tensor, "B *Z"]:
    """values[b, action[b]] of every example b: a value, or what a distribution is made of."""
    index = action.view(-1, *(1,) * (values.dim() - 1)).expand(-1, 1, *values.shape[2:])
    return values.gather(1, index).squeeze(1)


def compute_value_loss(
    predicted: Float32[Tensor, "B"], target: Float32[Tensor, "B"], *, error_function: str
) -> TransitionLoss:
    """The loss of td_error = target - predicted; no gradient reaches the target.

    td_error^2 / 2 ("mse"; the half makes both agree near zero), or Huber's with its kink at |td_error| = 1 ("huber",
    the clipped error term of Mnih et al. 2015).

    Args:
        predicted: the online network's values of the executed actions.
        target: what they should be.
        error_function: "mse" or "huber".

    Raises:
        ConfigurationError: unknown error function.
    """
    td_error = target.detach() - predicted
    if error_function == "mse":
        loss = 0.5 * td_error.square()
    elif error_function == "huber":
        loss = F.huber_loss(td_error, torch.zeros_like(td_error), reduction="none", delta=1.0)
    else:
        raise ConfigurationError(f"error_function={error_function}: unknown; known: {', '.join(ERROR_FUNCTIONS)}")
    return TransitionLoss(loss, td_error.detach().abs())

"""What a Q-network is trained to reduce: the error of one transition against its bootstrapped target."""

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


def compute_q_learning_loss(
    q_tm1: Float32[Tensor, "B A"],
    a_tm1: Int64[Tensor, "B"],
    r_t: Float32[Tensor, "B"],
    discount_t: Float32[Tensor, "B"],
    q_t: Float32[Tensor, "B A"],
    q_t_selector: Float32[Tensor, "B A"],
    *,
    error_function: str,
) -> TransitionLoss:
    """Q-learning's loss, plain or double by which network's values select the action.

    td_error = r_t + discount_t q_t[argmax_a q_t_selector] - q_tm1[a_tm1]

    With ``q_t_selector = q_t`` (both the target network's) this is Eq. 2 of Mnih et al. 2015; with the online
    network's values as selector it is double Q-learning (Eq. 4, van Hasselt et al. 2016). No gradient reaches
    ``q_t`` or the selector. The loss is td_error^2 / 2 ("mse"; the half makes both agree near zero) or
    Huber's with its kink at |td_error| = 1 ("huber").

    Args:
        q_tm1: the online network's values of the observation that was acted on.
        a_tm1: the action that was executed.
        r_t, discount_t: n-step reward and discount, as the replay stores them.
        q_t: the target network's values of the observation to bootstrap from.
        q_t_selector: the values whose greedy action is evaluated.
        error_function: "mse" or "huber".

    Raises:
        ConfigurationError: unknown error function.
    """
    with torch.no_grad():
        selected_t = q_t_selector.argmax(dim=1, keepdim=True)
        target = r_t + discount_t * q_t.gather(1, selected_t).squeeze(1)
    td_error = target - q_tm1.gather(1, a_tm1.unsqueeze(1)).squeeze(1)
    if error_function == "mse":
        loss = 0.5 * td_error.square()
    elif error_function == "huber":
        loss = F.huber_loss(td_error, torch.zeros_like(td_error), reduction="none", delta=1.0)
    else:
        raise ConfigurationError(f"error_function={error_function}: unknown; known: {', '.join(ERROR_FUNCTIONS)}")
    return TransitionLoss(loss, td_error.detach().abs())

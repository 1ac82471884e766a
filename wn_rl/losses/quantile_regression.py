"""What a distributional Q-network is trained to reduce: quantile regression on bootstrapped returns."""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from wn_rl.losses.q_learning import TransitionLoss


def compute_quantile_loss(
    quantiles_tm1: Float32[Tensor, "B A Z"],
    a_tm1: Int64[Tensor, "B"],
    r_t: Float32[Tensor, "B"],
    discount_t: Float32[Tensor, "B"],
    quantiles_t: Float32[Tensor, "B A Z"],
    q_t_selector: Float32[Tensor, "B A"],
) -> TransitionLoss:
    """QR-DQN's loss (Algorithm 1, Dabney et al. 2018), with Huber's kink at 1.

    Quantile i of the action that was executed, of probability tau_i = (i + 1/2) / Z, is compared with every quantile j
    of the target r_t + discount_t quantiles_t[argmax_a q_t_selector]:

        loss = sum_i mean_j |tau_i - [u_ij < 0]| huber(u_ij),    u_ij = target_j - quantiles_tm1[a_tm1]_i

    No gradient reaches ``quantiles_t`` or the selector. The priority is |td_error| of the means.

    Args:
        quantiles_tm1: the online network's quantiles at the observation that was acted on.
        a_tm1: the action that was executed.
        r_t, discount_t: n-step reward and discount, as the replay stores them.
        quantiles_t: the target network's quantiles at the observation to bootstrap from.
        q_t_selector: the values whose greedy action is evaluated.
    """
    num_quantiles = quantiles_tm1.shape[2]
    probability = (torch.arange(num_quantiles, device=r_t.device) + 0.5) / num_quantiles
    with torch.no_grad():
        target = r_t.unsqueeze(1) + discount_t.unsqueeze(1) * _select(quantiles_t, q_t_selector.argmax(dim=1))
    predicted = _select(quantiles_tm1, a_tm1)
    error = target.unsqueeze(1) - predicted.unsqueeze(2)  # [B, i, j]
    with torch.no_grad():
        weight = (probability.unsqueeze(1) - (error < 0).float()).abs()
    loss = weight * F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=1.0)
    return TransitionLoss(loss.mean(dim=2).sum(dim=1), (target.mean(dim=1) - predicted.detach().mean(dim=1)).abs())


def _select(quantiles: Float32[Tensor, "B A Z"], action: Int64[Tensor, "B"]) -> Float32[Tensor, "B Z"]:
    return quantiles.gather(1, action.view(-1, 1, 1).expand(-1, 1, quantiles.shape[2])).squeeze(1)

"""What a distributional Q-network is trained to reduce: quantile regression on bootstrapped returns."""

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from wn_rl.losses.q_learning import TransitionLoss


def compute_quantile_loss(predicted: Float32[Tensor, "B Z"], target: Float32[Tensor, "B Zt"]) -> TransitionLoss:
    """QR-DQN's loss (Algorithm 1, Dabney et al. 2018), with Huber's kink at 1.

    Quantile i of the executed action, of probability tau_i = (i + 1/2) / Z, is compared with every quantile j of the
    target:

        loss = sum_i mean_j |tau_i - [u_ij < 0]| huber(u_ij),    u_ij = target_j - predicted_i

    No gradient reaches the target. The priority is |td_error| of the means.
    """
    target, num_quantiles = target.detach(), predicted.shape[1]
    probability = (torch.arange(num_quantiles, device=predicted.device) + 0.5) / num_quantiles
    error = target.unsqueeze(1) - predicted.unsqueeze(2)  # [B, i, j]
    with torch.no_grad():
        weight = (probability.unsqueeze(1) - (error < 0).float()).abs()
    loss = weight * F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=1.0)
    return TransitionLoss(loss.mean(dim=2).sum(dim=1), (target.mean(dim=1) - predicted.detach().mean(dim=1)).abs())

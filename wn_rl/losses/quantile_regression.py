"""What a distributional Q-network is trained to reduce: quantile regression on bootstrapped returns."""

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from wn_rl.losses.q_learning import TransitionLoss


def compute_midpoints(num_quantiles: int, device: torch.device) -> Float32[Tensor, "Z"]:
    """The probabilities (z + 1/2) / Z: the middles of Z equal parts of [0, 1] (Lemma 2, Dabney et al. 2018)."""
    return (torch.arange(num_quantiles, device=device) + 0.5) / num_quantiles


def compute_quantile_loss(
    predicted: Float32[Tensor, "B Z"],
    target: Float32[Tensor, "B Zt"],
    taus: Float32[Tensor, "B Z"] | None = None,
) -> TransitionLoss:
    """The loss of QR-DQN (Algorithm 1, Dabney et al. 2018) and IQN (Eq. 3, Dabney et al. 2018b), Huber's kink at 1.

    Quantile i of the executed action, of probability tau_i, is compared with every quantile j of the target:

        loss = sum_i mean_j |tau_i - [u_ij < 0]| huber(u_ij),    u_ij = target_j - predicted_i

    No gradient reaches the target. The priority is |td_error| of the means.

    Args:
        predicted: the online network's quantiles of the executed actions.
        target: what the return should be like: quantiles of it, each as probable as the others.
        taus: the probabilities of ``predicted``, in (0, 1); None: (z + 1/2) / Z.
    """
    target = target.detach()
    probability = compute_midpoints(predicted.shape[1], predicted.device) if taus is None else taus
    error = target.unsqueeze(1) - predicted.unsqueeze(2)  # [B, i, j]
    with torch.no_grad():
        weight = (probability.unsqueeze(-1) - (error < 0).float()).abs()
    loss = weight * F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=1.0)
    return TransitionLoss(loss.mean(dim=2).sum(dim=1), (target.mean(dim=1) - predicted.detach().mean(dim=1)).abs())

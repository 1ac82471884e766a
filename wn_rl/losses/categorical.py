"""What a Q-network of categorical distributions (C51) is trained to reduce: a cross-entropy with bootstrapped returns.

Bellemare, Dabney & Munos 2017, "A Distributional Perspective on Reinforcement Learning", arXiv:1707.06887.
"""

import torch
from jaxtyping import Float32
from torch import Tensor

from wn_rl.losses.q_learning import TransitionLoss


def project(
    returns: Float32[Tensor, "B Zt"], probabilities: Float32[Tensor, "B Zt"], atoms: Float32[Tensor, "Z"]
) -> Float32[Tensor, "B Z"]:
    """The distribution on ``atoms`` that is nearest to one on other ``returns`` (Eq. 7, Bellemare et al. 2017),

        m_i = sum_j max(0, 1 - |clip(return_j, v_min, v_max) - z_i| / spacing) p_j

    each probability shared by the two atoms beside its return, the more the nearer; beyond the ends the end has it all.
    The mean is that of the clipped returns.

    Args:
        returns: what the probabilities are of.
        probabilities: at least 0, with sum 1 in every row.
        atoms: v_min to v_max at equal distances; at least 2.
    """
    spacing = (atoms[-1] - atoms[0]) / (len(atoms) - 1)
    clipped = returns.clamp(atoms[0], atoms[-1])
    shares = (1 - (clipped.unsqueeze(1) - atoms.view(1, -1, 1)).abs() / spacing).clamp(min=0)  # [B, i, j]
    return (shares * probabilities.unsqueeze(1)).sum(dim=2)


def compute_categorical_loss(logits: Float32[Tensor, "B Z"], target: Float32[Tensor, "B Z"]) -> TransitionLoss:
    """C51's loss, the cross-entropy -sum_i m_i log p_i with p = softmax(logits) (Algorithm 1, Bellemare et al. 2017).

    No gradient reaches the target. The priority is the Kullback-Leibler divergence, the loss less what it would be if
    p were m (Hessel et al. 2018, "Rainbow": what is minimized, and less affected by how random returns are).

    Args:
        logits: the online network's of the executed actions.
        target: m, what ``project`` returned.
    """
    target = target.detach()
    loss = -(target * logits.log_softmax(dim=1)).sum(dim=1)
    entropy = torch.special.entr(target).sum(dim=1)
    return TransitionLoss(loss, (loss.detach() - entropy).clamp(min=0))  # rounding makes it negative

"""Munchausen reinforcement learning: targets of a softmax policy, which is rewarded where it is sure of itself."""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor


@torch.no_grad()
def compute_munchausen_reward(
    q_tm1: Float32[Tensor, "B A"], a_tm1: Int64[Tensor, "B"], *, scale: float, temperature: float, floor: float
) -> Float32[Tensor, "B"]:
    """scale [temperature ln pi(a_tm1 | s_tm1)], clipped to [floor, 0], which is added to a reward.

    Of pi = softmax(q_tm1 / temperature) of the target network (Eq. 1, Vieillard et al. 2020, "Munchausen Reinforcement
    Learning"). It keeps successive policies near to one another, and widens the gaps between actions by about
    1 / (1 - scale), as advantage learning does.

    Args:
        q_tm1: the target network's values of the observation that was acted on.
        a_tm1: the action that was executed.
        scale: alpha, at most 1 (0.9 there).
        temperature: tau, above 0, in units of Q-values (0.03 there).
        floor: l_0, below 0, in units of Q-values: ln pi has no lower bound (-1 there).
    """
    log_policy = torch.log_softmax(q_tm1 / temperature, dim=1).gather(1, a_tm1.unsqueeze(1)).squeeze(1)
    return scale * (temperature * log_policy).clamp(min=floor, max=0)


@torch.no_grad()
def compute_soft_value(
    values_t: Float32[Tensor, "B A *Z"], q_t: Float32[Tensor, "B A"], *, temperature: float
) -> Float32[Tensor, "B *Z"]:
    """sum_a pi(a | s_t) (values_t[a] - temperature ln pi(a | s_t)), what a softmax policy is worth with its entropy.

    Of pi = softmax(q_t / temperature) (Eq. 1, Vieillard et al. 2020). Of quantiles each is such a sum, under the policy
    of their means (Munchausen-IQN, Section 4 there).

    Args:
        values_t: the target network's values of each action, or the quantiles of its return.
        q_t: those values, or the means of those quantiles.
        temperature: tau, above 0, in units of Q-values.
    """
    log_policy = torch.log_softmax(q_t / temperature, dim=1)
    log_policy = log_policy.view(*log_policy.shape, *(1,) * (values_t.dim() - 2))  # the same for every quantile
    return (log_policy.exp() * (values_t - temperature * log_policy)).sum(dim=1)

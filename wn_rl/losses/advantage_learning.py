"""What advantage learning adds to a reward: by how much the executed action is worse than the best one."""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor


@torch.no_grad()
def compute_advantage(q_tm1: Float32[Tensor, "B A"], a_tm1: Int64[Tensor, "B"]) -> Float32[Tensor, "B"]:
    """q_tm1[a_tm1] - max_a q_tm1[a], at most 0.

    Advantage learning (Baird 1999; Bellemare et al. 2016, "Increasing the Action Gap") learns from the reward

        r_t + alpha (q_tm1[a_tm1] - max_a q_tm1[a])

    in the place of r_t. The best action of each state and its value stay what they are, and every other action falls
    1 / (1 - alpha) times as far below: where the values of actions differ little, as with small time steps and sticky
    actions, errors of the network then change the greedy action less often.

    Args:
        q_tm1: the values of the observation that was acted on; the paper has the target network's, here the online
            network's do, which an update knows already.
        a_tm1: the action that was executed.
    """
    return q_tm1.gather(1, a_tm1.unsqueeze(1)).squeeze(1) - q_tm1.amax(dim=1)

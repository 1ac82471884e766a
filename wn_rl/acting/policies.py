"""Which action is taken, given Q-values?"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

# What acting sees of a network: observations to Q-values.
QFunction = Callable[[UInt8[Tensor, "N S H W"]], Float32[Tensor, "N A"]]


def select_actions(
    q_values: Float32[Tensor, "N A"], explores: Bool[Tensor, "N"], random_actions: Int64[Tensor, "N"]
) -> Int64[Tensor, "N"]:
    """Return the random action where an environment explores, else argmax_a Q(s, a); the first of equals.

    The result is on the CPU, where environments live.
    """
    greedy_actions = q_values.argmax(dim=1).cpu()
    return torch.where(explores, random_actions, greedy_actions)


def epsilon_greedy(q_values: Float32[Tensor, "N A"], epsilon: float, generator: torch.Generator) -> Int64[Tensor, "N"]:
    """Return, for each environment by itself, a uniform action with probability epsilon, else a greedy one.

    Every call draws N coins and N actions, whatever the coins say, so that the stream's position depends on
    the number of calls alone.

    Arguments:
        q_values: [N, A], on any device.
        epsilon: probability of a uniformly random action (which may be the greedy one), in [0, 1].
        generator: the stream, on the CPU.
    """
    num_envs, num_actions = q_values.shape
    explores = torch.rand(num_envs, generator=generator, dtype=torch.float64) < epsilon
    random_actions = torch.randint(num_actions, (num_envs,), generator=generator)
    return select_actions(q_values, explores, random_actions)

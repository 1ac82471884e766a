"""Lambda-returns: a mixture of all n-step returns, computed backwards in time."""

import torch
from jaxtyping import Float32
from torch import Tensor


def compute_lambda_returns(
    r_t: Float32[Tensor, "T N"], discount_t: Float32[Tensor, "T N"], v_t: Float32[Tensor, "T N"],
    lambda_t: Float32[Tensor, "T N"],
) -> Float32[Tensor, "T N"]:  # fmt: skip
    """The return G of each step of N lanes that play for T steps,

        G_tm1 = r_t + discount_t ((1 - lambda_t) v_t + lambda_t G_t)        (Eq. 12.18, Sutton & Barto 2018)

    where the last lambda_t of a lane counts as 0: nothing is known after it but its v_t.

    Args:
        r_t: what the step brought.
        discount_t: gamma, or 0 where the step ended the episode: then neither v_t nor the next row counts.
        v_t: the value of the observation that the step led to.
        lambda_t: how much of G_t is believed; 0 where the next row is not what followed this step.
    """
    returns = torch.empty_like(r_t)
    g_t = v_t[-1]
    for t in reversed(range(len(r_t))):
        g_t = r_t[t] + discount_t[t] * ((1 - lambda_t[t]) * v_t[t] + lambda_t[t] * g_t)
        returns[t] = g_t
    return returns

"""Mean and standard deviation of pre-activations, per unit: what Eq. 5 and 6 of Salimans & Kingma 2016 need."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wn_rl.nn.weight_norm import to_float64

# A unit that is constant on the minibatch would get g = 1/0. It keeps g = 1: standard deviations under this share of
# |μ| are rounding in float32, and those under it in absolute value say that the inputs are constant.
SMALLEST_STD = 1e-6


class Statistics(NamedTuple):
    """Mean and standard deviation of t per output unit, [O] each, float64 on the device that ``to_float64`` takes.

    The standard deviation is 1 where t is constant.
    """

    mean: Tensor
    std: Tensor


def compute_statistics(t: Float[Tensor, "..."], *, unit_axis: int) -> Statistics:
    """μ[t] and σ[t] of every output unit on ``unit_axis``, over all other axes (of the population, in float64)."""
    units = to_float64(t.movedim(unit_axis, 0).flatten(1))
    mean, std = units.mean(1), units.std(1, correction=0)
    is_constant = std <= SMALLEST_STD * (1 + mean.abs())
    return Statistics(mean, torch.where(is_constant, 1.0, std))

"""What are mean and deviation of every output unit on a minibatch? What data-dependent initialization divides by."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

# A unit that is constant on the minibatch would get g = 1/0. It keeps g = 1: deviations under this share of |μ| are
# rounding in float32, and those under it in absolute value say that the inputs are constant.
SMALLEST_DEVIATION = 1e-6


class Statistics(NamedTuple):
    """Mean and deviation of t per output unit, [O] each; the deviation is 1 where t is constant."""

    mean: Tensor
    deviation: Tensor


def compute_statistics(t: Float[Tensor, "..."], *, unit_axis: int) -> Statistics:
    """μ[t] and σ[t] of every output unit on ``unit_axis``, over all other axes (population deviation, in float64)."""
    units = t.movedim(unit_axis, 0).flatten(1).double()
    mean, deviation = units.mean(1), units.std(1, correction=0)
    is_constant = deviation <= SMALLEST_DEVIATION * (1 + mean.abs())
    return Statistics(mean, torch.where(is_constant, 1.0, deviation))

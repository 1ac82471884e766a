"""How surprising a sequence of steps is, for a prioritized sampler."""

import torch
from jaxtyping import Bool, Float32
from torch import Tensor


def compute_sequence_priority(
    error: Float32[Tensor, "L T"], is_learned: Bool[Tensor, "L T"], *, max_share: float
) -> Float32[Tensor, "L"]:
    """p = η max_t |δ_t| + (1 − η) mean_t |δ_t|   (Section 2.3, Kapturowski et al. 2019).

    A mean alone would be much the same for all long sequences.

    Args:
        error: |δ_t| of the steps of each sequence.
        is_learned: which of them count; where none does, p is 0.
        max_share: η.
    """
    error = torch.where(is_learned, error, 0.0)
    mean = error.sum(dim=1) / is_learned.sum(dim=1).clamp(min=1)
    return max_share * error.amax(dim=1) + (1 - max_share) * mean

"""Values on a scale of their own, so that rewards of any size are learned without clipping them."""

from jaxtyping import Float32
from torch import Tensor

EPSILON = 1e-3
"""Keeps the inverse Lipschitz (Kapturowski et al. 2019; Pohlen et al. 2018 have 0.01)."""


def rescale(values: Float32[Tensor, "*any"]) -> Float32[Tensor, "*any"]:
    """h(x) = sign(x) (√(|x| + 1) − 1) + ε x   (Pohlen et al. 2018)."""
    return values.sign() * ((values.abs() + 1).sqrt() - 1) + EPSILON * values


def undo_rescaling(values: Float32[Tensor, "*any"]) -> Float32[Tensor, "*any"]:
    """h⁻¹(x) = sign(x) (u² − 1),   u = (√(1 + 4 ε (|x| + 1 + ε)) − 1) / 2 ε   (Proposition A.2, Pohlen et al. 2018).

    u is computed as 2 (|x| + 1 + ε) / (√(…) + 1), where nothing is subtracted: float32 would lose digits.
    """
    shifted = values.abs() + 1 + EPSILON
    u = 2 * shifted / ((1 + 4 * EPSILON * shifted).sqrt() + 1)
    return values.sign() * (u.square() - 1)


def compute_target(
    r_t: Float32[Tensor, "B"], discount_t: Float32[Tensor, "B"], v_t: Float32[Tensor, "B *Z"], *, rescales: bool
) -> Float32[Tensor, "B *Z"]:
    """y = r_t + discount_t v_t, or h(r_t + discount_t h⁻¹(v_t)) where values are h of returns."""
    r_t, discount_t = (tensor.view(-1, *(1,) * (v_t.dim() - 1)) for tensor in (r_t, discount_t))
    if not rescales:
        return r_t + discount_t * v_t
    return rescale(r_t + discount_t * undo_rescaling(v_t))

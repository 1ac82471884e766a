"""ZCA whitening: pixels without their correlations, as near to the pixels as that can be (Krizhevsky 2009)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

ROWS = 4096  # that are turned to float64 at a time


class Whitening(NamedTuple):
    """x -> (x − μ) W, with W = U (S + ε)^(-1/2) Uᵀ of the covariance U S Uᵀ that it was fitted to.

    ``mean`` is μ [D], ``basis`` U [D, K], ``gains`` [K] the scale in each of its directions, and ``rest`` that in all
    others, of which there are none where K = D.
    """

    mean: Float[Tensor, "D"]
    basis: Float[Tensor, "D K"]
    gains: Float[Tensor, "K"]
    rest: float

    def apply(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Whitened rows."""
        centered = x - self.mean
        whitened = (centered @ self.basis * (self.gains - self.rest)) @ self.basis.T
        return whitened + self.rest * centered if self.rest else whitened


def fit_whitening(x: Float[Tensor, "N D"], *, regularization: float) -> Whitening:
    """The whitening of rows, whose covariance becomes S / (S + ε): 1 in every direction in which they vary.

    Of fewer rows than columns, U has the directions in which they vary alone, and W is ε^(-1/2) in the others.

    Args:
        x: N examples.
        regularization: ε, added to the variances.
    """
    mean = torch.stack([part.double().sum(0) for part in x.split(ROWS)]).sum(0) / len(x)
    num_rows, num_columns = x.shape
    if num_rows < num_columns:
        centered = x.double() - mean
        _, singular_values, directions = torch.linalg.svd(centered, full_matrices=False)
        variances, basis = singular_values.square() / num_rows, directions.T
    else:
        covariance = torch.zeros(num_columns, num_columns, dtype=torch.float64, device=x.device)
        for part in x.split(ROWS):
            centered = part.double() - mean
            covariance.addmm_(centered.T, centered)
        variances, basis = torch.linalg.eigh(covariance / num_rows)
    gains = (variances.clamp(min=0) + regularization).rsqrt()
    rest = regularization**-0.5 if num_rows < num_columns else 0.0
    return Whitening(mean.to(x.dtype), basis.to(x.dtype), gains.to(x.dtype), rest)

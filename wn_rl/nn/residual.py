"""Residual branches: what a layer adds to its inputs, and with which std it begins to."""

import math

from jaxtyping import Float
from torch import Tensor, nn


class Residual(nn.Module):
    """y = x + layers(x), with x and y of one shape (He et al. 2016, "Identity Mappings in Deep Residual Networks").

    ``initialize_from_data`` gives every unit of the last of ``layers`` mean 0 and std 1 / √L. With a std of 1 each
    of the L branches in a row would add 1 to the variance of x. As it is, all of them together add 1, however
    many they are, as far as what they add is uncorrelated (Arpit et al. 2019, "How to Initialize your Network? Robust
    Initialization for WeightNorm & ResNets", have the same 1 / √L in g of a block's last layer). A sum of variance 1
    would need a factor on x too, which the block is to leave alone.

    Args:
        layers: the branch; the last of them what a normalizer makes of an affine layer.
        num_in_a_row: L, residual branches that follow one another until a layer that normalizes anew.
    """

    def __init__(self, layers: nn.Sequential, *, num_in_a_row: int) -> None:
        super().__init__()
        self.layers, self.initial_std = layers, 1 / math.sqrt(num_in_a_row)

    def forward(self, x: Float[Tensor, "B *rest"]) -> Float[Tensor, "B *rest"]:
        return x + self.layers(x)

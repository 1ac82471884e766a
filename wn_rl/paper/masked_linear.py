"""Linear layers of which each unit sees some of the inputs: what autoregressive networks are made of (MADE)."""

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from wn_rl.nn import WeightNormLinear, initialize_from_data, make_normalizer
from wn_rl.nn.normalized_layers import NormProjection
from wn_rl.nn.unit_moments import compute_statistics
from wn_rl.nn.weight_norm import compute_divisors
from wn_rl.nn.weight_norm_layers import draw_v, plain_type


class MaskedLinear(nn.Module):
    """y = (m ⊙ w) x + b with a mask m of zeros and ones (Germain et al. 2015, "MADE", Eq. 9).

    Where m is 0, v and w are 0 from the initialization on: no gradient reaches them, so that they stay it, and the norm
    of a weight-normalized unit is over the inputs that it sees. Norms of activations leave the layer plain: their
    statistics would mix what a unit may not see.

    Args:
        mask: [O, I], true where unit o sees input i; a unit that sees none is its bias.
        normalizer: by its name.
    """

    mask: Bool[Tensor, "O I"]

    def __init__(self, mask: Bool[Tensor, "O I"], *, normalizer: str) -> None:
        super().__init__()
        num_units, num_inputs = mask.shape
        self.normalized = make_normalizer(normalizer)(nn.Linear(num_inputs, num_units), is_output=True)
        self.register_buffer("mask", mask)

    @property
    def layer(self) -> nn.Linear:
        """The affine layer, plain or weight-normalized, or the one that it was folded into."""
        return cast(nn.Linear, next(module for module in self.normalized.modules() if plain_type(module) is nn.Linear))

    def forward(self, x: Float[Tensor, "B I"]) -> Float[Tensor, "B O"]:
        return F.linear(x, self.layer.weight * self.mask, self.layer.bias)

    @torch.no_grad()
    def initialize_(self, x: Float[Tensor, "B I"], generator: torch.Generator | None) -> None:
        """Mean 0 and variance 1 of every unit on ``x`` (Eq. 5 and 6 of Salimans & Kingma 2016)."""
        layer = self.layer
        v = draw_v(self.mask.shape, generator=generator).to(x) * self.mask
        directions = v / compute_divisors(v)[:, None]
        statistics = compute_statistics(F.linear(x, directions), unit_axis=-1)
        g = (1 / statistics.std).to(x)
        if isinstance(layer, WeightNormLinear):
            layer.v.copy_(v)
            layer.set_g_(g)
        else:
            layer.weight.copy_(directions * g[:, None])
        layer.bias.copy_(-statistics.mean / statistics.std)
        if isinstance(self.normalized, NormProjection):
            self.normalized.remember_norms()


def initialize_with_masks(network: nn.Module, inputs: Tensor, *, generator: torch.Generator | None) -> None:
    """``initialize_from_data`` for a network that holds masked layers, each in the order in which it is applied."""
    masked = [module for module in network.modules() if isinstance(module, MaskedLinear)]
    handles = [
        module.register_forward_pre_hook(lambda module, args: module.initialize_(args[0], generator))
        for module in masked
    ]
    try:
        initialize_from_data(network, inputs, generator=generator)
    finally:
        for handle in handles:
            handle.remove()

"""Noisy linear layers: weights with a learned noise, by which a network explores.

Factorized Gaussian noise (Section 3.1, Fortunato et al. 2018, "Noisy Networks for Exploration", arXiv:1706.10295). Each
noisy layer is an affine layer, normalized or not, which is the mean, and a learned standard deviation of every weight.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wn_rl.nn.normalized_layers import AffineLayer
from wn_rl.nn.normalizers import Normalizer

INITIAL_NOISE = 0.5
"""σ₀, Section 3.2, Fortunato et al. 2018."""


class NoisyLinear(nn.Module):
    """A linear layer with a noise of its weights (Eq. 9-11),

        y = μ x + μ_b + (σ ⊙ ε) x + σ_b ⊙ ε_b,    ε = f(ε_out) f(ε_in)ᵀ,  ε_b = f(ε_out),  f(e) = sgn(e) √|e|

    As ε is an outer product, the noise is computed without a matrix of it: (σ ⊙ ε) x = f(ε_out) ⊙ σ (f(ε_in) ⊙ x).

    A normalizer normalizes μ alone, the part that is an affine layer like any other: under weight normalization
    μ = g v / ‖v‖. σ is no direction with a length: g would shrink the noise of all weights of a unit together, and each
    is to learn where it is still worth exploring. σ = σ₀/√I at first; after data-dependent initialization, which gives
    μ x + μ_b the variance 1 where x is about as large, the noise is a fraction of that.

    The noise is that of the last ``resample_noise_``, and 0 before. Folding for evaluation leaves μ.

    Args:
        layer: the mean, x -> μ x + μ_b.
        in_features, out_features: I and O.

    Attributes:
        std_weight, std_bias: σ [O, I] and σ_b [O].
        input_noise, output_noise: f(ε_in) [I] and f(ε_out) [O].
    """

    input_noise: Tensor
    output_noise: Tensor

    def __init__(self, layer: nn.Module, *, in_features: int, out_features: int) -> None:
        super().__init__()
        self.layer = layer
        std = INITIAL_NOISE / math.sqrt(in_features)
        self.std_weight = nn.Parameter(torch.full((out_features, in_features), std))
        self.std_bias = nn.Parameter(torch.full((out_features,), std))
        self.register_buffer("input_noise", torch.zeros(in_features))
        self.register_buffer("output_noise", torch.zeros(out_features))

    def forward(self, x: Float[Tensor, "B I"]) -> Float[Tensor, "B O"]:
        noise = nn.functional.linear(x * self.input_noise, self.std_weight, self.std_bias)
        return self.layer(x) + noise * self.output_noise


def resample_noise_(generator: torch.Generator, *networks: nn.Module) -> None:
    """Draw new noise for every noisy layer, the same for all of these ``networks``, which are copies of one.

    ``generator`` is on the host; nothing is drawn where no layer is noisy.
    """
    for layers in zip(*(_find_noisy_layers(network) for network in networks), strict=True):
        sizes = [len(layers[0].input_noise), len(layers[0].output_noise)]
        drawn = torch.randn(sum(sizes), generator=generator)
        input_noise, output_noise = (drawn.sign() * drawn.abs().sqrt()).split(sizes)
        for layer in layers:
            layer.input_noise.copy_(input_noise)
            layer.output_noise.copy_(output_noise)


def _find_noisy_layers(network: nn.Module) -> list[NoisyLinear]:
    return [module for module in network.modules() if isinstance(module, NoisyLinear)]


def make_noisy(normalizer: Normalizer) -> Normalizer:
    """The normalizer whose linear layers are noisy besides; convolutions are what they were (Section 4.1)."""

    def normalize(layer: AffineLayer, *, is_output: bool) -> nn.Module:
        if not isinstance(layer, nn.Linear):
            return normalizer(layer, is_output=is_output)
        in_features, out_features = layer.in_features, layer.out_features
        mean = normalizer(layer, is_output=is_output)
        return NoisyLinear(mean, in_features=in_features, out_features=out_features)

    return normalize

"""Distributions of the latents given an image: a Gaussian, and one made of it by autoregressive steps."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from wn_rl.nn import make_normalizer
from wn_rl.paper.masked_linear import MaskedLinear

FORGET_BIAS = 2.0
"""Added to s of a flow step, so that it changes little at first (Section 4, Kingma et al. 2016: +1 or +2)."""


class Latents(NamedTuple):
    """A sample ``z`` [B, Z] of the posterior, and ``kl`` [B]: KL(q(z|x) ‖ N(0, 1)), or an estimate from the sample."""

    z: Float[Tensor, "B Z"]
    kl: Float[Tensor, "B"]


def compute_gaussian_kl(mean: Float[Tensor, "B Z"], log_std: Float[Tensor, "B Z"]) -> Float[Tensor, "B"]:
    """KL(N(μ, σ) ‖ N(0, 1)) = Σ (μ² + σ² − 1)/2 − ln σ."""
    return ((mean.square() + (2 * log_std).exp() - 1) / 2 - log_std).sum(1)


def compute_normal_log_density(x: Float[Tensor, "B Z"]) -> Float[Tensor, "B"]:
    """ln N(x; 0, 1), summed over the dimensions."""
    return -(x.square() + math.log(2 * math.pi)).sum(1) / 2


class DiagonalPosterior(nn.Module):
    """z = μ + σ ε with μ and ln σ from the encoder's features, and its exact KL divergence.

    Args:
        normalizer: by its name.
        num_features, num_latents: F and Z.
    """

    def __init__(self, *, normalizer: str, num_features: int, num_latents: int) -> None:
        super().__init__()
        normalize = make_normalizer(normalizer)
        self.parameters_of = normalize(nn.Linear(num_features, 2 * num_latents), is_output=True)

    def forward(self, features: Float[Tensor, "B F"], noise: Float[Tensor, "B Z"]) -> Latents:
        mean, log_std = self.parameters_of(features).chunk(2, dim=1)
        return Latents(mean + log_std.exp() * noise, compute_gaussian_kl(mean, log_std))


class FlowStep(nn.Module):
    """z' = σ ⊙ z + (1 − σ) ⊙ m with σ = sigmoid(s + 2) and (m, s) = MADE(z, context) (Algorithm 1, Kingma et al. 2016).

    m_i and s_i depend on the z_j with j < i alone, so that ln |∂z'/∂z| = Σ ln σ_i.

    Args:
        normalizer: by its name.
        num_latents, num_units, num_context: Z, hidden units, and C.
    """

    def __init__(self, *, normalizer: str, num_latents: int, num_units: int, num_context: int) -> None:
        super().__init__()
        inner, outer = make_masks(num_latents, num_units)
        self.inner = MaskedLinear(inner, normalizer=normalizer)
        self.context = make_normalizer(normalizer)(nn.Linear(num_context, num_units), is_output=True)
        self.outer = MaskedLinear(torch.cat([outer, outer]), normalizer=normalizer)

    def forward(
        self, z: Float[Tensor, "B Z"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B Z"], Float[Tensor, "B"]]:
        """z' and ln |∂z'/∂z|."""
        hidden = nn.functional.elu(self.inner(z) + self.context(context))
        m, s = self.outer(hidden).chunk(2, dim=1)
        s = s + FORGET_BIAS
        share = s.sigmoid()
        return share * z + (1 - share) * m, nn.functional.logsigmoid(s).sum(1)


def make_masks(num_latents: int, num_units: int) -> tuple[Bool[Tensor, "U Z"], Bool[Tensor, "Z U"]]:
    """Which latents a hidden unit sees, and which hidden units an output i: together only the latents before i.

    Hidden unit k sees the first d_k latents, with d_k from 1 to Z − 1 in turn; output i sees the units with d_k ≤ i.
    """
    seen = torch.arange(num_units) % max(1, num_latents - 1) + 1
    places = torch.arange(num_latents)
    return places[None] < seen[:, None], seen[None] <= places[:, None]


class FlowPosterior(nn.Module):
    """A diagonal Gaussian, and inverse autoregressive steps after it, each in the reverse order of the one before.

    ln q(z|x) = ln N(ε; 0, 1) − Σ ln σ − Σ ln |∂z'/∂z| (Eq. 11, Kingma et al. 2016); the KL divergence is estimated from
    the sample.

    Args:
        normalizer: by its name.
        num_features, num_latents: F and Z.
        num_steps, num_units: autoregressive steps, and the hidden units of each.
    """

    def __init__(self, *, normalizer: str, num_features: int, num_latents: int, num_steps: int, num_units: int) -> None:
        super().__init__()
        self.parameters_of = make_normalizer(normalizer)(nn.Linear(num_features, 2 * num_latents), is_output=True)
        self.steps = nn.ModuleList(
            FlowStep(
                normalizer=normalizer, num_latents=num_latents, num_units=num_units, num_context=num_features
            )
            for _ in range(num_steps)
        )  # fmt: skip

    def forward(self, features: Float[Tensor, "B F"], noise: Float[Tensor, "B Z"]) -> Latents:
        mean, log_std = self.parameters_of(features).chunk(2, dim=1)
        z = mean + log_std.exp() * noise
        log_density = compute_normal_log_density(noise) - log_std.sum(1)
        for step in self.steps:
            z, log_determinant = step(z.flip(1), features)
            log_density = log_density - log_determinant
        return Latents(z, log_density - compute_normal_log_density(z))

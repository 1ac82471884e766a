"""Unfolding: plain weights become those of a normalized network of the same outputs, which learns on from there.

    weight norm                 v = w, g = ‖w‖
    projections                 w, whose norms are those to return to
    noisy layers                the mean; the noise stays as it was drawn

Batch and spectral norms are functions of more than w, which plain weights do not tell.
"""

from functools import singledispatch
from typing import cast

import torch
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.nn.noisy_linear import NoisyLinear
from wn_rl.nn.normalized_layers import BatchNorm, MeanOnlyBatchNorm, NormProjection, SpectralNorm
from wn_rl.nn.weight_norm import compute_norms
from wn_rl.nn.weight_norm_layers import WeightNormLayer, weight_to_units


@torch.no_grad()
def unfold_(folded: nn.Module, network: nn.Module) -> None:
    """Write the function of ``folded`` into ``network``, whose modules have the names of ``folded``'s, in place.

    What :func:`make_folded` would then make of ``network`` is ``folded`` again (but for rounding).

    Raises:
        ConfigurationError: a layer of ``network`` is under a batch or spectral norm.
    """
    _adopt_(network, folded)


@singledispatch
def _adopt_(module: nn.Module, folded: nn.Module) -> None:
    for name, parameter in module._parameters.items():
        if parameter is not None:
            parameter.copy_(folded.get_parameter(name))
    for name, buffer in module._buffers.items():
        if buffer is not None:
            buffer.copy_(folded.get_buffer(name))
    for child, folded_child in zip(module.children(), folded.children(), strict=True):
        _adopt_(child, folded_child)


@_adopt_.register
def _adopt_weight_norm_(module: WeightNormLayer, folded: nn.Module) -> None:
    weight = cast(Tensor, folded.weight)
    module.v.copy_(weight)
    module.set_g_(compute_norms(weight_to_units(folded, weight)))
    if module.bias is not None:
        cast(Tensor, module.bias).copy_(cast(Tensor, folded.bias))


@_adopt_.register
def _adopt_projection_(module: NormProjection, folded: nn.Module) -> None:
    _adopt_(module.layer, folded)
    module.remember_norms()


@_adopt_.register
def _adopt_noisy_(module: NoisyLinear, folded: nn.Module) -> None:
    _adopt_(module.layer, folded)


@_adopt_.register(MeanOnlyBatchNorm)
@_adopt_.register(BatchNorm)
@_adopt_.register(SpectralNorm)
def _refuse(module: nn.Module, folded: nn.Module) -> None:
    raise ConfigurationError(
        f"plain weights do not say what {type(module).__name__} needs to be the same function; take another normalizer:"
        " none, weight_norm, weight_norm_projected_v or projection"
    )

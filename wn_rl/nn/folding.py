"""How does a normalized network become a plain one with the same outputs? By folding w, and the statistics, into it.

A normalized network in evaluation mode is a deterministic function of its state, so acting, evaluation, the
target network and saved agents use plain weights: the normalization costs nothing there. What folds:

    weight norm                 w = g v / ‖v‖
    mean-only batch norm        b ← b − running mean
    batch norm                  w ← w γ/√(running variance + ε),  b ← β − running mean · γ/√(running variance + ε)
    spectral norm               w ← w / σ(w)
    projections                 the layer that is projected

Layer norm depends on the example and stays a layer. The folded network's modules have the names that they
have in the same network with the normalizer "none" (layer norm apart), so its state loads into that one.
"""

import copy
from functools import singledispatch
from typing import cast

import torch
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.nn.geometry import AFFINE_TYPES, WEIGHT_NORM_TYPES, make_plain_like
from wn_rl.nn.normalized_layers import BatchNorm, MeanOnlyBatchNorm, NormProjection, SpectralNorm
from wn_rl.nn.weight_norm_layer import write_scaled_, write_weight_
from wn_rl.nn.weight_norm_recurrent import PLAIN_RECURRENT, make_plain_recurrent_like, write_recurrent_


@singledispatch
def _plain_layer(module: nn.Module) -> nn.Module | None:
    """A new plain layer of the shape into which ``module`` folds; None for modules that stay what they are."""
    return None


@singledispatch
def _write_(module: nn.Module, folded: nn.Module) -> None:
    """Write the function that ``module`` has in evaluation mode into ``folded``, which was made of it.

    A module that does not fold has its parameters and buffers copied, and its children written.
    """
    for name, parameter in module._parameters.items():
        if parameter is not None:
            folded.get_parameter(name).copy_(parameter)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            folded.get_buffer(name).copy_(buffer)
    for child, folded_child in zip(module.children(), folded.children(), strict=True):
        _write_(child, folded_child)


def _plain_affine(module: nn.Module) -> nn.Module:
    return make_plain_like(module, has_bias=module.bias is not None)


def _write_bias_(module: nn.Module, folded: nn.Module) -> None:
    if module.bias is not None:
        cast(Tensor, folded.bias).copy_(cast(Tensor, module.bias))


def _write_affine_(module: nn.Module, folded: nn.Module) -> None:
    cast(Tensor, folded.weight).copy_(cast(Tensor, module.weight))
    _write_bias_(module, folded)


def _write_weight_norm_(module: nn.Module, folded: nn.Module) -> None:
    write_weight_(module, folded)
    _write_bias_(module, folded)


for _type in AFFINE_TYPES:  # and their subclasses, PyTorch's parametrized layers among them
    _plain_layer.register(_type, _plain_affine)
    _write_.register(_type, _write_affine_)
for _type in WEIGHT_NORM_TYPES:
    _write_.register(_type, _write_weight_norm_)
for _type in PLAIN_RECURRENT:
    _plain_layer.register(_type, make_plain_recurrent_like)
    _write_.register(_type, write_recurrent_)


@_plain_layer.register(MeanOnlyBatchNorm)
@_plain_layer.register(BatchNorm)
@_plain_layer.register(SpectralNorm)
def _plain_of_wrapper(module: MeanOnlyBatchNorm | BatchNorm | SpectralNorm) -> nn.Module:
    return make_plain_like(module.layer, has_bias=True)


@_write_.register
def _write_mean_only_(module: MeanOnlyBatchNorm, folded: nn.Module) -> None:
    _write_(module.layer, folded)
    cast(Tensor, folded.bias).copy_(module.bias - module.running_mean)


@_write_.register
def _write_batch_norm_(module: BatchNorm, folded: nn.Module) -> None:
    norm, weight = module.norm, module.layer.weight
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    factor = norm.weight * (variance.double() + norm.eps).rsqrt()
    write_scaled_(weight, factor.to(weight.dtype), cast(Tensor, folded.weight))
    cast(Tensor, folded.bias).copy_(norm.bias - mean * factor)


@_write_.register
def _write_spectral_norm_(module: SpectralNorm, folded: nn.Module) -> None:
    scale = 1 / module.compute_sigma()
    write_scaled_(module.layer.weight, scale.expand_as(module.bias), cast(Tensor, folded.weight))
    cast(Tensor, folded.bias).copy_(module.bias)


@_plain_layer.register
def _plain_of_projection(module: NormProjection) -> nn.Module | None:
    return _plain_layer(module.layer)


@_write_.register
def _write_projection_(module: NormProjection, folded: nn.Module) -> None:
    _write_(module.layer, folded)


@torch.no_grad()
def make_folded(network: nn.Module) -> nn.Module:
    """A plain network with the outputs that ``network`` has in evaluation mode (difference under 1e-5 in float32).

    It is in evaluation mode, shares nothing with ``network``, and no parameter of it requires a gradient. It
    may be moved to another dtype or memory format and refreshed by :func:`fold_`.
    """
    replacements: dict[int, nn.Module] = {}
    covered: set[nn.Module] = set()
    for module in network.modules():
        plain_layer = None if module in covered else _plain_layer(module)
        if plain_layer is not None:
            replacements[id(module)] = plain_layer
            covered.update(module.modules())
    folded = copy.deepcopy(network, dict(replacements))
    fold_(network, folded)
    return folded.eval().requires_grad_(False)


@torch.no_grad()
def fold_(network: nn.Module, folded: nn.Module) -> None:
    """Refresh ``folded``, which :func:`make_folded` made of ``network``, in place: parameters and buffers.

    Weight-normalized layers are written without a temporary of the weight's size, whatever dtype and memory
    format ``folded`` was moved to.
    """
    _write_(network, folded)


def pair_layers(network: nn.Module, folded: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """The weight-normalized layers of ``network``, each with the plain layer of its folded copy."""
    plain = dict(folded.named_modules())
    return [
        (layer, plain[name] if name in plain else plain[name.removesuffix(".layer")])  # which a wrapper holds it as
        for name, layer in network.named_modules()
        if type(layer) in WEIGHT_NORM_TYPES
    ]


@torch.no_grad()
def polyak_(network: nn.Module, folded: nn.Module, tau: float) -> None:
    """folded ← (1 − τ) folded + τ fold(network): the average of w itself, not of g and v, which would be another one.

    τ in [0, 1]. Buffers are averaged where they are floating-point and copied where they count. Raises
    ConfigurationError where ``folded`` is kept in less than float32: a small τ would be rounded away.
    """
    if not 0 <= tau <= 1:
        raise ConfigurationError(f"tau={tau} is outside [0, 1]")
    for name, parameter in folded.named_parameters():
        if torch.finfo(parameter.dtype).bits < 32:
            raise ConfigurationError(
                f"Polyak averaging needs a target network of float32 and {name!r} is {parameter.dtype}: use hard copies"
            )
    fresh = copy.deepcopy(folded)
    fold_(network, fresh)
    for average, newest in zip(_tensors(folded), _tensors(fresh), strict=True):
        if average.is_floating_point():
            average.lerp_(newest, tau)
        else:
            average.copy_(newest)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def folded_state_dict(network: nn.Module) -> dict[str, Tensor]:
    """The state of the folded network: what is saved for acting, loadable into the plain network of the same shape."""
    return make_folded(network).state_dict()

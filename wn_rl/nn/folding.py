"""Folding: a normalized network becomes a plain one with the same outputs, with w and the statistics in it.

A normalized network in evaluation mode is a deterministic function of its state, so that whoever applies it without
learning may use plain weights: the normalization costs nothing there. What folds:

    weight norm                 w = g v / ‖v‖
    mean-only batch norm        b ← b − running mean
    batch norm                  w ← w γ/√(running variance + ε),  b ← β − running mean · γ/√(running variance + ε)
    spectral norm               w ← w / σ(w)
    projections                 the layer that is projected
    noisy layers                the mean, without the noise

Layer norm depends on the example and stays a layer. The folded network's modules have the names that they
have in the same network with the normalizer "none" (layer norm apart), so its state loads into that one.

Who folds after every update has computed w for the next forward pass of the network that learns: ``lent_weights``.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import singledispatch
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from wn_rl.nn.noisy_linear import NoisyLinear
from wn_rl.nn.normalized_layers import BatchNorm, MeanOnlyBatchNorm, NormProjection, SpectralNorm
from wn_rl.nn.replacement import find_peculiarity, keep_hooks_
from wn_rl.nn.sources import read_affine
from wn_rl.nn.weight_norm import ComputedWeight, compute_weights, per_unit, to_float64
from wn_rl.nn.weight_norm_layers import WEIGHT_NORM_OF, WeightNormLayer, make_plain_like, plain_type, weight_to_units
from wn_rl.nn.weight_norm_recurrent import (
    PLAIN_RECURRENT,
    Recurrent,
    make_plain_recurrent_like,
    plain_recurrent_type,
    write_recurrent_,
)

BLOCK_ELEMENTS = 2**17  # of a weight, 512 KiB: a fraction of a core's second-level cache

ComputedWeights = dict[WeightNormLayer, ComputedWeight]
"""w of weight-normalized layers, in the memory of their folded copies."""


@singledispatch
def _plain_layer(module: nn.Module) -> nn.Module | None:
    """A new plain layer of the shape into which ``module`` folds; None for modules that stay what they are."""
    return None


@singledispatch
def _write_(module: nn.Module, folded: nn.Module) -> ComputedWeights:
    """Write the function that ``module`` has in evaluation mode into ``folded``, which was made of it.

    A module that does not fold has its parameters and buffers copied, and its children written.
    """
    for name, parameter in module._parameters.items():
        if parameter is not None:
            folded.get_parameter(name).copy_(parameter)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            folded.get_buffer(name).copy_(buffer)
    computed: ComputedWeights = {}
    for child, folded_child in zip(module.children(), folded.children(), strict=True):
        computed |= _write_(child, folded_child)
    return computed


def _plain_of_affine(module: nn.Module) -> nn.Module | None:
    is_known = plain_type(module) is not None and find_peculiarity(module) is None
    return make_plain_like(module) if is_known and (is_parametrized(module) or read_affine(module)) else None


def _write_affine_(module: nn.Module, folded: nn.Module) -> ComputedWeights:
    if type(module) is type(folded):  # plain, or one that does not fold
        return _write_.dispatch(nn.Module)(module, folded)
    weight, computed = cast(Tensor, folded.weight), {}
    if isinstance(module, WeightNormLayer):
        divisors = module.write_weight_(weight)
        if divisors is not None:
            computed[module] = ComputedWeight(weight, divisors)
    else:
        source = read_affine(module)  # PyTorch's hook computes ``weight`` when it is applied, and not before
        weight.copy_(cast(Tensor, module.weight) if source is None else source.weight)
    if module.bias is not None:
        cast(Tensor, folded.bias).copy_(cast(Tensor, module.bias))
    return computed


def _plain_of_recurrent(module: Recurrent) -> nn.Module | None:
    is_known = plain_recurrent_type(module) is not None and find_peculiarity(module) is None
    return cast(nn.Module, make_plain_recurrent_like(module)) if is_known else None


def _write_recurrent_(module: Recurrent, folded: nn.Module) -> ComputedWeights:
    if type(module) is type(folded):
        return _write_.dispatch(nn.Module)(module, folded)
    write_recurrent_(module, folded)
    return {}


for _type in WEIGHT_NORM_OF:  # and their subclasses: ours, PyTorch's parametrized layers, and those that do not fold
    _plain_layer.register(_type, _plain_of_affine)
    _write_.register(_type, _write_affine_)
for _type in PLAIN_RECURRENT:
    _plain_layer.register(_type, _plain_of_recurrent)
    _write_.register(_type, _write_recurrent_)


@_plain_layer.register(MeanOnlyBatchNorm)
@_plain_layer.register(BatchNorm)
@_plain_layer.register(SpectralNorm)
def _plain_of_wrapper(module: MeanOnlyBatchNorm | BatchNorm | SpectralNorm) -> nn.Module:
    return make_plain_like(module.layer, bias=True)


@_write_.register
def _write_mean_only_(module: MeanOnlyBatchNorm, folded: nn.Module) -> ComputedWeights:
    computed = _write_(module.layer, folded)
    cast(Tensor, folded.bias).copy_(module.bias - module.running_mean)
    return computed


@_write_.register
def _write_batch_norm_(module: BatchNorm, folded: nn.Module) -> ComputedWeights:
    norm, weight = module.norm, module.layer.weight
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    factor = to_float64(norm.weight) * (to_float64(variance) + norm.eps).rsqrt()
    _write_scaled_(module.layer, weight, factor.to(weight), cast(Tensor, folded.weight))
    cast(Tensor, folded.bias).copy_(to_float64(norm.bias) - to_float64(mean) * factor)
    return {}


@_write_.register
def _write_spectral_norm_(module: SpectralNorm, folded: nn.Module) -> ComputedWeights:
    scale = 1 / module.compute_sigma()
    _write_scaled_(module.layer, module.layer.weight, scale.expand_as(module.bias), cast(Tensor, folded.weight))
    cast(Tensor, folded.bias).copy_(module.bias)
    return {}


def _write_scaled_(layer: nn.Module, weight: Tensor, scale: Tensor, out: Tensor) -> None:
    """Write every unit of a layer's weight times its number in ``scale`` [O] into ``out``, of any dtype.

    A few units at a time where that is another one, so that what is computed in between stays in the cache.
    """
    units = weight_to_units(layer, weight)
    if units is not weight:
        out.copy_(weight_to_units(layer, units * per_unit(scale, like=units)))
        return
    is_converted = out.dtype != units.dtype and units.device.type == "cpu"
    num_blocks = max(1, units.numel() // BLOCK_ELEMENTS) if is_converted else 1
    for block, factor, written in zip(*(tensor.chunk(num_blocks) for tensor in (units, scale, out)), strict=True):
        torch.mul(block, per_unit(factor, like=block), out=written)


@_plain_layer.register
def _plain_of_projection(module: NormProjection) -> nn.Module | None:
    return _plain_layer(module.layer)


@_write_.register
def _write_projection_(module: NormProjection, folded: nn.Module) -> ComputedWeights:
    return _write_(module.layer, folded)


@_plain_layer.register
def _plain_of_noisy(module: NoisyLinear) -> nn.Module:
    return make_folded(module.layer)


@_write_.register
def _write_noisy_(module: NoisyLinear, folded: nn.Module) -> ComputedWeights:
    if isinstance(folded, NoisyLinear):
        return _write_.dispatch(nn.Module)(module, folded)  # as any module, with its noise
    return _write_(module.layer, folded)


@torch.no_grad()
def make_folded(network: nn.Module, *, keeps_noise: bool = False) -> nn.Module:
    """A plain network with the outputs that ``network`` has in evaluation mode (difference under 1e-5 in float32).

    Layers that are not exactly of a known class stay as they are; with ``keeps_noise`` noisy layers stay, around a
    plain layer, with the noise of now. It is in evaluation mode, shares nothing with ``network``, and no parameter of
    it requires a gradient. It may be moved to another dtype or memory format and refreshed by :func:`fold_`.

    Examples:
        >>> from wn_rl.nn import WeightNormLinear
        >>> network, x = nn.Sequential(WeightNormLinear(4, 3), nn.Tanh()), torch.randn(2, 4)
        >>> folded = make_folded(network)
        >>> type(folded[0]).__name__, torch.allclose(folded(x), network(x), atol=1e-5)
        ('Linear', True)
    """
    replacements: dict[nn.Module, nn.Module] = {}
    covered: set[nn.Module] = set()
    for module in network.modules():
        stays = module in covered or (keeps_noise and isinstance(module, NoisyLinear))
        plain_layer = None if stays else _plain_layer(module)
        if plain_layer is not None:
            replacements[module] = plain_layer
            covered.update(module.modules())
    memo: dict[int, Any] = {id(module): plain_layer for module, plain_layer in replacements.items()}
    folded = copy.deepcopy(network, memo)
    for module, plain_layer in replacements.items():
        keep_hooks_(module, plain_layer, memo)
    fold_(network, folded)
    return folded.eval().requires_grad_(False)


@torch.no_grad()
def fold_(network: nn.Module, folded: nn.Module) -> ComputedWeights:
    """Refresh ``folded``, which :func:`make_folded` made of ``network``, in place: parameters and buffers.

    Weight-normalized layers are written without a temporary of the weight's size, whatever dtype and memory
    format ``folded`` was moved to. Returns their w, which :func:`lent_weights` takes.

    Examples:
        >>> from wn_rl.nn import WeightNormLinear
        >>> layer = WeightNormLinear(4, 3)
        >>> folded = make_folded(layer)
        >>> with torch.no_grad(): _ = layer.g.mul_(2.0)
        >>> _ = fold_(layer, folded)
        >>> torch.allclose(folded.weight, layer.weight, atol=1e-6)
        True
    """
    return _write_(network, folded)


@contextmanager
def cached_weights(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, every weight-normalized layer among ``layers`` has one w, with its graph; others are passed over.

    The bookkeeping of a small layer costs more than its arithmetic: computed together, w is cheaper also for one
    application. For ``layers`` that are not changed inside: a step of the optimizer in there is not seen. Blocks may
    lie in one another; the outermost one computes. Transposed convolutions, whose v has another layout, are passed
    over.

    Examples:
        >>> from wn_rl.nn import WeightNormLinear
        >>> layer = WeightNormLinear(4, 4)
        >>> with cached_weights(layer.modules()):
        ...     layer.weight is layer.weight
        True
    """
    found = [layer for layer in layers if isinstance(layer, WeightNormLayer) and layer.output_axis == 0]
    with _held_weights(found, None):
        yield


@contextmanager
def lent_weights(computed: Mapping[WeightNormLayer, ComputedWeight]) -> Iterator[None]:
    """Inside, weight-normalized layers use the w that :func:`fold_` wrote, and compute none; the graph is as ever.

    The caller knows that v and g have not changed since they were folded, that the network is applied in the dtype into
    which they were (an autocast one, or their own), and that they are not folded anew before the backward pass. As
    :func:`cached_weights` otherwise.
    """
    with _held_weights(computed, computed):
        yield


@contextmanager
def _held_weights(
    layers: Iterable[WeightNormLayer], known: Mapping[WeightNormLayer, ComputedWeight] | None
) -> Iterator[None]:
    """Inside, those of the layers that no block around this one serves hold their w, computed unless it is known."""
    served = [layer for layer in layers if layer.cached_weight is None]
    if served:
        vs, gs = [layer.v for layer in served], [layer.compute_g() for layer in served]
        weights = compute_weights(vs, gs, None if known is None else [known[layer] for layer in served])
        for layer, weight in zip(served, weights, strict=True):
            layer.cached_weight = weight
    try:
        yield
    finally:
        for layer in served:
            layer.cached_weight = None

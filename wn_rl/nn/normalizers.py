"""Which normalization does a network get, by one word? A normalizer makes a module of an affine layer.

The output layer (the one whose units are Q-values, values or advantages) is special: ``weight_norm`` and its
variants normalize its weights, as the paper does. The norms of activations (mean-only, batch and layer norm)
leave it plain, since they would take away the Q-values' own mean and scale; so do ``spectral_norm`` and
``projection``, which would bound them.
"""

from collections.abc import Callable
from functools import singledispatch
from typing import Protocol, cast, runtime_checkable

from torch import nn

from wn_rl.nn.conversion import weight_normalize
from wn_rl.nn.normalized_layers import (
    BATCH_EPSILON,
    BATCH_MOMENTUM,
    AffineLayer,
    BatchNorm,
    MeanOnlyBatchNorm,
    NormProjection,
    SpectralNorm,
)
from wn_rl.system.registry import look_up


@runtime_checkable
class Normalizer(Protocol):
    """Makes a module of the layer t = w x + b; ``is_output`` marks the layer whose t are Q-values."""

    def __call__(self, layer: AffineLayer, *, is_output: bool) -> nn.Module: ...


def _none(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    return layer


def _weight_norm(layer: AffineLayer, *, is_output: bool) -> AffineLayer:
    return cast(AffineLayer, weight_normalize(layer))  # ours extend PyTorch's classes


def _weight_norm_projected_v(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    return NormProjection(_weight_norm(layer, is_output=is_output), "v")


def _mean_only_batch_norm(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    return layer if is_output else MeanOnlyBatchNorm(layer)


def _weight_norm_mean_only_batch_norm(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    normalized = _weight_norm(layer, is_output=is_output)
    return normalized if is_output else MeanOnlyBatchNorm(normalized)


def _batch_norm(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    if is_output:
        return layer
    if isinstance(layer, nn.Conv2d):
        return BatchNorm(layer, nn.BatchNorm2d(layer.out_channels, BATCH_EPSILON, BATCH_MOMENTUM))
    return BatchNorm(layer, nn.BatchNorm1d(layer.out_features, BATCH_EPSILON, BATCH_MOMENTUM))


def _layer_norm(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    if is_output:
        return layer
    if isinstance(layer, nn.Conv2d):  # one group: over channels and space, as Ba et al. 2016 do for all units
        return nn.Sequential(layer, nn.GroupNorm(1, layer.out_channels))
    return nn.Sequential(layer, nn.LayerNorm(layer.out_features))


def _spectral_norm(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    return layer if is_output else SpectralNorm(layer)


def _projection(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    return layer if is_output else NormProjection(layer, "weight")


NORMALIZERS: dict[str, Callable[..., nn.Module]] = {
    "none": _none,
    "weight_norm": _weight_norm,
    "weight_norm_projected_v": _weight_norm_projected_v,
    "mean_only_batch_norm": _mean_only_batch_norm,
    "weight_norm_mean_only_batch_norm": _weight_norm_mean_only_batch_norm,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "spectral_norm": _spectral_norm,
    "projection": _projection,
}

AFFINE_NORMALIZERS = ("none", "weight_norm")
"""Those whose layers are plain or weight-normalized, and nothing else."""


def make_normalizer(name: str) -> Normalizer:
    """The normalizer called ``name``. Raises ConfigurationError, naming the known ones, for an unknown name."""
    return look_up(name, NORMALIZERS, what="normalizer")


@singledispatch
def _project(module: nn.Module) -> None:
    """Most modules are not projected."""


@_project.register
def _(module: NormProjection) -> None:
    module.project()


def after_update(network: nn.Module) -> None:
    """What a normalizer does after every optimizer step: projections scale their weights back; else nothing."""
    for module in network.modules():
        _project(module)

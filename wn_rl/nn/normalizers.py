"""Normalizers, by one word each: what makes a module of an affine layer t = w x + b.

The output layer (the one whose units are predictions) is special: ``weight_norm`` and its variants normalize its
weights, as the paper does. The norms of activations (mean-only, batch and layer norm) leave it plain, since they would
take away the predictions' own mean and scale; so do ``spectral_norm`` and ``projection``, which would bound them.

Of a recurrent layer ``weight_norm`` and its variants normalize every matrix (Section 5.3 of the paper); the norms of
activations leave it plain, too: statistics of a minibatch differ from step to step, which is the paper's reason for
weight normalization. ``spectral_norm`` and projections have no form for it.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar, cast, runtime_checkable

from torch import nn

from wn_rl.nn.conversion import weight_normalize
from wn_rl.nn.normalized_layers import (
    AffineLayer,
    BatchNorm,
    MeanOnlyBatchNorm,
    NormProjection,
    SpectralNorm,
    count_units,
    find_unit_axis,
)
from wn_rl.system.registry import add, look_up


@runtime_checkable
class Normalizer(Protocol):
    """Makes a module of the layer t = w x + b; ``is_output`` marks the layer whose t are predictions."""

    def __call__(self, layer: AffineLayer, *, is_output: bool) -> nn.Module: ...


def _none(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    return layer


def _weight_norm(layer: AffineLayer, *, is_output: bool) -> AffineLayer:
    return cast(AffineLayer, weight_normalize(layer, strict=True))  # ours extend PyTorch's classes


def _weight_norm_projected_v(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    return NormProjection(_weight_norm(layer, is_output=is_output), "v")


def _mean_only_batch_norm(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    return layer if is_output else MeanOnlyBatchNorm(layer)


def _weight_norm_mean_only_batch_norm(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    normalized = _weight_norm(layer, is_output=is_output)
    return normalized if is_output else MeanOnlyBatchNorm(normalized)


def _batch_norm(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    return layer if is_output else BatchNorm(layer)


def _layer_norm(layer: AffineLayer, *, is_output: bool) -> nn.Module:
    if is_output:
        return layer
    example = next(layer.parameters())
    if find_unit_axis(layer) == -1:
        return nn.Sequential(layer, nn.LayerNorm(count_units(layer), device=example.device, dtype=example.dtype))
    # one group: over channels and space, as Ba et al. 2016 do for all units
    return nn.Sequential(layer, nn.GroupNorm(1, count_units(layer), device=example.device, dtype=example.dtype))


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

RecurrentNormalizer = Callable[[nn.RNNBase], nn.RNNBase]
"""Makes a recurrent layer of a plain one."""


def _leave_plain(layer: nn.RNNBase) -> nn.RNNBase:
    return layer


def _weight_norm_recurrent(layer: nn.RNNBase) -> nn.RNNBase:
    return cast(nn.RNNBase, weight_normalize(layer, strict=True))


RECURRENT_NORMALIZERS: dict[str, RecurrentNormalizer] = {
    "none": _leave_plain,
    "weight_norm": _weight_norm_recurrent,
    "mean_only_batch_norm": _leave_plain,
    "weight_norm_mean_only_batch_norm": _weight_norm_recurrent,
    "batch_norm": _leave_plain,
    "layer_norm": _leave_plain,
}
"""What each normalizer makes of an LSTM or GRU; the others have nothing for it."""

PER_EXAMPLE_NORMALIZERS = ("none", "weight_norm", "layer_norm")
"""Those under which no example depends on another, and whose layers are plain, weight-normalized or PyTorch's norms."""


MINIBATCH_NORMALIZERS = ("mean_only_batch_norm", "weight_norm_mean_only_batch_norm", "batch_norm")
"""Those under which an example counts by how it differs from the others: of one alone nothing is learned."""


_OWN = frozenset(NORMALIZERS)

Made = TypeVar("Made", bound=Callable[..., nn.Module])


def register_normalizer(name: str) -> Callable[[Made], Made]:
    """Make a normalizer of a user's own known by ``name``: a decorator of a function like ``Normalizer``.

    Folding leaves a module of an unknown class as it is.

    Raises:
        ConfigurationError: the name is taken.
    """

    def register(make: Made) -> Made:
        add(name, cast(Callable[..., nn.Module], make), NORMALIZERS, own=_OWN, what="normalizer")
        return make

    return register


def make_normalizer(name: str) -> Normalizer:
    """The normalizer called ``name``. Raises ConfigurationError, naming the known ones, for an unknown name.

    Examples:
        >>> type(make_normalizer("weight_norm")(nn.Linear(4, 3), is_output=False)).__name__
        'WeightNormLinear'
    """
    return look_up(name, NORMALIZERS, what="normalizer")


def project_weights(network: nn.Module) -> None:
    """What a normalizer does after every optimizer step: projections scale their weights back; else nothing."""
    for module in network.modules():
        if isinstance(module, NormProjection):
            module.project()

"""Which arguments rebuild an affine layer, and which classes belong together?"""

from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils import parametrize

from wn_rl.nn.weight_norm import is_channels_last
from wn_rl.nn.weight_norm_conv import WeightNormConv1d, WeightNormConv2d, WeightNormConv3d
from wn_rl.nn.weight_norm_linear import WeightNormLinear
from wn_rl.nn.weight_norm_transposed import (
    WeightNormConvTranspose1d,
    WeightNormConvTranspose2d,
    WeightNormConvTranspose3d,
)

WEIGHT_NORM_OF: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: WeightNormLinear,
    nn.Conv1d: WeightNormConv1d,
    nn.Conv2d: WeightNormConv2d,
    nn.Conv3d: WeightNormConv3d,
    nn.ConvTranspose1d: WeightNormConvTranspose1d,
    nn.ConvTranspose2d: WeightNormConvTranspose2d,
    nn.ConvTranspose3d: WeightNormConvTranspose3d,
}
PLAIN_OF: dict[type[nn.Module], type[nn.Module]] = {normed: plain for plain, normed in WEIGHT_NORM_OF.items()}

CONVOLUTION = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "padding_mode",
)
TRANSPOSED = (*CONVOLUTION, "output_padding")
ARGUMENT_NAMES: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Linear: ("in_features", "out_features"),
    nn.Conv1d: CONVOLUTION,
    nn.Conv2d: CONVOLUTION,
    nn.Conv3d: CONVOLUTION,
    nn.ConvTranspose1d: TRANSPOSED,
    nn.ConvTranspose2d: TRANSPOSED,
    nn.ConvTranspose3d: TRANSPOSED,
}


AFFINE_TYPES = tuple(WEIGHT_NORM_OF)
WEIGHT_NORM_TYPES = tuple(PLAIN_OF)


def plain_type(layer: nn.Module) -> type[nn.Module] | None:
    """The ``torch.nn`` class that a plain or weight-normalized affine layer corresponds to; None for other modules."""
    kind = parametrize.type_before_parametrizations(layer)
    return kind if kind in WEIGHT_NORM_OF else PLAIN_OF.get(kind)


def constructor_arguments(layer: nn.Module, kind: type[nn.Module], *, has_bias: bool) -> dict[str, Any]:
    """The arguments with which ``kind`` (a key of WEIGHT_NORM_OF) has the layer's shape, stride and padding."""
    return {name: getattr(layer, name) for name in ARGUMENT_NAMES[kind]} | {"bias": has_bias}


def make_plain_like(layer: nn.Module, *, has_bias: bool) -> nn.Module:
    """A plain layer of the same geometry, device, dtype and memory format; its parameters are not initialized."""
    kind = cast(type[nn.Module], plain_type(layer))
    example = next(layer.parameters())
    arguments = constructor_arguments(layer, kind, has_bias=has_bias)
    plain = nn.utils.skip_init(kind, **arguments, device=example.device, dtype=example.dtype)
    if any(is_channels_last(parameter) for parameter in layer.parameters()):
        plain.to(memory_format=torch.channels_last)
    return plain


def output_axis(kind: type[nn.Module]) -> int:
    """The axis of a ``torch.nn`` layer's weight that counts output units."""
    return 1 if ARGUMENT_NAMES[kind] is TRANSPOSED else 0

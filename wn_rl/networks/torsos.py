"""Torsos, by name, which turn a stack of frames into features: convolutions, residual networks and MLPs.

A torso takes observations [B, S, *frame], scales (and centers) pixels itself, and returns features [B, F]. Every
affine layer passes through the normalizer. Without ``hidden_units`` the last hidden layer is left to the
head, as the dueling head needs.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import torch
from jaxtyping import Float, Num, UInt8
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.networks.impala import ImpalaTorso
from wn_rl.networks.layers import make_conv2d, make_hidden_layer
from wn_rl.networks.pixels import make_image_reader, make_reader
from wn_rl.networks.reshaping import FlattenChannelsLast, WidthToDepth
from wn_rl.nn.normalizers import Normalizer
from wn_rl.system.registry import add
from wn_rl.types import ObservationSpec

# Channels, kernel and stride of each convolution.
NATURE_CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))  # Mnih et al. 2015, Methods
SMALL_CONVOLUTIONS = ((16, 8, 4), (32, 4, 2))  # Mnih et al. 2013, Section 4.1
MINATAR_CONVOLUTIONS = ((16, 3, 1),)  # Young & Tian 2019, "MinAtar", Section 3, for images of 10 x 10


class ConvolutionalTorso(nn.Module):
    """The networks of Mnih et al. 2015 ("nature") and 2013 ("small") up to the output layer; "minatar".

    Convolutions 32 8x8/4, 64 4x4/2, 64 3x3/1 ("small": 16 8x8/4, 32 4x4/2; "minatar", of Young & Tian 2019 for small
    images: 16 3x3/1), flatten, linear ``hidden_units`` (512 there; 256; 128), a ReLU after each. On 84 x 84 frames the
    flattened features are 64 * 7 * 7 = 3136 (32 * 9 * 9 = 2592); without ``hidden_units`` they are what is returned.
    Strided convolutions are computed on :class:`WidthToDepth`, and have kernels of that shape.
    """

    def __init__(
        self,
        *,
        convolutions: tuple[tuple[int, int, int], ...],
        stack_size: int,
        observation: ObservationSpec,
        hidden_units: int | None,
        center_pixels: bool,
        normalizer: Normalizer,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        layers, channels = make_image_reader(observation, stack_size=stack_size, center_pixels=center_pixels)
        *_, height, width = observation.shape
        for out_channels, kernel, stride in convolutions:
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
            if height < 1 or width < 1:
                raise ConfigurationError(
                    f"frames of {observation.shape} are too small for the convolutions of this torso; torso='nature'"
                    " needs 36 x 36, torso='small' 20 x 20, torso='minatar' 3 x 3; use torso='mlp'"
                )
            conv = make_conv2d(
                channels * stride, out_channels, kernel_size=(kernel, kernel // stride), stride=(stride, 1),
                padding=0, generator=generator,
            )  # fmt: skip
            layers += [WidthToDepth(kernel, stride), normalizer(conv, is_output=False), nn.ReLU(inplace=True)]
            channels = out_channels
        layers.append(FlattenChannelsLast())
        self.num_features = channels * height * width
        if hidden_units is not None:
            layers += make_hidden_layer(self.num_features, hidden_units, normalizer=normalizer, generator=generator)
            self.num_features = hidden_units
        self.layers = nn.Sequential(*layers)

    def forward(self, observations: UInt8[Tensor, "B S *frame"]) -> Float[Tensor, "B F"]:
        return self.layers(observations)


class MLPTorso(nn.Module):
    """Flatten, linear ``num_units`` ("vector": 256, "mlp": 64), linear ``hidden_units`` if given, a ReLU after each."""

    def __init__(
        self,
        *,
        num_units: int,
        stack_size: int,
        observation: ObservationSpec,
        hidden_units: int | None,
        center_pixels: bool,
        normalizer: Normalizer,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [make_reader(observation, center_pixels=center_pixels), nn.Flatten()]
        self.num_features = stack_size * math.prod(observation.shape)
        for width in [num_units] if hidden_units is None else [num_units, hidden_units]:
            layers += make_hidden_layer(self.num_features, width, normalizer=normalizer, generator=generator)
            self.num_features = width
        self.layers = nn.Sequential(*layers)

    def forward(self, observations: Num[Tensor, "B S *frame"]) -> Float[Tensor, "B F"]:
        return self.layers(observations)


Torso = ConvolutionalTorso | ImpalaTorso | MLPTorso


class TorsoEntry(NamedTuple):
    """A torso by its name: what makes it, and whether it is told the widths and the pooling of a residual network."""

    make: Callable[..., Torso]
    is_residual: bool = False


TORSOS = {
    "nature": TorsoEntry(partial(ConvolutionalTorso, convolutions=NATURE_CONVOLUTIONS)),
    "small": TorsoEntry(partial(ConvolutionalTorso, convolutions=SMALL_CONVOLUTIONS)),
    "minatar": TorsoEntry(partial(ConvolutionalTorso, convolutions=MINATAR_CONVOLUTIONS)),
    "impala": TorsoEntry(partial(ImpalaTorso, block_size=1), is_residual=True),
    "impala_small": TorsoEntry(partial(ImpalaTorso, block_size=2), is_residual=True),
    "vector": TorsoEntry(partial(MLPTorso, num_units=256)),
    "mlp": TorsoEntry(partial(MLPTorso, num_units=64)),
}


_OWN = frozenset(TORSOS)

Made = TypeVar("Made", bound=Callable[..., nn.Module])


def register_torso(name: str) -> Callable[[Made], Made]:
    """Make a torso of a user's own known as ``network.torso=<name>``: a decorator of its class, or of what makes it.

    It is called with ``stack_size``, ``observation``, ``hidden_units`` (None: the head has the last hidden layer),
    ``center_pixels``, ``normalizer``, which every affine layer is to be passed through, and ``generator``, as
    ``MLPTorso`` is; and has ``num_features``, the F of the features [B, F] that it makes of [B, S, *frame].

    Raises:
        ConfigurationError: the name is taken.
    """

    def register(make: Made) -> Made:
        add(name, TorsoEntry(cast(Any, make)), TORSOS, own=_OWN, what="network.torso")
        return make

    return register


def choose_torso(observation: ObservationSpec) -> str:
    """The name of the torso that fits: what ``network.torso=auto`` becomes."""
    if not observation.is_image:
        return "vector"
    return "nature" if min(observation.shape[-2:]) >= 36 else "minatar"

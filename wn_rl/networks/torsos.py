"""What turns a stack of frames into features? Torsos, by name: the convolutions of Mnih et al., and an MLP.

A torso takes u8 observations [B, S, H, W], scales (and centers) them itself, and returns features [B, F]. Every
affine layer passes through the normalizer. Without ``hidden_units`` the last hidden layer is left to the
head, as the dueling head needs.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.networks.layers import make_conv2d, make_linear
from wn_rl.networks.pixels import ScalePixels
from wn_rl.nn.normalizers import Normalizer

# Channels, kernel and stride of each convolution.
NATURE_CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))  # Mnih et al. 2015, Methods
SMALL_CONVOLUTIONS = ((16, 8, 4), (32, 4, 2))  # Mnih et al. 2013, Section 4.1
MLP_UNITS = 64  # first layer of the toy torso


class WidthToDepth(nn.Module):
    """[B, C, H, W] -> [B, C s, H, W/s]: ``s`` neighbours in a row become channels of one place.

    A convolution with a k x k kernel and stride s, with s a divisor of k, is the same function as one with a
    k x k/s kernel and strides (s, 1) of what this returns: the weight of channel ``dx C + c`` and column ``x`` is
    that of channel ``c`` and column ``s x + dx``. With channels last in memory it is a view, and a processor's matrix
    units, which want many channels, are twice as fast on it in the first layer. Columns that no kernel reaches
    are left out.
    """

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B Cs H Ws"]:
        width = (x.shape[3] - self.kernel_size) // self.stride * self.stride + self.kernel_size
        rows = x.permute(0, 2, 3, 1)[:, :, :width]  # [B, H, W, C]
        return rows.unflatten(2, (-1, self.stride)).flatten(3).permute(0, 3, 1, 2)


class FlattenChannelsLast(nn.Module):
    """[B, C, H, W] -> [B, H W C]: the features of a place side by side, in the order of memory, so that none moves."""

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        return x.permute(0, 2, 3, 1).flatten(1)


class ConvolutionalTorso(nn.Module):
    """The networks of Mnih et al. 2015 ("nature") and 2013 ("small") up to the output layer.

    Convolutions 32 8x8/4, 64 4x4/2, 64 3x3/1 ("small": 16 8x8/4, 32 4x4/2), flatten, linear ``hidden_units`` (512
    there; 256), a ReLU after each. On 84 x 84 frames the flattened features are 64 * 7 * 7 = 3136 (32 * 9 * 9 =
    2592); without ``hidden_units`` they are what is returned. Strided convolutions are computed on
    :class:`WidthToDepth`, and have kernels of that shape.
    """

    def __init__(
        self,
        *,
        convolutions: tuple[tuple[int, int, int], ...],
        stack_size: int,
        frame_shape: tuple[int, int],
        hidden_units: int | None,
        center_pixels: bool,
        normalizer: Normalizer,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [ScalePixels(frame_shape if center_pixels else None)]
        channels, (height, width) = stack_size, frame_shape
        for out_channels, kernel, stride in convolutions:
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
            if height < 1 or width < 1:
                raise ConfigurationError(
                    f"frames of {frame_shape} are too small for the convolutions of this torso; torso='nature' needs"
                    " 36 x 36, torso='small' 20 x 20; use torso='mlp'"
                )
            conv = make_conv2d(
                channels * stride, out_channels, kernel_size=(kernel, kernel // stride), stride=(stride, 1),
                generator=generator,
            )  # fmt: skip
            layers += [WidthToDepth(kernel, stride), normalizer(conv, is_output=False), nn.ReLU(inplace=True)]
            channels = out_channels
        layers.append(FlattenChannelsLast())
        self.num_features = channels * height * width
        if hidden_units is not None:
            linear = make_linear(self.num_features, hidden_units, generator=generator)
            layers += [normalizer(linear, is_output=False), nn.ReLU()]
            self.num_features = hidden_units
        self.layers = nn.Sequential(*layers)

    def forward(self, observations: UInt8[Tensor, "B S H W"]) -> Float[Tensor, "B F"]:
        return self.layers(observations)


class MLPTorso(nn.Module):
    """For toy frames: flatten, linear 64, and linear ``hidden_units`` where given, a ReLU after each."""

    def __init__(
        self,
        *,
        stack_size: int,
        frame_shape: tuple[int, int],
        hidden_units: int | None,
        center_pixels: bool,
        normalizer: Normalizer,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [ScalePixels(frame_shape if center_pixels else None), nn.Flatten()]
        self.num_features = stack_size * frame_shape[0] * frame_shape[1]
        for num_units in [MLP_UNITS] if hidden_units is None else [MLP_UNITS, hidden_units]:
            linear = make_linear(self.num_features, num_units, generator=generator)
            layers += [normalizer(linear, is_output=False), nn.ReLU()]
            self.num_features = num_units
        self.layers = nn.Sequential(*layers)

    def forward(self, observations: UInt8[Tensor, "B S H W"]) -> Float[Tensor, "B F"]:
        return self.layers(observations)


Torso = ConvolutionalTorso | MLPTorso

TORSOS: dict[str, Callable[..., Torso]] = {
    "nature": partial(ConvolutionalTorso, convolutions=NATURE_CONVOLUTIONS),
    "small": partial(ConvolutionalTorso, convolutions=SMALL_CONVOLUTIONS),
    "mlp": MLPTorso,
}

"""What turns a stack of frames into features? Torsos, by name: the Nature convolutions, and a small MLP.

A torso takes u8 observations [B, S, H, W], scales them by 1/255 itself, and returns features [B, F]. Every
affine layer passes through the normalizer. Without ``hidden_units`` the last hidden layer is left to the
head, as the dueling head needs.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.nn.layers import make_conv2d, make_linear
from wn_rl.nn.normalizers import Normalizer

NATURE_CONVOLUTIONS = (
    (32, 8, 4),
    (64, 4, 2),
    (64, 3, 1),
)  # channels, kernel, stride; Mnih et al. 2015, Methods
MLP_UNITS = 64  # first layer of the toy torso


class ScalePixels(nn.Module):
    """u8 pixels to [0, 1]: x / 255, in the autocast dtype where autocast is on, else in the network's dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.factor: Tensor
        self.register_buffer("factor", torch.tensor(1 / 255), persistent=False)

    def forward(self, observations: UInt8[Tensor, "B S H W"]) -> Float[Tensor, "B S H W"]:
        device_type = observations.device.type
        autocast = torch.is_autocast_enabled(device_type)
        dtype = torch.get_autocast_dtype(device_type) if autocast else self.factor.dtype
        return observations.to(dtype).mul_(self.factor.to(dtype))


class NatureTorso(nn.Module):
    """The network of Mnih et al. 2015 up to the output layer.

    Convolutions 32 8x8/4, 64 4x4/2, 64 3x3/1, flatten, linear ``hidden_units`` (512 there), a ReLU after
    each. On 84 x 84 frames the flattened features are 64 * 7 * 7 = 3136; without ``hidden_units`` they are
    what is returned.
    """

    def __init__(
        self,
        *,
        stack_size: int,
        frame_shape: tuple[int, int],
        hidden_units: int | None,
        normalizer: Normalizer,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [ScalePixels()]
        channels, (height, width) = stack_size, frame_shape
        for out_channels, kernel, stride in NATURE_CONVOLUTIONS:
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
            if height < 1 or width < 1:
                raise ConfigurationError(
                    f"frames of {frame_shape} are too small for torso='nature', which needs 36 x 36; use torso='mlp'"
                )
            conv = make_conv2d(channels, out_channels, kernel_size=kernel, stride=stride, generator=generator)
            layers += [normalizer(conv, is_output=False), nn.ReLU()]
            channels = out_channels
        layers.append(nn.Flatten())
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
        normalizer: Normalizer,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [ScalePixels(), nn.Flatten()]
        self.num_features = stack_size * frame_shape[0] * frame_shape[1]
        for num_units in [MLP_UNITS] if hidden_units is None else [MLP_UNITS, hidden_units]:
            linear = make_linear(self.num_features, num_units, generator=generator)
            layers += [normalizer(linear, is_output=False), nn.ReLU()]
            self.num_features = num_units
        self.layers = nn.Sequential(*layers)

    def forward(self, observations: UInt8[Tensor, "B S H W"]) -> Float[Tensor, "B F"]:
        return self.layers(observations)


Torso = NatureTorso | MLPTorso

TORSOS: dict[str, Callable[..., Torso]] = {"nature": NatureTorso, "mlp": MLPTorso}

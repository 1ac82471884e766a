"""The residual torso of IMPALA: fifteen convolutions that see frames at full resolution, and few channels."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.networks.layers import make_conv2d, make_hidden_layer
from wn_rl.networks.pixels import make_image_reader
from wn_rl.networks.reshaping import FlattenChannelsLast, SpaceToDepth
from wn_rl.nn.normalizers import Normalizer
from wn_rl.nn.residual import Residual
from wn_rl.system.fields import wholes
from wn_rl.types import ObservationSpec

IMPALA_WIDTHS = (16, 32, 32)  # Espeholt et al. 2018, Figure 3
BLOCKS_PER_SECTION = 2  # the same

check_widths = wholes(1, 4096, max_length=6)
"""What widths may be: of a configuration, and of an agent's description."""


class ImpalaTorso(nn.Module):
    """The large network of Espeholt et al. 2018 ("IMPALA", Figure 3, right) up to the output layer, without its LSTM.

    For each width a section: a 3 x 3 convolution, the largest of 3 x 3 at every second place, and two residual blocks

        x + conv(relu(conv(relu(x)))),    3 x 3 convolutions of that width.

    Then a ReLU, flatten, linear ``hidden_units`` (256 there), and a ReLU. Convolutions keep height and width: zeros are
    put around what they read. Of 84 x 84 frames the sections leave 42 x 42, 21 x 21 and 11 x 11 places.

    Args:
        widths: channels of each section.
        pooled_size: P; the largest of each of P x P fields is what is flattened (6 in Clark et al. 2024, "Beyond The
            Rainbow"), or None: everything.
        block_size: s; s x s pixels are one place of s s times the channels ("impala_small": 2).
    """

    def __init__(
        self,
        *,
        widths: Sequence[int],
        pooled_size: int | None,
        block_size: int,
        stack_size: int,
        observation: ObservationSpec,
        hidden_units: int | None,
        center_pixels: bool,
        normalizer: Normalizer,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        check_widths("network.impala_widths", widths)
        layers, channels = make_image_reader(observation, stack_size=stack_size, center_pixels=center_pixels)
        height, width = (length // block_size for length in observation.shape[-2:])
        if block_size > 1:
            layers.append(SpaceToDepth(block_size))
            channels *= block_size**2
        for out_channels in widths:
            layers += _make_section(channels, out_channels, normalizer=normalizer, generator=generator)
            channels, height, width = out_channels, (height + 1) // 2, (width + 1) // 2
        layers.append(nn.ReLU(inplace=True))
        _check_size(observation, height, width, pooled_size)
        if pooled_size is not None:
            layers.append(nn.AdaptiveMaxPool2d(pooled_size))
            height = width = pooled_size
        layers.append(FlattenChannelsLast())
        self.num_features = channels * height * width
        if hidden_units is not None:
            layers += make_hidden_layer(self.num_features, hidden_units, normalizer=normalizer, generator=generator)
            self.num_features = hidden_units
        self.layers = nn.Sequential(*layers)

    def forward(self, observations: UInt8[Tensor, "B S *frame"]) -> Float[Tensor, "B F"]:
        return self.layers(observations)


def _make_section(
    in_channels: int, out_channels: int, *, normalizer: Normalizer, generator: torch.Generator | None
) -> list[nn.Module]:
    """A convolution, half the height and width, and residual blocks."""

    def make_conv(in_channels: int) -> nn.Module:
        conv = make_conv2d(
            in_channels, out_channels, kernel_size=(3, 3), stride=(1, 1), padding=1, generator=generator
        )  # fmt: skip
        return normalizer(conv, is_output=False)

    section = [make_conv(in_channels), nn.MaxPool2d(3, stride=2, padding=1)]
    for _ in range(BLOCKS_PER_SECTION):
        first, second = make_conv(out_channels), make_conv(out_channels)
        branch = nn.Sequential(nn.ReLU(), first, nn.ReLU(inplace=True), second)  # the first leaves x as it is
        section.append(Residual(branch, num_in_a_row=BLOCKS_PER_SECTION))
    return section


def _check_size(observation: ObservationSpec, height: int, width: int, pooled_size: int | None) -> None:
    """Make sure that something is left of a frame, and enough of it; ConfigurationError where it is not."""
    if min(height, width) < 1:
        raise ConfigurationError(
            f"frames of {observation.shape} are too small for the blocks of 2 x 2 pixels of this torso; use"
            " torso='impala'"
        )
    if pooled_size is not None and not 1 <= pooled_size <= min(height, width):
        raise ConfigurationError(
            f"network.impala_pooled_size={pooled_size}: the sections leave {height} x {width} places of frames of"
            f" {observation.shape}; needs a number of 1 to {min(height, width)}, or null"
        )

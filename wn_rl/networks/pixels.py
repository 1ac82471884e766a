"""What a network sees of a frame: pixels as numbers around 0.5, or around 0; the numbers of a vector."""

import math

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.networks import pixel_kernel
from wn_rl.networks.reshaping import MergeChannels
from wn_rl.nn.weight_norm import uses_plain_operations
from wn_rl.types import ObservationSpec


class ScalePixels(nn.Module):
    """u8 pixels to x / 255, or to (x − mean) / 255, in the autocast dtype where autocast is on, else the network's.

    A game's scenery is the same in every frame. Centered, it is near 0, and what the first layer's gradient is made of
    is what moves: inputs whose mean is far from 0 make gradient descent slow (LeCun et al. 1998, Efficient BackProp,
    Section 4.3). ``mean`` is 0 until ``center_`` has seen frames.

    Args:
        mean_shape: the shape of a frame if they are centered, else None.
    """

    def __init__(self, mean_shape: tuple[int, ...] | None) -> None:
        super().__init__()
        self.factor: Tensor
        self.register_buffer("factor", torch.tensor(1 / 255), persistent=False)
        self.mean: Tensor | None
        # Whole numbers, so that it is the same in networks of any precision.
        self.register_buffer("mean", None if mean_shape is None else torch.zeros(mean_shape, dtype=torch.uint8))

    def extra_repr(self) -> str:
        return "" if self.mean is None else "centered"

    @torch.no_grad()
    def center_(self, observations: UInt8[Tensor, "B S *frame"]) -> None:
        """Take the mean frame of these observations for what is 0, if pixels are centered."""
        if self.mean is not None:
            self.mean.copy_(observations.float().mean(dim=(0, 1)).round())

    def forward(self, observations: UInt8[Tensor, "B S *frame"]) -> Float[Tensor, "B S *frame"]:
        dtype = _find_dtype(observations, self.factor)
        # The kernel knows gray frames; others have few pixels.
        if observations.dim() == 4 and not uses_plain_operations() and pixel_kernel.can_scale(observations, dtype):
            return pixel_kernel.scale_pixels(observations, self.mean, 1 / 255, dtype)
        pixels = observations.to(dtype)
        if self.mean is not None:
            pixels.sub_(self.mean.to(dtype))  # exact: whole numbers of up to 255
        return pixels.mul_(self.factor.to(dtype))


class ScaleNumbers(nn.Module):
    """Vectors x to symlog((x − mean) / std), in the autocast dtype where autocast is on, else the network's.

    symlog(z) = sign(z) log(1 + |z|) (Hafner et al. 2023, "DreamerV3", Eq. 9). Units differ from number to number, and
    play may go far beyond what the first observations show. ``mean`` and ``std``, of each number, are 0 and 1 until
    ``center_`` has seen observations.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    @torch.no_grad()
    def center_(self, observations: Float32[Tensor, "B S D"]) -> None:
        """Take mean and std of these observations; a number that never changes keeps its unit."""
        self.mean.copy_(observations.mean(dim=(0, 1)))
        std = observations.std(dim=(0, 1), correction=0)
        self.std.copy_(torch.where(std > 1e-6, std, 1.0))

    def forward(self, observations: Float32[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        scaled = (observations - self.mean) / self.std
        return (scaled.sign() * scaled.abs().log1p()).to(_find_dtype(observations, self.mean))


def make_reader(observation: ObservationSpec, *, center_pixels: bool) -> nn.Module:
    """The first layer of a network: what makes numbers of frames, whose shape they keep."""
    if observation.is_image:
        return ScalePixels(observation.shape if center_pixels else None)
    if center_pixels:
        raise ConfigurationError(
            f"network.center_pixels=true needs images, not {observation}; say network.center_pixels=false"
        )
    return ScaleNumbers(observation.shape)


def make_image_reader(
    observation: ObservationSpec, *, stack_size: int, center_pixels: bool
) -> tuple[list[nn.Module], int]:
    """What makes [B, C, H, W] of stacks of images, for convolutions, and C.

    Raises:
        ConfigurationError: the observations are no images.
    """
    if not observation.is_image:
        raise ConfigurationError(
            f"this torso is of convolutions, and observations are {observation}, no images; use network.torso=auto,"
            " vector or mlp"
        )
    layers = [make_reader(observation, center_pixels=center_pixels)]
    own_channels = observation.shape[:-2]
    if own_channels:
        layers.append(MergeChannels())
    return layers, math.prod((stack_size, *own_channels))


def _find_dtype(observations: Tensor, own: Tensor) -> torch.dtype:
    device_type = observations.device.type
    return torch.get_autocast_dtype(device_type) if torch.is_autocast_enabled(device_type) else own.dtype

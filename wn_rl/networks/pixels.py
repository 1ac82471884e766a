"""What does a network see of a frame? Its pixels as numbers around 0.5, or around 0."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from wn_rl.networks import pixel_kernel
from wn_rl.nn.weight_norm import uses_plain_operations


class ScalePixels(nn.Module):
    """u8 pixels to x / 255, or to (x − mean) / 255, in the autocast dtype where autocast is on, else the network's.

    A game's scenery is the same in every frame. Centered, it is near 0, and what the first layer's gradient is made of
    is what moves: inputs whose mean is far from 0 make gradient descent slow (LeCun et al. 1998, Efficient BackProp,
    Section 4.3). ``mean`` is 0 until ``center_`` has seen frames.

    Args:
        mean_shape: (H, W) of the frames if they are centered, else None.
    """

    def __init__(self, mean_shape: tuple[int, int] | None) -> None:
        super().__init__()
        self.factor: Tensor
        self.register_buffer("factor", torch.tensor(1 / 255), persistent=False)
        self.mean: Tensor | None
        # Whole numbers, so that it is the same in networks of any precision.
        self.register_buffer("mean", None if mean_shape is None else torch.zeros(mean_shape, dtype=torch.uint8))

    def extra_repr(self) -> str:
        return "" if self.mean is None else "centered"

    @torch.no_grad()
    def center_(self, observations: UInt8[Tensor, "B S H W"]) -> None:
        """Take the mean frame of these observations for what is 0, if pixels are centered."""
        if self.mean is not None:
            self.mean.copy_(observations.float().mean(dim=(0, 1)).round())

    def forward(self, observations: UInt8[Tensor, "B S H W"]) -> Float[Tensor, "B S H W"]:
        device_type = observations.device.type
        autocast = torch.is_autocast_enabled(device_type)
        dtype = torch.get_autocast_dtype(device_type) if autocast else self.factor.dtype
        if not uses_plain_operations() and pixel_kernel.can_scale(observations, dtype):
            return pixel_kernel.scale_pixels(observations, self.mean, 1 / 255, dtype)
        pixels = observations.to(dtype)
        if self.mean is not None:
            pixels.sub_(self.mean.to(dtype))  # exact: whole numbers of up to 255
        return pixels.mul_(self.factor.to(dtype))

"""Layers that compute nothing: they say anew which numbers lie side by side."""

from jaxtyping import Float
from torch import Tensor, nn


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


class MergeChannels(nn.Module):
    """[B, S, C, H, W] -> [B, S C, H, W]: the channels of all frames of a stack side by side."""

    def forward(self, x: Float[Tensor, "B S C H W"]) -> Float[Tensor, "B SC H W"]:
        return x.flatten(1, 2)


class SpaceToDepth(nn.Module):
    """[B, C, H, W] -> [B, s s C, H/s, W/s]: the s x s numbers of a block become channels of one place.

    Channel ``(dy s + dx) C + c`` is row dy and column dx of channel c in its block; what is returned has channels last
    in memory. Rows and columns that fill no block are left out.
    """

    def __init__(self, block_size: int) -> None:
        super().__init__()
        self.block_size = block_size

    def extra_repr(self) -> str:
        return f"{self.block_size}"

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B ssC Hs Ws"]:
        size = self.block_size
        height, width = (length // size * size for length in x.shape[2:])
        places = x.permute(0, 2, 3, 1)[:, :height, :width]  # [B, H, W, C]
        blocks = places.unflatten(2, (-1, size)).unflatten(1, (-1, size))  # [B, H/s, s, W/s, s, C]
        return blocks.transpose(2, 3).flatten(3).permute(0, 3, 1, 2)

"""Which convolutions are weight-normalized? PyTorch's six, with w = g v / ‖v‖ in the place of the weight.

Every class takes the arguments of the ``torch.nn`` class that it extends, and ``g_mode`` ("free", "fixed" or
"exponential") and ``generator`` (for v) by keyword. The norm of an output unit runs over its input channels
and its kernel: all axes of v but the output axis, which is 0, and 1 in transposed convolutions.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from wn_rl.nn.weight_norm_layer import layer_weight, reparameterize_


class WeightNormConv1d(nn.Conv1d):
    """A 1-d convolution with w = g v / ‖v‖ (Eq. 2): parameters v [O, I/groups, K], g [O] and bias [O]."""

    g_mode: str
    output_axis: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] | str = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        *,
        g_mode: str = "free",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode)
        reparameterize_(self, g_mode=g_mode, output_axis=0, groups=groups, generator=generator)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """w = g v / ‖v‖, [O, I/groups, K]."""
        return layer_weight(self)


class WeightNormConv2d(nn.Conv2d):
    """A 2-d convolution with w = g v / ‖v‖ (Eq. 2): parameters v [O, I/groups, K, K], g [O] and bias [O]."""

    g_mode: str
    output_axis: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        *,
        g_mode: str = "free",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode)
        reparameterize_(self, g_mode=g_mode, output_axis=0, groups=groups, generator=generator)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """w = g v / ‖v‖, [O, I/groups, K, K]."""
        return layer_weight(self)


class WeightNormConv3d(nn.Conv3d):
    """A 3-d convolution with w = g v / ‖v‖ (Eq. 2): parameters v [O, I/groups, K, K, K], g [O] and bias [O]."""

    g_mode: str
    output_axis: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int, int],
        stride: int | tuple[int, int, int] = 1,
        padding: int | tuple[int, int, int] | str = 0,
        dilation: int | tuple[int, int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        *,
        g_mode: str = "free",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode)
        reparameterize_(self, g_mode=g_mode, output_axis=0, groups=groups, generator=generator)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """w = g v / ‖v‖, [O, I/groups, K, K, K]."""
        return layer_weight(self)

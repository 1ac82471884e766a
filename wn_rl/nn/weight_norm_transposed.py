"""Which transposed convolutions are weight-normalized? PyTorch's three, with w = g v / ‖v‖ in the place of the weight.

Every class takes the arguments of the ``torch.nn`` class that it extends, and ``g_mode`` ("free", "fixed" or
"exponential") and ``generator`` (for v) by keyword. The output axis of their v is 1: the
norm of an output unit runs over the input channels of its group and the kernel. (PyTorch's parametrization
takes axis 0 unless told otherwise, which is the norm over the outputs.)
"""

from typing import Literal

import torch
from torch import Tensor, nn

from wn_rl.nn.weight_norm_layer import layer_weight, reparameterize_


class WeightNormConvTranspose1d(nn.ConvTranspose1d):
    """A transposed 1-d convolution with w = g v / ‖v‖ (Eq. 2): parameters v [I, O/groups, K], g [O] and bias [O]."""

    g_mode: str
    output_axis: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] = 0,
        output_padding: int | tuple[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int] = 1,
        padding_mode: Literal["zeros"] = "zeros",
        *,
        g_mode: str = "free",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            bias,
            dilation,
            padding_mode,
        )
        reparameterize_(self, g_mode=g_mode, output_axis=1, groups=groups, generator=generator)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """w = g v / ‖v‖, [I, O/groups, K]."""
        return layer_weight(self)


class WeightNormConvTranspose2d(nn.ConvTranspose2d):
    """A transposed 2-d convolution with w = g v / ‖v‖ (Eq. 2): parameters v [I, O/groups, K, K], g [O] and bias [O]."""

    g_mode: str
    output_axis: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, int] = 1,
        padding_mode: Literal["zeros"] = "zeros",
        *,
        g_mode: str = "free",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            bias,
            dilation,
            padding_mode,
        )
        reparameterize_(self, g_mode=g_mode, output_axis=1, groups=groups, generator=generator)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """w = g v / ‖v‖, [I, O/groups, K, K]."""
        return layer_weight(self)


class WeightNormConvTranspose3d(nn.ConvTranspose3d):
    """A transposed 3-d convolution with w = g v / ‖v‖ (Eq. 2): parameters v [I, O/groups, K, K, K], g [O], bias [O]."""

    g_mode: str
    output_axis: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int, int],
        stride: int | tuple[int, int, int] = 1,
        padding: int | tuple[int, int, int] = 0,
        output_padding: int | tuple[int, int, int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, int, int] = 1,
        padding_mode: Literal["zeros"] = "zeros",
        *,
        g_mode: str = "free",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            bias,
            dilation,
            padding_mode,
        )
        reparameterize_(self, g_mode=g_mode, output_axis=1, groups=groups, generator=generator)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """w = g v / ‖v‖, [I, O/groups, K, K, K]."""
        return layer_weight(self)

"""Plain affine layers as a normalizer takes them: drawn from PyTorch's distribution by an explicit generator."""

import math

import torch
from torch import nn

from wn_rl.nn.normalizers import Normalizer


def _draw_(layer: nn.Linear | nn.Conv2d, *, fan_in: int, generator: torch.Generator | None) -> None:
    """Weights and biases from U(−1/√fan_in, 1/√fan_in), which is what ``nn.Linear`` and ``nn.Conv2d`` do."""
    bound = 1 / math.sqrt(fan_in)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)


def make_linear(in_features: int, out_features: int, *, generator: torch.Generator | None) -> nn.Linear:
    """A linear layer [I] -> [O] with a bias."""
    layer = nn.utils.skip_init(nn.Linear, in_features, out_features, device=torch.get_default_device())
    _draw_(layer, fan_in=in_features, generator=generator)
    return layer


def make_conv2d(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: tuple[int, int],
    stride: tuple[int, int],
    padding: int,
    generator: torch.Generator | None,
) -> nn.Conv2d:
    """A 2-d convolution with so many zeros around its inputs, with a bias."""
    layer = nn.utils.skip_init(
        nn.Conv2d, in_channels, out_channels, kernel_size, stride, padding, device=torch.get_default_device()
    )
    _draw_(layer, fan_in=in_channels * math.prod(kernel_size), generator=generator)
    return layer


def make_hidden_layer(
    in_features: int, num_units: int, *, normalizer: Normalizer, generator: torch.Generator | None
) -> list[nn.Module]:
    """A linear layer [I] -> [num_units], normalized, and its ReLU."""
    return [normalizer(make_linear(in_features, num_units, generator=generator), is_output=False), nn.ReLU()]

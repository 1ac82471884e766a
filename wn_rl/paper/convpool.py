"""ConvPool-CNN-C, as Salimans & Kingma 2016 change it (Appendix A): nine convolutions and a mean over space."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wn_rl.nn import make_normalizer

NOISE_STD = 0.15
SLOPE = 0.1  # of the leaky ReLU below 0
CHANNELS = (96, 192)


class GaussianNoise(nn.Module):
    """x + σ ε in training mode, with ε ~ N(0, 1) of PyTorch's own stream; x in evaluation mode."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        return x + self.std * torch.randn_like(x) if self.training else x


class ConvPool(nn.Module):
    """Images of 32 x 32 to logits of 10 classes.

    Every layer goes through the normalizer, the last one too: so it is in the authors' code, also under batch norms.

    Args:
        normalizer: by its name.
        width: share of the paper's channels; 1 is the paper's network of 1.4 M weights.
    """

    def __init__(self, *, normalizer: str, width: float) -> None:
        super().__init__()
        self._normalize = make_normalizer(normalizer)
        few, many = (max(1, round(width * channels)) for channels in CHANNELS)
        self.layers = nn.Sequential(
            GaussianNoise(NOISE_STD),
            *self._convolve(3, few), *self._convolve(few, few), *self._convolve(few, few),
            nn.MaxPool2d(2), nn.Dropout(0.5),
            *self._convolve(few, many), *self._convolve(many, many), *self._convolve(many, many),
            nn.MaxPool2d(2), nn.Dropout(0.5),
            *self._convolve(many, many, padding=0),
            *self._convolve(many, many, kernel_size=1, padding=0),
            *self._convolve(many, many, kernel_size=1, padding=0),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            self._normalize(nn.Linear(many, 10), is_output=False),
        )  # fmt: skip

    def _convolve(self, in_channels: int, channels: int, *, kernel_size: int = 3, padding: int = 1) -> list[nn.Module]:
        layer = nn.Conv2d(in_channels, channels, kernel_size, padding=padding)
        return [self._normalize(layer, is_output=False), nn.LeakyReLU(SLOPE)]

    def forward(self, x: Float[Tensor, "B 3 32 32"]) -> Float[Tensor, "B 10"]:
        return self.layers(x)

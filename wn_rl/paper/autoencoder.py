"""The convolutional variational autoencoder of Section 5.2: residual blocks down to latents, and up again."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wn_rl.nn import Residual, make_normalizer

CHANNELS = (16, 32, 32)
NUM_BLOCKS = 2  # in each sequence
NUM_HIDDEN = 450


class Reconstruction(NamedTuple):
    """``logits`` [B, 1, 28, 28] of the pixels, and ``kl`` [B] of the latents that they were made of."""

    logits: Float[Tensor, "B 1 28 28"]
    kl: Float[Tensor, "B"]


class Autoencoder(nn.Module):
    """Binary images of 28 x 28 to latents and back.

    The encoder: three sequences of two residual blocks with 16, 32 and 32 channels, the first two followed by a
    convolution of stride 2, then 450 hidden units; the decoder is its mirror, with transposed convolutions. ELU, as in
    Kingma et al. 2016, which describes the same network (Appendix C.1) and its 32 latents; the paper names neither.

    Args:
        normalizer: by its name.
        width: share of the paper's channels and hidden units.
        num_latents: Z.
        make_posterior: from the number of features and Z to the module of the posterior (wn_rl/paper/posteriors.py).
    """

    def __init__(
        self, *, normalizer: str, width: float, num_latents: int, make_posterior: Callable[[int, int], nn.Module]
    ) -> None:
        super().__init__()
        self._normalize = make_normalizer(normalizer)
        self.num_latents = num_latents
        one, two, three = (max(1, round(width * channels)) for channels in CHANNELS)
        hidden, pixels = max(1, round(width * NUM_HIDDEN)), three * 7 * 7
        self.encoder = nn.Sequential(
            self._convolve(1, one), *self._make_blocks(one),
            nn.ELU(), self._convolve(one, two, stride=2), *self._make_blocks(two),
            nn.ELU(), self._convolve(two, three, stride=2), *self._make_blocks(three),
            nn.ELU(), nn.Flatten(), self._connect(pixels, hidden), nn.ELU(),
        )  # fmt: skip
        self.posterior = make_posterior(hidden, num_latents)
        self.decoder = nn.Sequential(
            self._connect(num_latents, hidden), nn.ELU(), self._connect(hidden, pixels), nn.Unflatten(1, (three, 7, 7)),
            *self._make_blocks(three), nn.ELU(), self._enlarge(three, two),
            *self._make_blocks(two), nn.ELU(), self._enlarge(two, one),
            *self._make_blocks(one), nn.ELU(), self._normalize(nn.Conv2d(one, 1, 3, padding=1), is_output=True),
        )  # fmt: skip

    def _convolve(self, in_channels: int, channels: int, *, stride: int = 1) -> nn.Module:
        return self._normalize(nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1), is_output=False)

    def _enlarge(self, in_channels: int, channels: int) -> nn.Module:
        layer = nn.ConvTranspose2d(in_channels, channels, 3, stride=2, padding=1, output_padding=1)
        return self._normalize(layer, is_output=False)

    def _connect(self, in_features: int, features: int) -> nn.Module:
        return self._normalize(nn.Linear(in_features, features), is_output=False)

    def _make_blocks(self, channels: int) -> list[nn.Module]:
        convolve = partial(self._convolve, channels, channels)
        return [
            Residual(nn.Sequential(nn.ELU(), convolve(), nn.ELU(), convolve()), num_in_a_row=NUM_BLOCKS)
            for _ in range(NUM_BLOCKS)
        ]

    def forward(self, x: Float[Tensor, "B 1 28 28"]) -> Reconstruction:
        """One sample of the latents, with noise of PyTorch's own stream."""
        noise = torch.randn(len(x), self.num_latents, device=x.device)
        latents = self.posterior(self.encoder(x), noise)
        return Reconstruction(self.decoder(latents.z), latents.kl)

    def sample(self, noise: Float[Tensor, "B Z"]) -> Float[Tensor, "B 1 28 28"]:
        """Probabilities of the pixels of images made of noise."""
        return self.decoder(noise).sigmoid()

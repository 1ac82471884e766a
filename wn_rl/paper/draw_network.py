"""The network of DRAW (Gregor et al. 2015): an encoder that looks at what is missing, a decoder that paints it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wn_rl.nn import cached_weights, make_normalizer
from wn_rl.paper.attention import NUM_WINDOW_PARAMETERS, make_window, read_patch, write_patch
from wn_rl.paper.peephole_lstm import CellState, PeepholeLSTM
from wn_rl.paper.posteriors import compute_gaussian_kl

SIZE = 28
READER_SIZE, WRITER_SIZE = 2, 5
"""Of the windows, as in the run that the authors of the code name."""


class Painting(NamedTuple):
    """``canvases`` [T, B, H, W], the logits after each glimpse, and ``kl`` [B], the sum over all glimpses."""

    canvases: Float[Tensor, "T B H W"]
    kl: Float[Tensor, "B"]


class WholeReader(nn.Module):
    """Sees the image and the error image as they are (Eq. 17)."""

    num_outputs = 2 * SIZE * SIZE

    def forward(self, x: Tensor, error: Tensor, hidden: Tensor) -> Float[Tensor, "B R"]:
        return torch.cat([x.flatten(1), error.flatten(1)], dim=1)


class WindowReader(nn.Module):
    """Sees a patch of both, where the decoder looks (Eq. 27)."""

    num_outputs = 2 * READER_SIZE**2

    def __init__(self, make_linear: Callable[[int, int, bool], nn.Module], num_units: int) -> None:
        super().__init__()
        self.window = make_linear(num_units, NUM_WINDOW_PARAMETERS, True)

    def forward(self, x: Tensor, error: Tensor, hidden: Tensor) -> Float[Tensor, "B R"]:
        window = make_window(self.window(hidden), size=READER_SIZE, height=SIZE, width=SIZE)
        return torch.cat([read_patch(x, window), read_patch(error, window)], dim=1)


class WholeWriter(nn.Module):
    """Adds to all of the canvas (Eq. 18)."""

    def __init__(self, make_linear: Callable[[int, int, bool], nn.Module], num_units: int) -> None:
        super().__init__()
        self.pixels = make_linear(num_units, SIZE * SIZE, True)

    def forward(self, hidden: Float[Tensor, "B H"]) -> Float[Tensor, "B 28 28"]:
        return self.pixels(hidden).view(-1, SIZE, SIZE)


class WindowWriter(nn.Module):
    """Adds a patch in a window of its own (Eq. 28-29)."""

    def __init__(self, make_linear: Callable[[int, int, bool], nn.Module], num_units: int) -> None:
        super().__init__()
        self.window = make_linear(num_units, NUM_WINDOW_PARAMETERS, True)
        self.patch = make_linear(num_units, WRITER_SIZE**2, True)

    def forward(self, hidden: Float[Tensor, "B H"]) -> Float[Tensor, "B 28 28"]:
        window = make_window(self.window(hidden), size=WRITER_SIZE, height=SIZE, width=SIZE)
        return write_patch(self.patch(hidden).view(-1, WRITER_SIZE, WRITER_SIZE), window)


class Draw(nn.Module):
    """Binary images of 28 x 28, painted in T glimpses.

    Weights are drawn from N(0, s) and biases are 0, under any normalizer: the paper adds weight normalization to
    others' code, whose initialization it leaves as it is. So all normalizers begin from one function, and in a forward
    pass each w is computed once, however many glimpses there are.

    Args:
        normalizer: by its name; of those that normalize weights.
        num_glimpses, num_units, num_latents: T, H of both LSTMs, and Z.
        attention: whether it reads and writes through windows.
        initial_weight_std: s, 0.01 in the code that the paper took.
        generator: the stream of the weights.
    """

    def __init__(
        self, *, normalizer: str, num_glimpses: int, num_units: int, num_latents: int, attention: bool,
        initial_weight_std: float, generator: torch.Generator,
    ) -> None:  # fmt: skip
        super().__init__()
        normalize = make_normalizer(normalizer)

        def draw_weights(*shape: int) -> Tensor:
            return initial_weight_std * torch.randn(*shape, generator=generator)

        def make_linear(num_inputs: int, num_outputs: int, has_bias: bool) -> nn.Module:
            layer = nn.Linear(num_inputs, num_outputs, bias=has_bias)
            layer.weight.data.copy_(draw_weights(num_outputs, num_inputs))
            if has_bias:
                nn.init.zeros_(layer.bias)
            return normalize(layer, is_output=False)

        def make_lstm(num_inputs: int) -> PeepholeLSTM:
            return PeepholeLSTM(
                make_linear, num_inputs=num_inputs, num_units=num_units, initial_peepholes=draw_weights(3, num_units)
            )

        self.num_glimpses, self.num_units, self.num_latents = num_glimpses, num_units, num_latents
        self.reader = WindowReader(make_linear, num_units) if attention else WholeReader()
        self.encoder = make_lstm(self.reader.num_outputs + num_units)
        self.posterior = make_linear(num_units, 2 * num_latents, True)
        self.decoder = make_lstm(num_latents)
        self.writer = WindowWriter(make_linear, num_units) if attention else WholeWriter(make_linear, num_units)

    def forward(self, x: Float[Tensor, "B 1 28 28"]) -> Painting:
        """Paint what is shown, with noise of PyTorch's own stream (Eq. 3-8)."""
        image = x[:, 0]
        encoded, decoded, canvas = self._begin(len(x), x.device)
        canvases, kl = [], torch.zeros(len(x), device=x.device)
        with cached_weights(self.modules()):
            for _ in range(self.num_glimpses):
                seen = self.reader(image, image - canvas.sigmoid(), decoded.hidden)
                encoded = self.encoder(torch.cat([seen, decoded.hidden], dim=1), encoded)
                mean, log_std = self.posterior(encoded.hidden).chunk(2, dim=1)
                kl = kl + compute_gaussian_kl(mean, log_std)
                decoded = self.decoder(mean + log_std.exp() * torch.randn_like(mean), decoded)
                canvas = canvas + self.writer(decoded.hidden)
                canvases.append(canvas)
        return Painting(torch.stack(canvases), kl)

    def sample(self, noise: Float[Tensor, "T B Z"]) -> Float[Tensor, "T B 28 28"]:
        """The canvases, as logits, that are painted of noise (Eq. 9-12)."""
        _, decoded, canvas = self._begin(noise.shape[1], noise.device)
        canvases = []
        with cached_weights(self.modules()):
            for z in noise:
                decoded = self.decoder(z, decoded)
                canvas = canvas + self.writer(decoded.hidden)
                canvases.append(canvas)
        return torch.stack(canvases)

    def _begin(self, num_images: int, device: torch.device) -> tuple[CellState, CellState, Float[Tensor, "B 28 28"]]:
        """States of zeros, and an empty canvas."""
        zeros = torch.zeros(num_images, self.num_units, device=device)
        return CellState(zeros, zeros), CellState(zeros, zeros), torch.zeros(num_images, SIZE, SIZE, device=device)

"""DRAW on MNIST (Section 5.3): how fast does its bound rise with weight normalization and without?"""

from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from wn_rl.paper.draw_network import Draw
from wn_rl.paper.experiment import Experiment, Metrics
from wn_rl.paper.experiment_settings import DrawSettings
from wn_rl.paper.images import ImageData
from wn_rl.paper.pictures import Picture, PictureRow, arrange, encode_animation, to_pixels
from wn_rl.paper.vae import compute_reconstruction_loss, draw_binary
from wn_rl.system.seeding import compute_noise_seed, make_stream

EVALUATION_BATCH = 250
NUM_SHOWN, NUM_COLUMNS = 32, 8
GLIMPSE_MILLISECONDS = 150


class DrawExperiment(Experiment):
    """Minimizes −ln p(x|z) + Σ KL(q(z_t|...) ‖ p(z_t)) by Adam, on images that were made binary once."""

    title = "DRAW"
    main_columns: ClassVar[tuple[str, ...]] = ("test/bound", "train/bound", "test/kl")
    settings: DrawSettings

    def __init__(self, settings: DrawSettings, data: ImageData) -> None:
        network = Draw(
            normalizer=settings.normalizer, num_glimpses=settings.num_glimpses, num_units=settings.num_units,
            num_latents=settings.num_latents, attention=settings.attention,
            initial_weight_std=settings.initial_weight_std, generator=make_stream(settings.seed, "initialization"),
        )  # fmt: skip
        super().__init__(settings, data, network)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(compute_noise_seed(settings.seed, -1))
            self._inputs, self._test_inputs = draw_binary(data.train.images), draw_binary(data.test.images)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as in the code that the paper took."""
        return torch.optim.Adam(self.network.parameters(), lr=self.settings.learning_rate)

    def on_fit_start(self) -> None:
        """The images go where the network is."""
        self._inputs, self._test_inputs = self._inputs.to(self.device), self._test_inputs.to(self.device)

    def compute_loss(self, indices: Int64[Tensor, "B"]) -> tuple[Float[Tensor, ""], Metrics]:
        """The negative bound in nats per image."""
        x = self._inputs[indices]
        painting = self.network(x)
        loss = (compute_reconstruction_loss(painting.canvases[-1], x[:, 0]) + painting.kl).mean()
        return loss, {"bound": -loss, "kl": painting.kl.mean()}

    def clip_gradients_of_update(self) -> None:
        """To a global norm."""
        if self.settings.max_gradient_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.max_gradient_norm)

    def evaluate(self) -> dict[str, float]:
        """The bound on the test images, one sample of the latents each."""
        bounds, kls = [], []
        with self.evaluating():
            for x in self._test_inputs.split(EVALUATION_BATCH):
                painting = self.network(x)
                bounds.append(-compute_reconstruction_loss(painting.canvases[-1], x[:, 0]) - painting.kl)
                kls.append(painting.kl)
        return {"test/bound": float(torch.cat(bounds).mean()), "test/kl": float(torch.cat(kls).mean())}

    def make_pictures(self) -> list[PictureRow]:
        """The canvases, glimpse after glimpse, of test images and of noise."""
        settings, network = self.settings, self.network
        assert isinstance(network, Draw)
        with self.evaluating():
            shown = network(self._test_inputs[:NUM_SHOWN]).canvases.sigmoid()
            noise = torch.randn(settings.num_glimpses, NUM_SHOWN, settings.num_latents, device=self.device)
            samples = network.sample(noise).sigmoid()
        return [
            PictureRow("paintings", "What it paints of test images", "glimpse after glimpse", 2, [_animate(shown)]),
            PictureRow("samples", "Samples", "painted of noise, glimpse after glimpse", 2, [_animate(samples)]),
        ]


def _animate(canvases: Float[Tensor, "T B H W"]) -> Picture:
    sheets = [arrange(to_pixels(images[:, None]), num_columns=NUM_COLUMNS) for images in canvases]
    return Picture(f"{len(sheets)} glimpses", encode_animation(sheets, milliseconds=GLIMPSE_MILLISECONDS))

"""The variational autoencoder on MNIST (Section 5.2): which bound on the log likelihood does it reach, and how soon?"""

from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from wn_rl.nn import fold_, make_folded
from wn_rl.paper.autoencoder import Autoencoder
from wn_rl.paper.experiment import Experiment, Metrics
from wn_rl.paper.experiment_settings import AutoencoderSettings
from wn_rl.paper.images import ImageData
from wn_rl.paper.masked_linear import initialize_with_masks
from wn_rl.paper.pictures import Picture, PictureRow, arrange, encode_picture, to_pixels
from wn_rl.paper.posteriors import DiagonalPosterior, FlowPosterior
from wn_rl.system.seeding import compute_noise_seed, make_stream

EVALUATION_BATCH = 500
NUM_SHOWN, NUM_COLUMNS = 40, 10


def compute_reconstruction_loss(logits: Float[Tensor, "B *rest"], x: Float[Tensor, "B *rest"]) -> Float[Tensor, "B"]:
    """−ln p(x|z) of pixels that are 0 or 1, by the logits of their being 1, summed over an image."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def draw_binary(images: Tensor) -> Float[Tensor, "N ..."]:
    """Pixels of 0 or 1, each 1 with its brightness as the probability."""
    return torch.bernoulli(images.float() / 255)


class VariationalAutoencoder(Experiment):
    """Minimizes −ln p(x|z) + KL(q(z|x) ‖ p(z)) of a sample z by Adamax (learning rate 0.002 in the paper).

    Training images are made binary anew at every use, test images once. The test bound is that of a Polyak average of
    the weights w: their exponential mean over some epochs.
    """

    title = "Variational autoencoder"
    main_columns: ClassVar[tuple[str, ...]] = ("test/bound", "train/bound", "test/kl")
    settings: AutoencoderSettings

    def __init__(self, settings: AutoencoderSettings, data: ImageData) -> None:
        network = make_autoencoder(settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(compute_noise_seed(settings.seed, -1))
            inputs = draw_binary(data.train.images[: settings.initialization_batch_size])
            test_inputs = draw_binary(data.test.images)
            initialize_with_masks(network, inputs, generator=make_stream(settings.seed, "initialization"))
        super().__init__(settings, data, network)
        self.average = cast(Autoencoder, make_folded(network))
        self._folded = make_folded(network)
        self._test_inputs = test_inputs

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adamax, as in the authors' code."""
        return torch.optim.Adamax(self.network.parameters(), lr=self.settings.learning_rate)

    def compute_loss(self, indices: Int64[Tensor, "B"]) -> tuple[Float[Tensor, ""], Metrics]:
        """The negative bound in nats per image."""
        x = draw_binary(self.data.train.images[indices.cpu()].to(self.device))
        made = self.network(x)
        loss = (compute_reconstruction_loss(made.logits, x) + made.kl).mean()
        return loss, {"bound": -loss, "kl": made.kl.mean()}

    @torch.no_grad()
    def end_update(self) -> None:
        """Move the average a little towards the weights of now."""
        share = 1 / (self.settings.average_epochs * self.num_batches)
        share = max(share, 1 / self.num_updates)  # the mean of all, until there are as many
        fold_(self.network, self._folded)
        for mean, now in zip(self.average.parameters(), self._folded.parameters(), strict=True):
            mean.lerp_(now, share)

    def evaluate(self) -> dict[str, float]:
        """The bound on the test images, one sample of the latents each."""
        bounds, kls = [], []
        with self.evaluating():
            for x in self._test_inputs.split(EVALUATION_BATCH):
                x = x.to(self.device)
                made = self.average(x)
                bounds.append(-compute_reconstruction_loss(made.logits, x) - made.kl)
                kls.append(made.kl)
        return {"test/bound": float(torch.cat(bounds).mean()), "test/kl": float(torch.cat(kls).mean())}

    def make_pictures(self) -> list[PictureRow]:
        """Test images beside what becomes of them, and images made of noise."""
        with self.evaluating():
            x = self._test_inputs[:NUM_SHOWN].to(self.device)
            made = self.average(x).logits.sigmoid()
            samples = self.average.sample(torch.randn(NUM_SHOWN, self.settings.num_latents, device=self.device))
        pairs = torch.stack([x.view_as(made), made], dim=1).flatten(0, 1)
        sheets = [
            ("reconstructions", "Reconstructions", "a binary test image, and the probabilities that it becomes", pairs),
            ("samples", "Samples", "probabilities of pixels, made of noise", samples),
        ]
        return [
            PictureRow(name, title, note, 2, [Picture(title, encode_picture(
                arrange(to_pixels(images), num_columns=NUM_COLUMNS)))])
            for name, title, note, images in sheets
        ]  # fmt: skip


def make_autoencoder(settings: AutoencoderSettings) -> Autoencoder:
    """The network with the posterior that the settings name, before its initialization."""

    def make_posterior(num_features: int, num_latents: int) -> nn.Module:
        if settings.posterior == "diagonal":
            return DiagonalPosterior(normalizer=settings.normalizer, num_features=num_features, num_latents=num_latents)
        return FlowPosterior(
            normalizer=settings.normalizer,
            num_features=num_features,
            num_latents=num_latents,
            num_steps=settings.num_flow_steps,
            num_units=settings.num_flow_units,
        )

    return Autoencoder(
        normalizer=settings.normalizer, width=settings.width, num_latents=settings.num_latents,
        make_posterior=make_posterior,
    )  # fmt: skip

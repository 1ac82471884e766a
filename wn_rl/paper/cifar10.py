"""Classification of CIFAR-10 without augmentation (Section 5.1): which normalizer errs least?"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from wn_rl.nn import initialize_from_data
from wn_rl.paper.convpool import ConvPool
from wn_rl.paper.experiment import Experiment, Metrics
from wn_rl.paper.experiment_settings import Cifar10Settings
from wn_rl.paper.images import DATA_SETS, ImageData
from wn_rl.paper.pictures import Picture, PictureRow, encode_picture, to_pixels
from wn_rl.paper.whitening import fit_whitening
from wn_rl.system.seeding import make_stream

REGULARIZATION = 1e-5
"""Added to the variances that whitening divides by, as in the authors' code."""
EPSILON = 1e-4
"""Of Adam, beside the root: the authors' own has 1e-8 within it."""
EVALUATION_BATCH = 500
NUM_SHOWN = 24


def scale_pixels(images: Tensor) -> Float[Tensor, "N D"]:
    """Bytes as rows of (x − 127.5) / 128."""
    return (images.flatten(1).float() - 127.5) / 128


class Cifar10(Experiment):
    """ConvPool-CNN-C on whitened images: softmax cross-entropy, Adam.

    The momentum is 0.9 in the first half of the run and 0.5 in the second, in which the learning rate falls to 0.
    """

    title = "CIFAR-10"
    main_columns: ClassVar[tuple[str, ...]] = ("test/error_percent", "train/error_percent", "train/loss")
    settings: Cifar10Settings

    def __init__(self, settings: Cifar10Settings, data: ImageData) -> None:
        train = scale_pixels(data.train.images)
        whitening = fit_whitening(train, regularization=REGULARIZATION)
        inputs, test_inputs = (
            whitening.apply(rows).view(-1, *DATA_SETS["cifar10"].shape)
            for rows in (train, scale_pixels(data.test.images))
        )
        network = ConvPool(normalizer=settings.normalizer, width=settings.width)
        initialize_from_data(
            network, inputs[: settings.initialization_batch_size],
            generator=make_stream(settings.seed, "initialization"),
        )  # fmt: skip
        super().__init__(settings, data, network)
        self._inputs, self._test_inputs = inputs, test_inputs
        self._labels, self._test_labels = data.train.labels, data.test.labels

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as in the authors' code."""
        return torch.optim.Adam(self.network.parameters(), lr=self.settings.learning_rate, eps=EPSILON)

    def begin_epoch(self, optimizer: torch.optim.Optimizer, epoch: int) -> None:
        """The learning rate is η min(2 − epoch / half, 1)."""
        half = self.settings.num_epochs / 2
        for group in optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * min(2 - epoch / half, 1)
            group["betas"] = (0.9 if epoch < half else 0.5, 0.999)

    def on_fit_start(self) -> None:
        """The images go where the network is."""
        self._inputs, self._test_inputs = self._inputs.to(self.device), self._test_inputs.to(self.device)
        self._labels, self._test_labels = self._labels.to(self.device), self._test_labels.to(self.device)

    def compute_loss(self, indices: Int64[Tensor, "B"]) -> tuple[Float[Tensor, ""], Metrics]:
        """Cross-entropy, and the error with noise and dropout, as the paper's Figure 1 has it."""
        logits, labels = self.network(self._inputs[indices]), self._labels[indices]
        error = (logits.argmax(1) != labels).float().mean()
        return F.cross_entropy(logits, labels), {"error_percent": 100 * error}

    def evaluate(self) -> dict[str, float]:
        """Error and loss on the test images, with running means of batch norms."""
        logits = self._classify()
        num_errors = int((logits.argmax(1) != self._test_labels).sum())
        loss = F.cross_entropy(logits, self._test_labels)
        return {"test/error_percent": 100 * (num_errors / len(logits)), "test/loss": float(loss)}

    def make_pictures(self) -> list[PictureRow]:
        """Test images that it takes for something else, those first of which it is surest."""
        shares, taken_for = self._classify().softmax(1).max(1)
        wrong = (taken_for != self._test_labels).nonzero().flatten()
        names = DATA_SETS["cifar10"].class_names
        pictures = []
        for number in wrong[shares[wrong].argsort(descending=True)][:NUM_SHOWN].tolist():
            caption = f"{names[int(self._test_labels[number])]}, taken for {names[int(taken_for[number])]}"
            content = encode_picture(to_pixels(self.data.test.images[number : number + 1])[0])
            pictures.append(Picture(f"{caption} ({100 * float(shares[number]):.0f} %)", content))
        note = "test images; in brackets the probability that it gives its answer, the surest errors first"
        return [PictureRow("errors", "What it gets wrong", note, 3, pictures)] if pictures else []

    def _classify(self) -> Float[Tensor, "N 10"]:
        """Logits of the test images."""
        with self.evaluating():
            return torch.cat([self.network(part) for part in self._test_inputs.split(EVALUATION_BATCH)])

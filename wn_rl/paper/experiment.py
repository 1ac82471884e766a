"""What the paper's experiments have in common: epochs over images in memory, exact resumption, and what is measured."""

import math
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import lightning
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.nn import project_weights
from wn_rl.nn.statistics import (
    compute_effective_learning_rate,
    compute_weight_statistics,
    find_norm_exponent,
    find_weight_units,
    name_layers,
)
from wn_rl.paper.experiment_settings import ExperimentSettings
from wn_rl.paper.images import ImageData
from wn_rl.paper.pictures import PictureRow
from wn_rl.system.seeding import compute_noise_seed, make_order_generator

Metrics = dict[str, Float[Tensor, ""]]


class Experiment(lightning.LightningModule):
    """A network that learns from images, whose ``training_step`` is one update.

    An epoch goes through the training images once, in an order that follows from the seed and the epoch; noise follows
    from the seed and the update. So a run that goes on from any update does what the whole one would.

    Args:
        settings: the run's.
        data: images, all in memory.
        network: what is trained, initialized.

    Attributes:
        title: of the page.
        main_columns: metrics that are told after each epoch.
        num_updates: optimizer steps so far.
    """

    title: ClassVar[str]
    main_columns: ClassVar[tuple[str, ...]]

    def __init__(self, settings: ExperimentSettings, data: ImageData, network: nn.Module) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.settings, self.data, self.network = settings, data, network
        self.num_updates = 0
        self._sums: Metrics = {}
        self._num_summed = 0
        self._order: tuple[int, Tensor] | None = None

    # --- what an experiment is

    @abstractmethod
    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The one optimizer, of ``network`` alone."""

    def begin_epoch(self, optimizer: torch.optim.Optimizer, epoch: int) -> None:
        """Set what the optimizer is told anew in each epoch."""

    @abstractmethod
    def compute_loss(self, indices: Int64[Tensor, "B"]) -> tuple[Float[Tensor, ""], Metrics]:
        """The loss of a minibatch of training images, and what is measured on it besides ``loss``."""

    def end_update(self) -> None:
        """What follows an optimizer step."""

    @abstractmethod
    def evaluate(self) -> dict[str, float]:
        """Metrics on the test images, their names beginning with ``test/``."""

    @abstractmethod
    def make_pictures(self) -> list[PictureRow]:
        """What the page shows besides curves."""

    # --- how it learns

    @property
    def num_batches(self) -> int:
        """Updates of an epoch; a last minibatch that is not full is left out."""
        return len(self.data.train.labels) // self.settings.batch_size

    @property
    def has_epoch_ended(self) -> bool:
        """Whether all updates of the current epoch are done (an interrupted one has not ended)."""
        return self.num_updates >= (self.current_epoch + 1) * self.num_batches

    def train_dataloader(self) -> range:
        """Numbers of minibatches; ``training_step`` takes the images itself."""
        return range(self.num_batches)

    def on_train_epoch_start(self) -> None:
        """Not called where a run goes on amid an epoch: the optimizer then remembers what it was told."""
        optimizer: Any = self.optimizers()
        self.begin_epoch(optimizer.optimizer, self.current_epoch)

    def training_step(self, batch: int, batch_idx: int) -> None:
        """One update; Lightning counts the minibatch after which a run was interrupted twice, and it is passed over."""
        if self.has_epoch_ended:
            return
        indices = self._find_indices()
        torch.manual_seed(compute_noise_seed(self.settings.seed, self.num_updates))
        loss, metrics = self.compute_loss(indices)
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients_of_update()
        optimizer.step()
        project_weights(self.network)
        self.num_updates += 1
        self.end_update()
        for name, value in {"loss": loss, **metrics}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()
        self._num_summed += 1

    def _find_indices(self) -> Int64[Tensor, "B"]:
        """The training images of the next update."""
        epoch, batch = divmod(self.num_updates, self.num_batches)
        if self._order is None or self._order[0] != epoch:
            generator = make_order_generator(self.settings.seed, epoch)
            self._order = epoch, torch.randperm(len(self.data.train.labels), generator=generator)
        first = batch * self.settings.batch_size
        return self._order[1][first : first + self.settings.batch_size].to(self.device)

    def clip_gradients_of_update(self) -> None:
        """Scale gradients down where they are too long; nothing unless an experiment says so."""

    def compute_row(self) -> dict[str, float]:
        """Means over the epoch that has ended, and layers' lengths and effective learning rates now."""
        row = {f"train/{name}": float(value) / self._num_summed for name, value in self._sums.items()}
        self._sums, self._num_summed = {}, 0
        return row | self._describe_layers()

    def check_row(self, row: dict[str, float]) -> None:
        """Raises ConfigurationError: learning has diverged, in training or as a test shows it."""
        diverged = [name for name, value in row.items() if not math.isfinite(value)]
        if diverged:
            raise ConfigurationError(
                f"learning diverged: {diverged[0]} is infinite or no number in epoch {self.current_epoch + 1}; start a"
                " new run with a lower learning_rate"
            )

    def _describe_layers(self) -> dict[str, float]:
        optimizer: Any = self.optimizers()
        learning_rate = float(optimizer.param_groups[0]["lr"])
        exponent = find_norm_exponent(optimizer.optimizer)
        assert exponent is not None, "every experiment's optimizer has one"
        row = {"train/learning_rate": learning_rate}
        for name, layer in name_layers(self.network).items():
            statistics = compute_weight_statistics(layer) | {
                "effective_learning_rate": compute_effective_learning_rate(
                    find_weight_units(layer).units, learning_rate=learning_rate, norm_exponent=exponent
                )
            }
            shown = ("v_norm_mean", "w_norm_mean", "effective_learning_rate")
            row |= {f"weights/{name}/{key}": float(statistics[key]) for key in shown if key in statistics}
        return row

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode without gradients, with noise of its own that is the same every time."""
        devices = [self.device] if self.device.type == "cuda" else []
        self.network.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=devices):
                torch.manual_seed(compute_noise_seed(self.settings.seed, -1))
                yield
        finally:
            self.network.train()

    # --- Lightning

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know."""
        checkpoint["wn_rl"] = {"num_updates": self.num_updates, "sums": self._sums, "num_summed": self._num_summed}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting."""
        saved = checkpoint["wn_rl"]
        self.num_updates, self._num_summed = saved["num_updates"], saved["num_summed"]
        self._sums = dict(saved["sums"])

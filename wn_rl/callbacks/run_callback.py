"""What callbacks see of a run: an algorithm, and the moments of training under the names that this project uses."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from wn_rl.algorithms.algorithm import Algorithm


class RunCallback(Callback):
    """Lightning's hooks, without the arguments that nobody reads; a subclass overrides what it needs.

    ``algorithm`` is set before any of them is called; its ``trainer`` is Lightning's.
    """

    algorithm: Algorithm

    def on_begin(self) -> None:
        """Training begins, or goes on; the algorithm has not begun yet."""

    def on_iteration_begin(self) -> None:
        """An iteration begins."""

    def on_chunk_begin(self, chunk: int) -> None:
        """Chunk number ``chunk`` of the iteration begins."""

    def on_update(self, optimizer: Any) -> None:
        """An optimizer step is about to be made."""

    def on_chunk_end(self) -> None:
        """A chunk is done, or was cut short by an interruption."""

    def on_iteration_end(self) -> None:
        """An iteration ends, or, where ``algorithm.has_iteration_ended`` is false, is interrupted."""

    def on_end(self) -> None:
        """No more rounds are played."""

    def on_run_end(self) -> None:
        """The run is over, or was stopped, in good order."""

    def on_failure(self) -> None:
        """Training failed."""

    def close(self) -> None:
        """Let go of what is held, also after a failure, after which Lightning tears no callback down."""

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Lightning's."""
        super().setup(trainer, pl_module, stage)
        assert isinstance(pl_module, Algorithm)
        self.algorithm = pl_module

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Lightning's."""
        self.on_begin()

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Lightning's."""
        self.on_iteration_begin()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Lightning's."""
        self.on_chunk_begin(batch_idx)

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: Any
    ) -> None:
        """Lightning's."""
        self.on_update(optimizer)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Lightning's."""
        self.on_chunk_end()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Lightning's."""
        self.on_iteration_end()

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Lightning's."""
        self.on_end()

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Lightning's."""
        self.on_run_end()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Lightning's."""
        self.on_failure()
        self.close()

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Lightning's."""
        self.close()

"""What is written after each epoch: a row of metrics, pictures, a checkpoint and the page, in this order."""

import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint

from wn_rl.errors import ConfigurationError
from wn_rl.paper.epoch_progress import describe_epoch
from wn_rl.paper.experiment import Experiment
from wn_rl.paper.experiment_page import write_experiment_page, write_pictures
from wn_rl.runs.layout import CHECKPOINT_FOLDER, LAST_CHECKPOINT
from wn_rl.runs.metrics_csv import MetricsCSV


class EpochEnd(Checkpoint):
    """Measures an epoch, and saves it; a run that was interrupted amid one is saved as it is.

    Args:
        run_dir: the run folder.
        metrics_csv: the file that rows are written to.
    """

    def __init__(self, *, run_dir: Path, metrics_csv: MetricsCSV) -> None:
        self._run_dir, self._metrics_csv = run_dir, metrics_csv
        self._began = time.monotonic()
        self.last_row: dict[str, float] = {}
        self._seconds_before = 0.0  # of the epoch under way, before the run was resumed

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock, also where a run goes on amid an epoch."""
        self._began = time.monotonic()

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Save amid an epoch if the run stops here."""
        assert isinstance(pl_module, Experiment)
        if trainer.should_stop and not pl_module.has_epoch_ended:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The epoch is done, unless it was interrupted."""
        assert isinstance(pl_module, Experiment)
        if not pl_module.has_epoch_ended:
            return
        seconds = self._seconds_before + time.monotonic() - self._began
        row = {**pl_module.compute_row(), "speed/epoch_seconds": seconds}
        began = time.monotonic()
        row |= {**pl_module.evaluate(), "speed/evaluation_seconds": time.monotonic() - began}
        pl_module.check_row(row)
        self._seconds_before, self.last_row = 0.0, row
        self._metrics_csv.log_metrics(row, step=pl_module.current_epoch + 1)
        print(describe_epoch(pl_module, row), flush=True)
        write_pictures(self._run_dir, pl_module.make_pictures())
        self._save(trainer)
        self._write_page()

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Also of a run that was stopped."""
        self._write_page()

    def state_dict(self) -> dict[str, Any]:
        """How many rows belong to a checkpoint, and how long its epoch has lasted."""
        seconds = self._seconds_before + time.monotonic() - self._began
        return {"num_rows": self._metrics_csv.num_rows, "seconds": seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Drop the rows that came after it."""
        self._metrics_csv.keep_rows(state_dict["num_rows"])
        self._seconds_before = float(state_dict["seconds"])

    def _save(self, trainer: lightning.Trainer) -> None:
        self._metrics_csv.save()
        (self._run_dir / CHECKPOINT_FOLDER).mkdir(exist_ok=True)
        trainer.save_checkpoint(self._run_dir / LAST_CHECKPOINT)

    def _write_page(self) -> None:
        try:
            write_experiment_page(self._run_dir)
        except (ConfigurationError, OSError) as error:  # a full disk, say: the run itself is saved
            print(f"no page was written: {error}")

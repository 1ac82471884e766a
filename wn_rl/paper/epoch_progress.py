"""What one sees of an experiment while it learns: a bar for the epoch in a terminal, and a line after each."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from wn_rl.paper.experiment import Experiment
from wn_rl.system.terminals import make_progress_bar


class EpochProgress(Callback):
    """A bar that vanishes; nothing where what is written cannot be replaced."""

    def __init__(self) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self._bar: Progress = make_progress_bar(*columns, transient=True)
        self._task: TaskID | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin to draw."""
        self._task = self._bar.add_task("")
        self._bar.start()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Another minibatch is done."""
        assert isinstance(pl_module, Experiment)
        if self._task is not None:
            done = pl_module.num_updates - trainer.current_epoch * pl_module.num_batches
            description = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._bar.update(self._task, description=description, completed=done, total=pl_module.num_batches)

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Leave the terminal in order."""
        self._bar.stop()

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Leave the terminal in order."""
        self._bar.stop()


def describe_epoch(experiment: Experiment, row: dict[str, float]) -> str:
    """One line of what an epoch came to."""
    names = [name for name in experiment.main_columns if name in row]
    told = ", ".join(f"{name.replace('/', ' ').replace('_percent', ' %')} {row[name]:.4g}" for name in names)
    num_epochs = experiment.settings.num_epochs
    return f"epoch {experiment.current_epoch + 1}/{num_epochs}: {told} ({row['speed/epoch_seconds']:.0f} s)"

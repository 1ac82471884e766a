"""When training ends, or is stopped, its run folder gets a page that anyone can open."""

from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback

from wn_rl.errors import ConfigurationError
from wn_rl.viewing.pages.run_page import write_run_page


class RunPage(Callback):
    """Writes ``index.html`` at the end, also of a run that was stopped or that failed.

    Args:
        run_dir: the run folder.
    """

    def __init__(self, *, run_dir: Path) -> None:
        self._run_dir = run_dir

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The run is over, or was stopped."""
        self._write()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """What there was up to the failure."""
        self._write()

    def _write(self) -> None:
        try:
            write_run_page(self._run_dir)
        except ConfigurationError as error:  # a full disk, say: the run itself is saved
            print(f"no page was written: {error}")

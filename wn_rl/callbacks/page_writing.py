"""When training ends, or is stopped, its run folder gets a page that anyone can open."""

from pathlib import Path

from wn_rl.callbacks.run_callback import RunCallback
from wn_rl.errors import ConfigurationError
from wn_rl.viewing.pages.run_page import write_run_page


class RunPage(RunCallback):
    """Writes ``index.html`` at the end, also of a run that was stopped or that failed.

    Args:
        run_dir: the run folder.
    """

    def __init__(self, *, run_dir: Path) -> None:
        self._run_dir = run_dir

    def on_run_end(self) -> None:
        """The run is over, or was stopped."""
        self._write()

    def on_failure(self) -> None:
        """What there was up to the failure."""
        self._write()

    def _write(self) -> None:
        try:
            write_run_page(self._run_dir)
        except ConfigurationError as error:  # a full disk, say: the run itself is saved
            print(f"no page was written: {error}")

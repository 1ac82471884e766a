"""metrics.csv: one row per chunk and per evaluation, for any tool that reads tables."""

import csv
import io
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from wn_rl.files import write_whole

METRICS_FILE = "metrics.csv"


class MetricsCSV(Logger):
    """A Lightning logger that appends rows to one file; a new metric adds a column to all rows.

    Args:
        folder: the run folder.
        keep_until_agent_steps: rows beyond it are dropped: what an interrupted run wrote after its last
            checkpoint is played and written again. None keeps every row.
    """

    def __init__(self, folder: Path, *, keep_until_agent_steps: int | None) -> None:
        super().__init__()
        self._path = folder / METRICS_FILE
        self._columns: list[str] = ["agent_steps"]
        self._rows: list[dict[str, str]] = []
        if self._path.is_file():
            self._read(keep_until_agent_steps)
        self._write_all()

    @property
    def name(self) -> str:
        """The name that Lightning shows."""
        return "csv"

    @property
    def version(self) -> str:
        """There is one file per run."""
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The settings are in config.yaml."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append one row; ``step`` is in agent steps."""
        row = {"agent_steps": str(step), **{name: f"{value:.8g}" for name, value in metrics.items()}}
        new_columns = [name for name in row if name not in self._columns]
        if new_columns:
            self._read(None)
            self._columns += new_columns
            self._rows.append(row)
            self._write_all()
        else:
            with self._path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns).writerow(row)

    def _read(self, keep_until_agent_steps: int | None) -> None:
        with self._path.open(newline="") as file:
            reader = csv.DictReader(file)
            self._columns = list(reader.fieldnames or ["agent_steps"])
            self._rows = [
                row for row in reader
                if keep_until_agent_steps is None or int(row["agent_steps"]) <= keep_until_agent_steps
            ]  # fmt: skip

    def _write_all(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns)
        writer.writeheader()
        writer.writerows(self._rows)
        self._rows = []
        write_whole(self._path, text.getvalue().encode())

"""metrics.csv: one row per chunk and per evaluation, for any tool that reads tables."""

import csv
import io
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from wn_rl.errors import ConfigurationError
from wn_rl.runs.layout import METRICS_FILE
from wn_rl.system.files import name_errors, read_limited, write_whole

MAX_BYTES = 2**30
"""Longer than that of any run."""


class MetricsCSV(Logger):
    """A Lightning logger that appends rows to one file; a new metric adds a column to all rows.

    Args:
        folder: the run folder; the complete rows of a file that is there already are kept.
        counter: the column that says when, in agent steps or what else a run counts.

    Raises:
        ConfigurationError: that file is no table, or far larger than a run's.
    """

    def __init__(self, folder: Path, *, counter: str = "agent_steps") -> None:
        super().__init__()
        self._path = folder / METRICS_FILE
        self._counter = counter
        self._columns: list[str] = [counter]
        self.num_rows = 0
        self._write_all(self._read())

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
        """Append one row; ``step`` is what the counter says."""
        row = {self._counter: str(step), **{name: f"{value:.8g}" for name, value in metrics.items()}}
        new_columns = [name for name in row if name not in self._columns]
        if new_columns:
            rows = self._read()
            self._columns += new_columns
            self._write_all([*rows, row])
        else:
            with name_errors(self._path), self._path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns).writerow(row)
            self.num_rows += 1

    def keep_rows(self, num_rows: int) -> None:
        """Drop the rows beyond the first ``num_rows``."""
        self._write_all(self._read()[:num_rows])

    def save(self) -> None:
        """Force the rows to disk, before a checkpoint counts on them."""
        with self._path.open("rb") as file:
            os.fsync(file.fileno())

    def _read(self) -> list[dict[str, str]]:
        """The rows of the file; the last one of a run that was killed, or whose disk was full, may be incomplete."""
        if not self._path.is_file():
            return []
        try:
            text = read_limited(self._path, MAX_BYTES, follow_links=False).decode("utf-8", "replace")
            reader = csv.DictReader(io.StringIO(text, newline=""))
            self._columns = list(reader.fieldnames or [self._counter])
            return [row for row in reader if None not in row and None not in row.values()]
        except (csv.Error, OSError, ValueError) as error:
            raise ConfigurationError(f"{self._path} cannot be gone on with: {error}; move it away") from error

    def _write_all(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns)
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self._path, text.getvalue().encode())
        self.num_rows = len(rows)

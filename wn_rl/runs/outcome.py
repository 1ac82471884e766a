"""What came of a run, as far as it got: what decides whether it is over, its score, and why it stopped."""

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from wn_rl.runs.layout import AGENT_FOLDER, CONFIG_FILE, DESCRIPTION_FILE, FAILURE_FILE
from wn_rl.system.files import read_limited, remove_if_possible, write_whole

MAX_BYTES = 2**20
"""Of a description or a failure: far more than any run writes."""


class Progress(NamedTuple):
    """How far the newest agent of a run is, which is written after its checkpoint.

    ``mean_return`` is that of its evaluation, None where there was none.
    """

    agent_steps: int
    mean_return: float | None

    def is_end(self, *, total_agent_steps: int, num_episodes: int) -> bool:
        """Whether a run of that length, with so many games in an evaluation, has nothing left to do."""
        is_evaluated = self.mean_return is not None or num_episodes == 0
        return self.agent_steps >= total_agent_steps and is_evaluated


def has_begun(folder: Path) -> bool:
    """Whether a run has begun in a folder, and can be gone on with."""
    return (folder / CONFIG_FILE).is_file()


def read_progress(folder: Path) -> Progress:
    """How far a run is; (0, None) where it has saved no agent yet, or what is there cannot be read."""
    try:
        values = json.loads(read_limited(folder / AGENT_FOLDER / DESCRIPTION_FILE, MAX_BYTES))
        mean_return = values.get("mean_return")
        return Progress(int(values["agent_steps"]), None if mean_return is None else float(mean_return))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return Progress(0, None)


def save_failure(folder: Path, reason: str) -> None:
    """Keep beside a run why it stopped, in one line, as far as anything can be written."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FAILURE_FILE, f"{reason}\n".encode())


def read_failure(folder: Path) -> str | None:
    """Why a run stopped; None where it did not fail."""
    try:
        return read_limited(folder / FAILURE_FILE, MAX_BYTES, follow_links=False).decode("utf-8", "replace").strip()
    except (OSError, ValueError):
        return None


def forget_failure(folder: Path) -> None:
    """A run that goes on has not failed."""
    remove_if_possible(folder / FAILURE_FILE)

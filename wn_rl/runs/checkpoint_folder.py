"""The checkpoints of a run: which there are, which come first, and which are kept.

    checkpoints/last.ckpt                  the newest
    checkpoints/000250000.ckpt             an older one, after 250,000 agent steps (it has no evaluation)
    checkpoints/000500000-12.4.ckpt        an older one, whose evaluation gave a mean return of 12.4
    checkpoints/next.ckpt                  whole, but not yet the last one: training was killed in between

A new checkpoint is written as ``next.ckpt``, then the last one is given its number, then the new one becomes the last.
So whenever training is killed, at least one whole checkpoint has one of these names.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from wn_rl.errors import ConfigurationError
from wn_rl.runs.checkpoint_file import read_checkpoint, silent_mistakes
from wn_rl.runs.layout import CHECKPOINT_FOLDER, DAMAGED_SUFFIX, LAST, NEXT
from wn_rl.system.files import remove_if_possible, sync_folder

_NUMBERED = re.compile(r"(\d{9,})(-.+)?\.ckpt")


class CheckpointSummary(NamedTuple):
    """What is to be known of a checkpoint when others are written.

    ``mean_return`` is that of its evaluation, None without one; ``files`` are those that it needs besides.
    """

    agent_steps: int
    mean_return: float | None
    files: frozenset[str]

    @property
    def file_name(self) -> str:
        """The name of the checkpoint once it is not the newest any more."""
        score = "" if self.mean_return is None else f"-{self.mean_return:.10g}"
        return f"{self.agent_steps:09d}{score}.ckpt"


ListFiles = Callable[[dict[str, Any]], set[str]]
"""The names of the files that the saved state of an algorithm needs."""


def summarize_checkpoint(checkpoint: dict[str, Any], list_files: ListFiles) -> CheckpointSummary:
    """The summary of a checkpoint; KeyError, TypeError or ValueError where it is none of a run."""
    mean_return = checkpoint["agent"].get("mean_return")
    states = [checkpoint["wn_rl"], *checkpoint.get("other_learners", [])]  # names of files tell their content apart
    return CheckpointSummary(
        agent_steps=int(checkpoint["agent"]["agent_steps"]),
        mean_return=None if mean_return is None else float(mean_return),
        files=frozenset(name for state in states for name in list_files(state)),
    )


def list_checkpoints(run_dir: Path) -> list[Path]:
    """The checkpoints of a run that may be gone on from, the newest first."""
    folder = run_dir / CHECKPOINT_FOLDER
    newest = [folder / name for name in (NEXT, LAST) if (folder / name).exists()]
    return newest + sorted(_list_numbered(folder), key=_read_number, reverse=True)


def set_aside(path: Path) -> Path:
    """Give a damaged checkpoint a name under which nobody takes it for a good one, and return that."""
    renamed = path.with_name(path.name + DAMAGED_SUFFIX)
    path.replace(renamed)
    return renamed


def promote_next_checkpoint(
    run_dir: Path, list_files: ListFiles, last_summary: CheckpointSummary | None = None
) -> None:
    """Make ``next.ckpt`` the last one; the one that was gets its number (or is set aside, if it is damaged).

    ``last_summary`` is that of the one that was, if it is known; else it is read.
    """
    folder = run_dir / CHECKPOINT_FOLDER
    last = folder / LAST
    if last.exists():
        summary = last_summary or _summarize_file(last, list_files)
        if summary is None:
            set_aside(last)
        else:
            last.replace(folder / summary.file_name)
    (folder / NEXT).replace(last)
    sync_folder(folder)


class CheckpointFolder:
    """Keeps the newest and the best checkpoints of a run, and removes the others.

    Args:
        run_dir: the run folder.
        keep_last: how many of the newest are kept, at least 1.
        keep_best: how many of those with the highest mean return in their evaluation are kept besides.
    """

    def __init__(self, run_dir: Path, *, keep_last: int, keep_best: int) -> None:
        self._run_dir = run_dir
        self._folder = run_dir / CHECKPOINT_FOLDER
        self._keep_last, self._keep_best = keep_last, keep_best
        self._summaries: dict[str, CheckpointSummary | None] = {}

    @property
    def next_path(self) -> Path:
        """Where a new checkpoint is to be written; its folder exists on return."""
        self._folder.mkdir(exist_ok=True)
        return self._folder / NEXT

    def adopt_next(self, list_files: ListFiles) -> set[str]:
        """Make the new checkpoint the last one, and then do as ``remove_superfluous``.

        Raises:
            OSError: the folder cannot be written to.
        """
        summary = self._summaries.pop(LAST, None)
        promote_next_checkpoint(self._run_dir, list_files, summary)
        if summary is not None:
            self._summaries[summary.file_name] = summary
        return self.remove_superfluous(list_files)

    def remove_superfluous(self, list_files: ListFiles) -> set[str]:
        """Remove the checkpoints that are not to be kept; return the files that the others need."""
        for path in self._list_superfluous(list_files):
            remove_if_possible(path)
        return {name for path in self._folder.glob("*.ckpt") for name in self._list_needed(path, list_files)}

    def _list_superfluous(self, list_files: ListFiles) -> Iterator[Path]:
        """Numbered checkpoints that are neither among the newest nor among the best."""
        numbered = sorted(_list_numbered(self._folder), key=_read_number, reverse=True)
        ranked = []
        for path in [self._folder / LAST, *numbered]:
            summary = self._find_summary(path, list_files)
            if summary is not None and summary.mean_return is not None:
                ranked.append((summary.mean_return, summary.agent_steps, path))
        best = {path for _, _, path in sorted(ranked, reverse=True)[: self._keep_best]}
        return (path for path in numbered[self._keep_last - 1 :] if path not in best)

    def _list_needed(self, path: Path, list_files: ListFiles) -> frozenset[str]:
        summary = self._find_summary(path, list_files)
        return frozenset() if summary is None else summary.files

    def _find_summary(self, path: Path, list_files: ListFiles) -> CheckpointSummary | None:
        """What a file holds, read once under its name; None if it cannot be gone on from."""
        if path.name not in self._summaries:
            self._summaries[path.name] = _summarize_file(path, list_files)
        return self._summaries[path.name]


def _summarize_file(path: Path, list_files: ListFiles) -> CheckpointSummary | None:
    try:
        with silent_mistakes():
            return summarize_checkpoint(read_checkpoint(path), list_files)
    except (ConfigurationError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _list_numbered(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.ckpt") if _NUMBERED.fullmatch(path.name)]


def _read_number(path: Path) -> int:
    match = _NUMBERED.fullmatch(path.name)
    assert match is not None
    return int(match.group(1))

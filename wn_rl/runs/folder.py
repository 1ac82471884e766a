"""The folder of a run: its name, that one trainer at a time writes into it, and what a killed one left there."""

import re
import shutil
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from wn_rl.errors import ConfigurationError
from wn_rl.runs.layout import (
    AGENT_FOLDER,
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    DESCRIPTION_FILE,
    EPISODES_FOLDER,
    EVALUATIONS_FILE,
    INITIAL_AGENT_FOLDER,
    LOCK_FILE,
    METRICS_FILE,
    REPLAY_FOLDER,
    TRACKER_FILE,
    VIDEOS_FOLDER,
)
from wn_rl.system.files import TEMPORARY_SUFFIX, find_outward_links, remove_if_possible
from wn_rl.system.terminals import quote_command

OF_A_RUN = (
    CHECKPOINT_FOLDER, REPLAY_FOLDER, AGENT_FOLDER, METRICS_FILE, EVALUATIONS_FILE, EPISODES_FOLDER, VIDEOS_FOLDER,
    INITIAL_AGENT_FOLDER,
    TRACKER_FILE,
)  # fmt: skip
"""What a run reads again that goes on, or shows as its own."""


WANDB_LOG = "wandb/*run-*/logs/*.log"
"""W&B's client makes such links to its own log; it writes into a new folder each time, never through an old link."""


def choose_run_folder(config: DictConfig) -> Path:
    """``run_dir``, else a new folder runs/<Game>/<time>-<name>; never one in which a run has begun.

    The new folder is there at once, so that of several runs that begin in the same second each has its own.

    Raises:
        ConfigurationError: a run has begun in ``run_dir``, or no folder can be made.
    """
    if config.run_dir is not None:
        folder = Path(config.run_dir)
        if (folder / CONFIG_FILE).exists():
            raise ConfigurationError(
                f"run_dir={folder} holds a run already; name another, or go on with:"
                f" {quote_command('train', f'resume={folder}')}"
            )
        if left := [name for name in OF_A_RUN if (folder / name).exists()]:
            raise ConfigurationError(
                f"run_dir={folder} holds {', '.join(left)} of another run, which a new one would mix with its own;"
                " name another"
            )
        return folder
    game, name = (re.sub(r'[<>:"\\|?*]', "-", text) for text in (config.game, config.name))  # Windows refuses these
    stem = Path("runs") / game / f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{name}"
    for path in (stem, *(Path(f"{stem}-{n}") for n in range(2, 1000))):
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigurationError(_tell_unwritable(path, error)) from error
        return path
    raise ConfigurationError(f"{stem} and 998 like it are there already; name another with run_dir=...")


def find_latest_run(folder: Path, *, has_agent: bool = False, game: str | None = None, file: str = CONFIG_FILE) -> Path:
    """The run under ``folder`` that began, or went on, last; of one game, or of all, and of those with an agent.

    A run is a folder with a ``file``.

    Raises:
        ConfigurationError: there is none.
    """
    depths = ("*/*", "*/*/*", "*/*/*/*") if game is None else (f"{game}/*",)
    found = [path for depth in depths for path in folder.glob(f"{depth}/{file}")]
    if has_agent:
        found = [path for path in found if (path.parent / AGENT_FOLDER / DESCRIPTION_FILE).exists()]
    if not found:
        what = "run with an agent" if has_agent else "run"
        name, where = ("latest", folder) if game is None else (game, folder / game)
        raise ConfigurationError(f"{name}: there is no {what} in {where.resolve()}; name a run folder")
    return max(found, key=lambda path: path.stat().st_mtime_ns).parent


def remove_unused_folder(folder: Path, *, stood_before: bool) -> None:
    """Take away a run folder that a run did not come to write into; of one that stood before, the lock alone."""
    with suppress(OSError):  # it is not empty, or was not made
        if {path.name for path in folder.iterdir()} == {LOCK_FILE, INITIAL_AGENT_FOLDER}:
            shutil.rmtree(folder / INITIAL_AGENT_FOLDER)
        if [path.name for path in folder.iterdir()] == [LOCK_FILE]:
            (folder / LOCK_FILE).unlink()
        if not stood_before:
            folder.rmdir()


def make_run_folder(folder: Path) -> None:
    """Make the run folder and make sure that it can be written to.

    Raises:
        ConfigurationError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigurationError(_tell_unwritable(folder, error)) from error


def _tell_unwritable(folder: Path, error: OSError) -> str:
    return f"run_dir={folder} cannot be written to: {error.strerror}; name another with run_dir=..."


def check_links(folder: Path, advice: str) -> None:
    """Make sure that what is written into a folder, which may be a stranger's, changes no file elsewhere.

    Raises:
        ConfigurationError: it holds a link that leads out of it.
    """
    link = next((link for link in find_outward_links(folder) if not link.match(WANDB_LOG)), None)
    if link is not None:
        raise ConfigurationError(f"{link} is a link out of the folder; {advice}")


def lock_run_folder(folder: Path) -> FileLock:
    """Keep other trainers out until the lock is released, or this process is gone, however it ends.

    The operating system holds the lock and not the file, which may stay: a dead process never blocks.

    Raises:
        ConfigurationError: another trainer works there, or nothing can be written there, or a link leads elsewhere.
    """
    check_links(folder, "put there what it leads to, or remove it")
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigurationError(
            f"{folder}: another process trains in this run folder; wait until it ends, or stop it first"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written to: {error.strerror}; copy it to where it can") from error
    return lock


def remove_leftovers(folder: Path) -> None:
    """Remove the half-written files of a process that was killed; call it while the folder is locked."""
    for path in folder.rglob(f"*{TEMPORARY_SUFFIX}"):
        remove_if_possible(path)

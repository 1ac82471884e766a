"""Several runs of one command (a sweep, -m): checked before the first begins, and gone on with where they are begun.

Each has a folder of its own in that of the sweep, named by what is swept: ``game=Pong,seed=1``. So the same command
over the same folder skips what is finished, goes on with what is begun, and starts the rest, whatever launches the
runs and whoever stopped them.
"""

import copy
import hashlib
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from wn_rl.app.command_line import EXIT_MISUSE, USER_ERRORS, JobError, describe_error, exit_with
from wn_rl.errors import ConfigurationError
from wn_rl.runs.outcome import forget_failure, has_begun, read_progress, save_failure
from wn_rl.system.fields import text
from wn_rl.system.labels import label_output
from wn_rl.system.terminals import quote_command

MAX_NAME = 150
"""Letters of a folder's name: file systems allow 255 bytes."""

_begun: list[Path] = []
"""Folders of the sweeps that were begun in this process, and are not told of yet."""

_is_stopped = threading.Event()
"""In this process the user stopped a run, and wants no other to begin."""


class SweepCallback(Callback):
    """Hydra's hook before all runs of a sweep, called where the command was typed."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Say where the runs go and how they are named, and end the process if one of them cannot work.

        Hydra makes a warning of what is raised here, and goes on.
        """
        try:
            self._begin(config)
        except USER_ERRORS as error:
            exit_with(error)
        except Exception:
            traceback.print_exc()
            sys.exit(1)

    def _begin(self, config: DictConfig) -> None:
        _is_stopped.clear()
        words = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
        words.extend(config.hydra.overrides.task)
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        overrides = parser.parse_overrides(words)
        fixed = [override.get_key_element() for override in overrides if not override.is_sweep_override()]
        if any(override.get_key_element() == "sweep" and override.is_sweep_override() for override in overrides):
            raise ConfigurationError("sweep= names several folders; name one, for all runs")
        folder = config.hydra.sweep.dir if config.sweep is None else text("sweep", config.sweep)
        absolute = str(Path(config.hydra.runtime.cwd, folder))
        with read_write(config.hydra):  # in this process, and for what is launched, which composes anew
            config.hydra.sweep.dir = absolute
            config.hydra.overrides.hydra = [
                *config.hydra.overrides.hydra,
                f"hydra.sweep.dir={_quote(absolute)}",
                f"hydra.job.config.override_dirname.exclude_keys=[{','.join(map(_quote, fixed))}]",
            ]
        if _is_basic(config.hydra.sweeper):
            _check_jobs(overrides, fixed, config)
        if not _is_basic(config.hydra.launcher) and threading.current_thread() is threading.main_thread():
            is_joblib = "joblib" in str(config.hydra.launcher._target_)
            signal.signal(signal.SIGINT, _wait_for_runs if is_joblib else _end_command)
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # Ray takes lines of runs that differ in numbers for repetitions
        _begun.append(Path(absolute))
        _tell_where(config.hydra.launcher, absolute)


def train_job(config: DictConfig, told: DictConfig) -> float | None:
    """Train one run of a sweep, or go on with it, unless it is finished; its score.

    Args:
        config: of this run.
        told: Hydra's own configuration of it.

    Raises:
        JobError: the user stopped it, or another one before it.
        ConfigurationError: it cannot work; the reason is kept in its folder, too.
    """
    words = list(told.overrides.task)
    folder = _find_folder(config, words, list(told.job.config.override_dirname.exclude_keys), told)
    if _is_stopped.is_set():
        raise JobError(f"{folder.name}: not begun, since a run was stopped", status=0)
    config = copy.deepcopy(config)
    config.run_dir, config.sweep = str(folder), None
    try:
        with _tell_apart(folder.name, told):
            outcome = _train(config, words, folder, told.runtime.choices)
    except Exception as error:
        reason = _find_reason(error, folder)
        save_failure(folder, str(reason))
        raise reason from error
    if outcome != "whole":
        if outcome == "stopped":
            _is_stopped.set()
        raise JobError(f"{folder.name}: stopped", status=0)
    return read_progress(folder).mean_return


def tell_sweep() -> int:
    """Print what came of the runs of this command, and how to go on with them; the exit status: 2 if one failed."""
    if not _begun:
        return 0
    from wn_rl.viewing.sweep_table import print_sweep, read_sweep

    folder = _begun.pop()
    runs = read_sweep(folder) if folder.is_dir() else []
    if not runs:  # they lie where run_dir= and resume= say
        return 0
    print_sweep(folder, runs)
    states = [run.state for run in runs]
    if states.count("finished") < len(states):
        print(f"the same command with sweep={folder} goes on with those that are not finished")
    return EXIT_MISUSE if "failed" in states else 0


def name_run(words: Sequence[str], fixed: Sequence[str]) -> str:
    """The name of a run's folder: the words that are swept, the seed last, whatever order they were typed in.

    Args:
        words: of the run, as ``key=value``.
        fixed: the keys that all runs of the sweep have in common.
    """
    swept = [word for word in words if word.partition("=")[0] not in fixed]
    name = ",".join(sorted(swept, key=lambda word: (word.startswith("seed="), word))) or "run"
    readable = re.sub(r"[^\w.,=+-]", "_", name)
    if readable == name and len(name.encode()) <= MAX_NAME:
        return name
    return f"{readable.encode()[:MAX_NAME].decode(errors='ignore')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _train(config: DictConfig, words: list[str], folder: Path, choices: DictConfig) -> str:
    """What came of a run: "whole", before or now; "stopped" by the user; or "out of time", by ``max_minutes``."""
    from wn_rl.app import training
    from wn_rl.app.plugins import import_plugins

    import_plugins(config)
    if config.resume is not None or has_begun(folder):
        from wn_rl.app.configuration import resume_configuration

        now = resume_configuration(config, words, folder)  # what is finished must have been this run, too
        progress = read_progress(folder)
        if progress.is_end(total_agent_steps=now.total_agent_steps, num_episodes=now.evaluation.episodes):
            print(f"{folder.name} is finished", flush=True)
            return "whole"
        run = training.resume_run(config, overrides=words, folder=folder)
    else:
        run = training.start_run(config, preset=choices.get("preset"), experiment=choices.get("experiment"))
    forget_failure(folder)
    if run.train():
        return "whole"
    return "stopped" if run.interruption.is_by_signal else "out of time"


def _tell_apart(name: str, told: DictConfig) -> AbstractContextManager[None]:
    """Say which run prints what follows: above it where they come one after the other, else on each line."""
    if _is_basic(told.launcher):
        print(f"run {told.job.num + 1}: {name}", flush=True)
        return nullcontext()
    return label_output(name)


def _tell_where(launcher: DictConfig, folder: str) -> None:
    """Say where jobs write that a launcher keeps from this terminal, as submitit does."""
    if "submitit_folder" in launcher:
        watching = quote_command("watch", f"run={folder}")
        print(f"each job writes to a file in {folder}/.submitit; how far they are tells: {watching}", flush=True)


def _check_jobs(overrides: list[Override], fixed: list[str], config: DictConfig) -> None:
    """Make sure that each run of a sweep can work, as far as that can be said before it takes any memory.

    Raises:
        ConfigurationError: one cannot, or two have one folder.
    """
    [jobs] = BasicSweeper.split_arguments(overrides, None)
    folders: dict[Path, list[str]] = {}
    for words in jobs:
        try:
            job = compose(config.hydra.job.config_name, overrides=words)
            folder = _find_folder(job, words, fixed, config.hydra)
            if folder in folders:
                raise ConfigurationError(f"its folder {folder} is that of {' '.join(folders[folder])}; leave one out")
            folders[folder] = words
            _check_job(job, words, folder)
        except USER_ERRORS as error:
            raise ConfigurationError(f"{name_run(words, fixed)}: {describe_error(error)} (no run was begun)") from error


def _check_job(config: DictConfig, words: list[str], folder: Path) -> None:
    from wn_rl.app.build import check_targets
    from wn_rl.app.configuration import resolve_configuration, resume_configuration
    from wn_rl.app.learner_processes import ONE_RUN
    from wn_rl.app.own_callbacks import make_callbacks
    from wn_rl.app.plugins import import_plugins

    import_plugins(config)
    make_callbacks(config.callbacks)
    is_begun = config.resume is not None or has_begun(folder)
    resolved = resume_configuration(config, words, folder) if is_begun else resolve_configuration(config)
    check_targets(resolved)
    if resolved.devices * resolved.num_nodes > 1:
        raise ConfigurationError(ONE_RUN)


def _find_folder(config: DictConfig, words: list[str], fixed: list[str], told: DictConfig) -> Path:
    """Where one run of a sweep is: in the sweep's folder, if the user names no other."""
    named = config.resume if config.resume is not None else config.run_dir
    if named is not None:
        return Path(told.runtime.cwd, text("run_dir", named))
    return Path(told.sweep.dir, name_run(words, fixed))


def _find_reason(error: Exception, folder: Path) -> Exception:
    """What to tell of an error; what nobody foresaw leaves its traceback beside the run."""
    if isinstance(error, USER_ERRORS):
        return error
    if isinstance(error, OSError):
        return ConfigurationError(describe_error(error))
    from wn_rl.app.failures import summarize_error, write_traceback

    return ConfigurationError(f"{type(error).__name__}: {summarize_error(error)}{write_traceback(error, folder)}")


def _is_basic(plugin: DictConfig) -> bool:
    """Whether it is Hydra's own sweeper, which knows all runs in advance, or launcher, which is this process."""
    return str(plugin._target_).startswith("hydra._internal.core_plugins.basic_")


def _wait_for_runs(signal_number: int, frame: FrameType | None) -> None:
    """Ctrl-C reaches joblib's processes, too: each run writes a checkpoint, and the launcher must not kill it."""
    signal.signal(signal.SIGINT, _end_command)
    print("each run finishes its chunk and writes a checkpoint; Ctrl-C again ends them at once", file=sys.stderr)


def _end_command(signal_number: int, frame: FrameType | None) -> None:
    """Ctrl-C: Ray ends its runs with the command, and Slurm keeps them, which may be gone on with all the same."""
    raise KeyboardInterrupt(f"the same command with sweep={_begun[-1]} goes on from the last checkpoints")


def _quote(value: str) -> str:
    """A word as one of Hydra's texts."""
    escaped = value.replace("'", "\\'")
    return f"'{escaped}'"

"""What all commands share: Hydra's configuration, and errors as one line without a traceback."""

import errno
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from wn_rl.app.renamed import check_words
from wn_rl.errors import ConfigurationError, show_text

_PACKAGE = Path(__file__).resolve().parents[1]
CONFIG_DIRECTORY = next(folder for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if folder.is_dir())
"""Inside an installed package, else at the top of the working copy."""

EXIT_MISUSE = 2
EXIT_CLOSED_PIPE = 128 + 13  # as a shell counts a command that SIGPIPE ended
USER_ERRORS = (ConfigurationError, HydraException, OmegaConfBaseException)
"""What a command line, a configuration or the files that they name are to blame for."""
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


class JobError(ConfigurationError):
    """One of several runs of a command (-m) stopped and has told why; Hydra lets the others begin all the same.

    ``folder`` is the one that the command gave to all of them; ``status`` what the command is to end with at least.
    """

    def __init__(self, message: str, folder: Path | None = None, *, status: int = EXIT_MISUSE) -> None:
        super().__init__(message)
        self.folder, self.status = folder, status  # launchers send it between processes: made of its message alone


def run_command(
    config_name: str, function: Callable[[DictConfig], Any], *, tell_all: Callable[[Path], int] | None = None
) -> None:
    """Parse the command line over ``configs/<config_name>.yaml`` and call ``function`` with what it says.

    What the user can mend (wrong key, word or value) ends in one line on stderr and exit status 2. Of several runs
    (-m) each tells its own; after the last ``tell_all`` is given their folder, and says the exit status.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing several lines
    job = partial(_run_job, function)
    try:
        try:
            check_words(sys.argv[1:])
            hydra.main(version_base="1.3", config_path=str(CONFIG_DIRECTORY), config_name=config_name)(job)()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has enough, as in --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still to be written
        sys.exit(EXIT_CLOSED_PIPE)
    except JobError as error:
        told = 0 if tell_all is None or error.folder is None else tell_all(error.folder)
        sys.exit(max(error.status, told))
    except USER_ERRORS as error:
        exit_with(error)


def import_typed_environment(config: DictConfig) -> None:
    """Import the module of ``env.id=module:id``, as the user typed it: no file may ask for that."""
    if config.env.id is not None:
        from wn_rl.envs.gymnasium_environments import import_environment

        import_environment(str(config.env.id))


def _run_job(function: Callable[[DictConfig], Any], config: DictConfig) -> Any:
    """One run of a command, and what it returns.

    An error of the user's ends the process here, before Hydra adds a line of its own; that of one of several runs is
    told beside what it was told, and raised, so that whatever launched it knows.
    """
    try:
        return function(config)
    except JobError:
        raise
    except (ConfigurationError, OmegaConfBaseException, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _DISK_ERRORS:
            raise
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            exit_with(error)
        fixed = HydraConfig.get().job.config.override_dirname.exclude_keys
        words = [word for word in HydraConfig.get().overrides.task if word.partition("=")[0] not in fixed]
        told = f"{' '.join(words) or 'run'}: {describe_error(error)}"
        print(f"error: {told}", file=sys.stderr, flush=True)
        raise JobError(told, Path(HydraConfig.get().runtime.output_dir)) from error


def exit_with(error: Exception) -> NoReturn:
    """End the process with what the user can mend in one line on stderr, and exit status 2."""
    print(f"error: {describe_error(error)}", file=sys.stderr)
    sys.exit(EXIT_MISUSE)


def describe_error(error: Exception) -> str:
    """One line: what happened, and what to do."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return show_text(f"{where}{error.strerror}; make room, or name another folder")
    return _as_one_line(error)


def _as_one_line(error: Exception) -> str:
    """The message without Hydra's line breaks and without its advice on stack traces."""
    lines = [line.strip() for line in str(error).splitlines()]
    return show_text(" ".join(line for line in lines if line and "HYDRA_FULL_ERROR" not in line))

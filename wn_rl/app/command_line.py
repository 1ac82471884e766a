"""What all commands share: Hydra's configuration, and errors as one line without a traceback."""

import errno
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from wn_rl.app.renamed import check_words
from wn_rl.errors import ConfigurationError, show_text

_PACKAGE = Path(__file__).resolve().parents[1]
CONFIG_DIRECTORY = next(folder for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if folder.is_dir())
"""Inside an installed package, else at the top of the working copy."""

EXIT_MISUSE = 2
EXIT_CLOSED_PIPE = 128 + 13  # as a shell counts a command that SIGPIPE ended
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


def run_command(config_name: str, function: Callable[[DictConfig], None]) -> None:
    """Parse the command line over ``configs/<config_name>.yaml`` and call ``function`` with what it says.

    What the user can mend (wrong key, word or value) ends in one line on stderr and exit status 2.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing several lines
    threading.excepthook = tell_failed_thread
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
    except (ConfigurationError, HydraException, OmegaConfBaseException) as error:
        _exit_with(error)


def tell_failed_thread(failure: threading.ExceptHookArgs) -> None:
    """One line instead of a traceback, as where a logger's own thread meets a full disk; what needs it fails next."""
    name = "of something that is gone" if failure.thread is None else failure.thread.name
    told = f"{failure.exc_type.__name__}: {failure.exc_value}"
    print(show_text(f"warning: the thread {name} failed: {told}"), file=sys.stderr)


def import_typed_environment(config: DictConfig) -> None:
    """Import the module of ``env.id=module:id``, as the user typed it: no file may ask for that."""
    if config.env.id is not None:
        from wn_rl.envs.gymnasium_environments import import_environment

        import_environment(str(config.env.id))


def _run_job(function: Callable[[DictConfig], None], config: DictConfig) -> None:
    """One run of a command; an error of the user's ends the process here, before Hydra adds a line of its own."""
    try:
        function(config)
    except (ConfigurationError, OmegaConfBaseException) as error:
        _exit_with(error)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        _exit_with(ConfigurationError(f"{where}{error.strerror}; make room, or name another folder"))


def _exit_with(error: Exception) -> NoReturn:
    print(f"error: {_as_one_line(error)}", file=sys.stderr)
    sys.exit(EXIT_MISUSE)


def _as_one_line(error: Exception) -> str:
    """The message without Hydra's line breaks and without its advice on stack traces."""
    lines = [line.strip() for line in str(error).splitlines()]
    return show_text(" ".join(line for line in lines if line and "HYDRA_FULL_ERROR" not in line))

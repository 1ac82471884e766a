"""What all commands share: words of the command line, Hydra's configuration, and errors as one line, no traceback."""

import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

import wn_rl
from wn_rl.app.configured import CONFIG_DIRECTORY, find_folders, read_command
from wn_rl.app.default_preset import choose_preset
from wn_rl.app.help_page import render_help
from wn_rl.app.hydra_version import MAIN
from wn_rl.app.options import split_options
from wn_rl.app.words import translate_words
from wn_rl.errors import ConfigurationError, show_text
from wn_rl.system.interrupts import EXIT_INTERRUPTED, tell_interruption

EXIT_FAULT, EXIT_MISUSE = 1, 2
EXIT_CLOSED_PIPE = 128 + 13  # as a shell counts a command that SIGPIPE ended
USER_ERRORS = (ConfigurationError, HydraException, OmegaConfBaseException)
"""What a command line, a configuration or the files that they name are to blame for."""
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


class JobError(ConfigurationError):
    """One of several runs of a command (-m) stopped and has told why; Hydra lets the others begin all the same.

    ``status`` is what the command is to end with at least.
    """

    def __init__(self, message: str, *, status: int = EXIT_MISUSE) -> None:
        super().__init__(message)
        self.status = status  # launchers send it between processes: made of its message alone


def run_command(
    config_name: str, function: Callable[[DictConfig], Any], *, tell_all: Callable[[], int] = lambda: 0
) -> None:
    """Parse the command line over ``configs/<config_name>.yaml`` and call ``function`` with what it says.

    Whatever stops it ends in one line on stderr: exit status 2 for what the user can mend (wrong key, word or value),
    1 for a fault of the program, whose traceback goes to a file, and 130 for Ctrl-C. Of several runs (-m) each tells
    its own; after the last ``tell_all`` tells of all, and says the exit status.
    """
    threading.excepthook = tell_failed_thread
    try:
        try:
            _run(config_name, function)
            status = tell_all()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has enough, as in --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still to be written
        sys.exit(EXIT_CLOSED_PIPE)
    except KeyboardInterrupt as interruption:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # told once, whatever is pressed while all is closed
        tell_interruption(str(interruption))
        sys.exit(EXIT_INTERRUPTED)
    except JobError as error:
        sys.exit(max(error.status, tell_all()))
    except USER_ERRORS as error:
        exit_with(error)
    except Exception as error:
        exit_with(_explain_fault(error), EXIT_FAULT)
    if status:
        sys.exit(status)


def _run(config_name: str, function: Callable[[DictConfig], Any]) -> None:
    words = split_options(sys.argv[1:])
    if "--version" in words:
        print(f"wn_rl {wn_rl.__version__}")
        return
    folders = find_folders(words)
    command = read_command(config_name, folders)
    words = translate_words(config_name, command, words)
    preset = choose_preset(words) if config_name == "train" else None
    if preset is not None:
        words.insert(0, f"preset={preset}")
    if {"--help", "-h"} & set(words):
        print(render_help(config_name, command, words, folders))
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing several lines
    job = partial(_run_job, function)
    given, sys.argv[1:] = sys.argv[1:], words
    try:
        path = CONFIG_DIRECTORY / config_name
        hydra.main(**MAIN, config_path=str(path.parent), config_name=path.name)(job)()
    except ConfigCompositionException as error:
        told = re.match(r"Could not override '([^']+)'", str(error))
        if told is None:
            raise
        raise ConfigurationError(
            f"{told[1]}: there is no such setting under these words; it is another algorithm's, optimizer's or"
            " protocol's"
        ) from error
    finally:
        sys.argv[1:] = given


def tell_failed_thread(failure: threading.ExceptHookArgs) -> None:
    """One line instead of a traceback, as where a logger's own thread meets a full disk; what needs it fails next."""
    name = "of something that is gone" if failure.thread is None else failure.thread.name
    told = f"{failure.exc_type.__name__}: {failure.exc_value}"
    print(show_text(f"warning: the thread {name} failed: {told}"), file=sys.stderr)


def import_typed_modules(config: DictConfig) -> None:
    """Import ``plugins``, and the module of ``env.id=module:id``, as the user typed them: no file may ask for that."""
    from wn_rl.app.plugins import import_plugins

    import_plugins(config)
    if config.env.id is not None:
        from wn_rl.envs.gymnasium_environments import import_environment

        import_environment(str(config.env.id))


def _run_job(function: Callable[[DictConfig], Any], config: DictConfig) -> Any:
    """One run of a command, and what it returns; an error ends it here, before Hydra adds a line of its own."""
    try:
        return function(config)
    except (JobError, BrokenPipeError):
        raise
    except (ConfigurationError, OmegaConfBaseException) as error:
        _end_job(error)
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            _end_job(error)
        _end_job(_explain_fault(error), EXIT_FAULT)
    except Exception as error:
        _end_job(_explain_fault(error), EXIT_FAULT)


def _end_job(error: Exception, status: int = EXIT_MISUSE) -> NoReturn:
    """End the process; one of several runs is told beside what it was told, and raised, so that its launcher knows."""
    if HydraConfig.get().mode != RunMode.MULTIRUN:
        exit_with(error, status)
    fixed = HydraConfig.get().job.config.override_dirname.exclude_keys
    words = [word for word in HydraConfig.get().overrides.task if word.partition("=")[0] not in fixed]
    told = f"{' '.join(words) or 'run'}: {describe_error(error)}"
    print(f"error: {told}", file=sys.stderr, flush=True)
    raise JobError(told, status=status) from error


def exit_with(error: Exception, status: int = EXIT_MISUSE) -> NoReturn:
    """End the process with one line on stderr."""
    print(f"error: {describe_error(error)}", file=sys.stderr)
    sys.exit(status)


def _explain_fault(error: Exception) -> ConfigurationError:
    from wn_rl.app.failures import explain_fault  # which imports PyTorch

    return explain_fault(error)


def describe_error(error: Exception) -> str:
    """One line: what happened, and what to do."""
    if isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return show_text(f"{where}{error.strerror}; make room, or name another folder")
    return _as_one_line(error)


def _as_one_line(error: Exception) -> str:
    """The message without Hydra's line breaks and without its advice on stack traces."""
    lines = [line.strip() for line in str(error).splitlines()]
    return show_text(" ".join(line for line in lines if line and "HYDRA_FULL_ERROR" not in line))

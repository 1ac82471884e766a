"""What all commands share: words of the command line, Hydra's configuration, and errors as one line, no traceback."""

import errno
import os
import re
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import hydra
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

import wn_rl
from wn_rl.app.configured import CONFIG_DIRECTORY, read_command
from wn_rl.app.help_page import render_help
from wn_rl.app.words import translate_words
from wn_rl.errors import ConfigurationError, show_text
from wn_rl.system.interrupts import EXIT_INTERRUPTED, tell_interruption

EXIT_FAULT, EXIT_MISUSE = 1, 2
EXIT_CLOSED_PIPE = 128 + 13  # as a shell counts a command that SIGPIPE ended
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


def run_command(config_name: str, function: Callable[[DictConfig], None]) -> None:
    """Parse the command line over ``configs/<config_name>.yaml`` and call ``function`` with what it says.

    Whatever stops it ends in one line on stderr: exit status 2 for what the user can mend (wrong key, word or value),
    1 for a fault of the program, whose traceback goes to a file, and 130 for Ctrl-C.
    """
    try:
        try:
            _run(config_name, function)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has enough, as in --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still to be written
        sys.exit(EXIT_CLOSED_PIPE)
    except KeyboardInterrupt as interruption:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # told once, whatever is pressed while all is closed
        tell_interruption(str(interruption))
        sys.exit(EXIT_INTERRUPTED)
    except (ConfigurationError, HydraException, OmegaConfBaseException) as error:
        _exit_with(error)
    except Exception as error:
        _exit_with_fault(error)


def _run(config_name: str, function: Callable[[DictConfig], None]) -> None:
    words = sys.argv[1:]
    if "--version" in words:
        print(f"wn_rl {wn_rl.__version__}")
        return
    command = read_command(config_name)
    words = translate_words(config_name, command, words)
    if {"--help", "-h"} & set(words):
        print(render_help(config_name, command, words))
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing several lines
    job = partial(_run_job, function)
    given, sys.argv[1:] = sys.argv[1:], words
    try:
        hydra.main(version_base="1.3", config_path=str(CONFIG_DIRECTORY), config_name=config_name)(job)()
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


def import_typed_environment(config: DictConfig) -> None:
    """Import the module of ``env.id=module:id``, as the user typed it: no file may ask for that."""
    if config.env.id is not None:
        from wn_rl.envs.gymnasium_environments import import_environment

        import_environment(str(config.env.id))


def _run_job(function: Callable[[DictConfig], None], config: DictConfig) -> None:
    """One run of a command; an error ends the process here, before Hydra adds a line of its own."""
    try:
        function(config)
    except (ConfigurationError, OmegaConfBaseException) as error:
        _exit_with(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            _exit_with_fault(error)
        where = f"{error.filename}: " if error.filename else ""
        _exit_with(ConfigurationError(f"{where}{error.strerror}; make room, or name another folder"))
    except Exception as error:
        _exit_with_fault(error)


def _exit_with(error: Exception, status: int = EXIT_MISUSE) -> NoReturn:
    print(f"error: {_as_one_line(error)}", file=sys.stderr)
    sys.exit(status)


def _exit_with_fault(error: Exception) -> NoReturn:
    from wn_rl.app.failures import explain_fault  # which imports PyTorch

    _exit_with(explain_fault(error), EXIT_FAULT)


def _as_one_line(error: Exception) -> str:
    """The message without Hydra's line breaks and without its advice on stack traces."""
    lines = [line.strip() for line in str(error).splitlines()]
    return show_text(" ".join(line for line in lines if line and "HYDRA_FULL_ERROR" not in line))

"""Why a command stopped, and what the user can do: one line, whatever was raised; the traceback goes to a file."""

import os
import tempfile
import traceback
from pathlib import Path

from wn_rl.errors import ConfigurationError
from wn_rl.runs.checkpoint_folder import list_checkpoints
from wn_rl.runs.layout import ERROR_FILE
from wn_rl.system.files import write_whole
from wn_rl.system.memory import is_memory_error
from wn_rl.system.terminals import quote_command

MEMORY_ADVICE = "free some, or lower replay.capacity, num_envs, batch_size or evaluation.num_envs in a new run"


def explain_failure(
    error: Exception, *, folder: Path, agent_steps: int, saved_agent_steps: int | None
) -> ConfigurationError:
    """The error to show instead: what happened, what to do, and where the run can be gone on from.

    Args:
        error: whatever ended training.
        folder: the run folder; the traceback is written there, if that is possible.
        agent_steps: how far the run was.
        saved_agent_steps: how far its last checkpoint is, None if it has none yet.
    """
    command = quote_command("train", f"resume={folder}")
    if not folder.is_dir():
        going_on = f"{folder} was removed meanwhile, with all that the run could go on from; start a new run"
    elif saved_agent_steps is not None and not list_checkpoints(folder):
        going_on = f"its checkpoints were removed from {folder}; copy one back there, or start a new run"
    elif saved_agent_steps is None:
        going_on = f"it had no checkpoint yet; begin anew with: {command}"
    else:
        going_on = f"its checkpoint of {saved_agent_steps:,} agent steps is whole; go on from there with: {command}"
    if isinstance(error, ConfigurationError):
        return ConfigurationError(f"{error}. {going_on}")
    if is_memory_error(error):
        advice = f"memory is short: {summarize_error(error)}; {MEMORY_ADVICE}"
    elif isinstance(error, OSError):
        where = f" ({os.fsdecode(error.filename)})" if error.filename else ""
        advice = f"a file cannot be written or read: {error.strerror or error}{where}; make room, or make it writable"
    else:
        advice = f"{type(error).__name__}: {summarize_error(error)}{write_traceback(error, folder)}"
    return ConfigurationError(f"training stopped after {agent_steps:,} agent steps: {advice}. {going_on}")


def explain_fault(error: Exception) -> ConfigurationError:
    """The error to show in place of one that nobody foresaw, a fault of the program's own; a file has its traceback."""
    told = f"{type(error).__name__}: {summarize_error(error)}"
    try:
        descriptor, path = tempfile.mkstemp(prefix="wn_rl-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return ConfigurationError(f"{told}; this is a fault of wn_rl, please report it")
    return ConfigurationError(f"{told}; this is a fault of wn_rl, please report it with the traceback in {path}")


def summarize_error(error: Exception) -> str:
    """The first 300 characters of its message, on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def write_traceback(error: Exception, folder: Path) -> str:
    """Write a traceback into a run folder, if that is possible, and say where it is."""
    try:
        write_whole(folder / ERROR_FILE, "".join(traceback.format_exception(error)).encode())
    except OSError:
        return ""
    return f" (the traceback is in {folder / ERROR_FILE})"

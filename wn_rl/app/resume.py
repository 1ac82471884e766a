"""The checkpoint that a run goes on from: the newest that is whole and of this run; strangers' are distrusted.

Everything that restoring would copy, play or allocate is checked before: names, shapes, types and ranges, and the files
of the replay's segments. A checkpoint that does not pass is set aside, and the one before it is taken.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.app.configuration import select_fixed_settings
from wn_rl.errors import ConfigurationError
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.runs.checkpoint_folder import list_checkpoints, promote_next_checkpoint, set_aside
from wn_rl.runs.layout import AGENT_FOLDER, CONFIG_FILE, LAST_CHECKPOINT, NEXT


def find_checkpoint(folder: Path, module: Algorithm) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that the run can go on from and what it holds; None if the run wrote none yet.

    Damaged ones are set aside under another name, and named on stderr.

    Args:
        folder: the run folder.
        module: the algorithm of the run's configuration, as it was built: what is saved must fit it.

    Raises:
        ConfigurationError: there were checkpoints, and none is left that is whole.
    """
    damaged: list[tuple[Path, str]] = []
    for path in list_checkpoints(folder):
        try:
            checkpoint = read_checkpoint(path)
            check_checkpoint(checkpoint, module, path)
        except ConfigurationError as error:
            damaged.append((path, str(error)))
            continue
        return _settle(folder, path, damaged, module), checkpoint
    if damaged:
        raise ConfigurationError(f"{damaged[0][1]}; no other checkpoint in {folder} is whole: copy one back there")
    if (folder / AGENT_FOLDER).exists():
        raise ConfigurationError(f"the checkpoints of {folder} are missing; copy the run folder with all that it holds")
    return None


def _settle(folder: Path, path: Path, damaged: list[tuple[Path, str]], module: Algorithm) -> Path:
    """Set the damaged ones aside, and finish what a killed writer left undone; return where the checkpoint is now."""
    for other, reason in damaged:
        print(f"warning: {reason}; it is kept as {set_aside(other).name}, the run goes on from {path}", file=sys.stderr)
    if path.name != NEXT:
        return path
    promote_next_checkpoint(folder, module.list_files)
    return folder / LAST_CHECKPOINT


def check_checkpoint(checkpoint: dict[str, Any], module: Algorithm, path: Path) -> None:
    """Make sure that a checkpoint fits a run in every part that is restored.

    Raises:
        ConfigurationError: it does not, or a segment of its replay is missing or damaged; in one line.
    """
    try:
        _check_counters(checkpoint)
        _check_tensors(checkpoint["state_dict"], module.state_dict())
        _check_optimizer(checkpoint["optimizer_states"], module.configure_optimizers())
        module.check_state(checkpoint["wn_rl"])
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ConfigurationError(f"{path} cannot be gone on from: {reason}") from error


def check_settings(checkpoint: dict[str, Any], config: DictConfig, folder: Path) -> None:
    """Make sure that a checkpoint was written under the settings of ``config.yaml``, which anybody may have edited.

    Raises:
        ConfigurationError: one differs that makes it another run; the message shows both values.
    """
    agent_steps = checkpoint["agent"]["agent_steps"]
    if config.total_agent_steps < agent_steps:
        raise ConfigurationError(
            f"total_agent_steps={config.total_agent_steps} is less than the {agent_steps} that this run has done; raise"
            " it, or leave it out"
        )
    saved, now = (select_fixed_settings(values) for values in (checkpoint["agent"]["config"], config))
    for key in sorted({*saved, *now}):
        if saved.get(key) != now.get(key):
            raise ConfigurationError(
                f"{folder / CONFIG_FILE} says {key}={now.get(key)}, but this run began with {saved.get(key)}; put that"
                " back, or start a new run"
            )


def _check_counters(checkpoint: dict[str, Any]) -> None:
    counters = {
        "epoch": checkpoint["epoch"],
        "global_step": checkpoint["global_step"],
        "num_updates": checkpoint["wn_rl"]["num_updates"],
        "agent_steps": checkpoint["agent"]["agent_steps"],
    }
    for name, value in counters.items():
        if type(value) is not int or not 0 <= value < 2**62:
            raise ValueError(f"its {name} is {value!r:.40}")


def _check_tensors(saved: dict[str, Any], own: dict[str, Any]) -> None:
    if saved.keys() != own.keys():
        raise ValueError("its weights are of another network")
    for name, value in own.items():
        is_exact = (
            torch.promote_types(saved[name].dtype, value.dtype) == value.dtype
        )  # bfloat16 output layers, of before
        if saved[name].shape != value.shape or not is_exact:
            raise ValueError(f"its {name} is {saved[name].dtype} {tuple(saved[name].shape)}, not {tuple(value.shape)}")


def _check_optimizer(saved: list[dict[str, Any]], optimizer: torch.optim.Optimizer) -> None:
    """Loading an optimizer checks no shapes, and the next update would fail or, worse, broadcast."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    groups = [[len(group["params"]) for group in state["param_groups"]] for state in saved]
    if groups != [[len(group["params"]) for group in optimizer.param_groups]]:
        raise ValueError("its optimizer has other parameters")
    for number, entry in saved[0]["state"].items():
        for name, value in entry.items():
            if value.numel() != 1 and value.shape != parameters[number].shape:
                raise ValueError(f"its optimizer's {name} of parameter {number} has the shape {tuple(value.shape)}")

"""The checkpoint that a run goes on from: the newest that is whole and of this run; strangers' are distrusted.

Everything that restoring would copy, play or allocate is checked before: names, shapes, types and ranges, and the files
of the replay's segments. A checkpoint that does not pass is set aside, and the one before it is taken.
"""

import math
import re
import sys
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from omegaconf import DictConfig

from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.app.configuration import select_fixed_settings
from wn_rl.app.one_process import OneProcess
from wn_rl.errors import ConfigurationError, show_text
from wn_rl.runs.checkpoint_file import read_checkpoint, silent_mistakes
from wn_rl.runs.checkpoint_folder import list_checkpoints, promote_next_checkpoint, set_aside
from wn_rl.runs.layout import AGENT_FOLDER, CONFIG_FILE, LAST_CHECKPOINT, NEXT

_COUNTED = {"MetricsLogging": ["num_rows"], "Evaluation": ["is_due", "num_rows"], "Videos": ["num_evaluations"]}
"""What callbacks keep in a checkpoint."""
_BARE: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False,
}  # fmt: skip
_NEVER_NEGATIVE = ("step", "exp_avg_sq", "exp_inf", "square_avg", "max_exp_avg_sq")
"""What optimizers keep and take a root of, or count with."""


class OtherRunError(ConfigurationError):
    """A checkpoint is whole, and of other settings than ``config.yaml``, which anybody may have edited."""


def find_checkpoint(
    folder: Path, module: Algorithm, config: DictConfig | None = None
) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that the run can go on from and what it holds; None if the run wrote none yet.

    Damaged ones are set aside under another name, and named on stderr.

    Args:
        folder: the run folder.
        module: the algorithm of the run's configuration, as it was built: what is saved must fit it.
        config: that configuration, of which a checkpoint must be; None: of any.

    Raises:
        ConfigurationError: there were checkpoints, and none is left that is whole.
    """
    refused: list[tuple[Path, ConfigurationError]] = []
    paths = module.learners.tell(list_checkpoints(folder))
    if paths:
        module.allocate()
    for path in paths:
        checkpoint: dict[str, Any] = {}
        refusal: ConfigurationError | None = None
        try:
            checkpoint = read_checkpoint(path)
            if config is not None:
                check_settings(checkpoint, config, folder)
            check_checkpoint(checkpoint, module, path)
        except ConfigurationError as error:
            refusal = error
        refusal = module.learners.find_any(refusal)  # what one cannot go on from, nobody can
        if refusal is None:
            return _settle(folder, path, refused, module), checkpoint
        refused.append((path, refusal))
    for _, reason in refused:
        if isinstance(reason, OtherRunError):
            raise reason
    if refused:
        raise ConfigurationError(f"{refused[0][1]}; no other checkpoint in {folder} is whole: copy one back there")
    if (folder / AGENT_FOLDER).exists():
        raise ConfigurationError(f"the checkpoints of {folder} are missing; copy the run folder with all that it holds")
    return None


def _settle(folder: Path, path: Path, refused: list[tuple[Path, ConfigurationError]], module: Algorithm) -> Path:
    """Set the refused ones aside, and finish what a killed writer left undone; return where the checkpoint is now."""
    if not module.learners.is_first:
        return module.learners.tell(path)
    for other, reason in refused:
        told = f"warning: {reason}; it is kept as {set_aside(other).name}, the run goes on from {path}"
        print(show_text(told), file=sys.stderr)
    if path.name == NEXT:
        promote_next_checkpoint(folder, module.list_files)
        path = folder / LAST_CHECKPOINT
    return module.learners.tell(path)


def check_checkpoint(checkpoint: dict[str, Any], module: Algorithm, path: Path) -> None:
    """Make sure that a checkpoint fits a run in every part that is restored.

    Raises:
        ConfigurationError: it does not, or a segment of its replay is missing or damaged; in one line.
    """
    try:
        with silent_mistakes():
            _check_counters(checkpoint)
            _check_progress(checkpoint)
            _check_tensors(checkpoint["state_dict"], module.state_dict())
            learning_rates = module.list_learning_rates(checkpoint["agent"]["agent_steps"])
            _check_optimizer(checkpoint["optimizer_states"], module.configure_optimizers(), learning_rates)
            own = module.find_own_state(checkpoint)
            if own["num_updates"] != checkpoint["wn_rl"]["num_updates"]:
                raise ValueError("its learners differ in their number of updates")
            module.check_state(own)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ConfigurationError(f"{path} cannot be gone on from: {reason}") from error


def check_settings(checkpoint: dict[str, Any], config: DictConfig, folder: Path) -> None:
    """Make sure that a checkpoint was written under the settings of ``config.yaml``, which anybody may have edited.

    Raises:
        OtherRunError: one differs that makes it another run; the message shows both values.
        ConfigurationError: it does not say what its settings are.
    """
    try:
        with silent_mistakes():
            saved = select_fixed_settings(checkpoint["agent"]["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"a checkpoint of {folder} does not say what its settings are: {error}") from error
    now = select_fixed_settings(config)
    for key in sorted({*saved, *now}):
        if saved.get(key) != now.get(key):
            raise OtherRunError(
                f"{folder / CONFIG_FILE} says {key}={now.get(key)}, but this run began with {saved.get(key)}; put that"
                " back, or start a new run"
            )


def check_length(checkpoint: dict[str, Any], config: DictConfig) -> None:
    """Make sure that a run is not told to be shorter than it is; ConfigurationError where it is."""
    agent_steps = checkpoint["agent"]["agent_steps"]
    if config.total_agent_steps < agent_steps:
        raise ConfigurationError(
            f"total_agent_steps={config.total_agent_steps} is less than the {agent_steps} that this run has done; raise"
            " it, or leave it out"
        )


def _check_progress(checkpoint: dict[str, Any]) -> None:
    """What Lightning and the callbacks restore: the same parts as those of a trainer of now, with counts in them."""
    if not re.fullmatch(r"\d+(\.\d+)+\S{,20}", checkpoint["pytorch-lightning_version"]):
        raise ValueError("it does not say which version wrote it")
    if checkpoint["lr_schedulers"] != []:
        raise ValueError("it has schedules of the learning rate, which no run has")
    fit_loop = checkpoint["loops"]["fit_loop"]
    own = Trainer(**_BARE, plugins=[OneProcess()]).fit_loop.state_dict()
    _check_counts(fit_loop, own, "loops")
    epoch, agent_steps = checkpoint["epoch"], checkpoint["agent"]["agent_steps"]
    counts = [*fit_loop["epoch_progress"]["current"].values(), *fit_loop["epoch_progress"]["total"].values()]
    if epoch > agent_steps or not {epoch, epoch + 1} >= set(counts):
        raise ValueError(f"it counts iterations {sorted(set(counts))} after {agent_steps} agent steps")
    for name, state in checkpoint["callbacks"].items():
        if name in _COUNTED:  # a user's own callback knows what it saved
            _check_counts(state, dict.fromkeys(_COUNTED[name], 0), f"callbacks.{name}")
    mean_return = checkpoint["agent"].get("mean_return", 0.0)
    if type(mean_return) not in (int, float) or not math.isfinite(mean_return):
        raise ValueError("its mean return is no number")


def _check_counts(saved: Any, own: Any, path: str) -> None:
    """Raise ValueError unless the same keys hold truth values and counts."""
    if isinstance(own, dict):
        if type(saved) is not dict or not own.keys() <= saved.keys():
            raise ValueError(f"its {path:.60} has other parts than now")
        for key, value in own.items():
            _check_counts(saved[key], value, f"{path}.{key}")
    elif type(saved) not in (bool, int) or not 0 <= saved < 2**62:
        raise ValueError(f"its {path:.60} is {saved!r:.40}")


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
        if not saved[name].isfinite().all():
            raise ValueError(f"its {name} is not finite")


def _check_optimizer(
    saved: list[dict[str, Any]], optimizer: torch.optim.Optimizer, learning_rates: list[float]
) -> None:
    """Loading an optimizer checks no shapes, and the next update would fail or, worse, broadcast."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    groups = [[len(group["params"]) for group in state["param_groups"]] for state in saved]
    if groups != [[len(group["params"]) for group in optimizer.param_groups]]:
        raise ValueError("its optimizer has other parameters")
    for now, then in zip(optimizer.param_groups, saved[0]["param_groups"], strict=True):
        for name in sorted({*now} & {*then} - {"params"}):
            is_same = _as_list(then[name]) == _as_list(now[name])
            if name == "lr" and learning_rates:
                known = [now["lr"], *learning_rates]
                is_same = min(known) <= then["lr"] <= max(known)
            if not is_same:
                raise ValueError(f"its optimizer was told {name}={then[name]!r:.40}, not {now[name]!r:.40}")
    states = saved[0]["state"]
    if states and (len({tuple(sorted(entry)) for entry in states.values()}) > 1 or len(states) != len(parameters)):
        raise ValueError("its optimizer does not know the same of every parameter")
    for number, entry in states.items():
        for name, value in entry.items():
            if value.numel() != 1 and value.shape != parameters[number].shape:
                raise ValueError(f"its optimizer's {name} of parameter {number} has the shape {tuple(value.shape)}")
            if not value.isfinite().all() or (name in _NEVER_NEGATIVE and (value < 0).any()):
                raise ValueError(f"its optimizer's {name} of parameter {number} is out of range")


def _as_list(value: Any) -> Any:
    """Files turn tuples into lists."""
    return list(value) if isinstance(value, tuple) else value

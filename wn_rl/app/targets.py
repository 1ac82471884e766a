"""Which classes a configuration may name: looked up as text in a list, before anything is imported.

Importing a module runs it, and ``python -m`` looks for modules in the working folder first, where a stranger's run
folder may lie.
"""

import importlib
import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from wn_rl.errors import ConfigurationError
from wn_rl.runs.configuration_file import TRUSTED

OPTIMIZERS = [
    "wn_rl.learning.optimizers.FusedRAdam",
    *(f"torch.optim.{name}"
      for name, kind in sorted(vars(torch.optim).items())
      if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer),
]  # fmt: skip
LOGGERS = [
    "wn_rl.viewing.tensorboard.RunTensorBoard",
    *(f"lightning.pytorch.loggers.{name}Logger"
      for name in ("Comet", "CSV", "MLFlow", "Neptune", "TensorBoard", "Wandb")),
]  # fmt: skip

_FOLDERS = ("run_dir", "save_dir")
"""What loggers are told of where they write; any other text of a saved run's logger is a word."""
_LABELS = ("tags", "group")
"""What loggers show beside a run; neither a path nor an address to any of them."""


def check_target(key: str, branch: Mapping[str, Any], known: Collection[str]) -> None:
    """Make sure that the settings of a class name one that is known, and nothing within them to be called.

    Raises:
        ConfigurationError: they do not.
    """
    if any(_names_targets(value) for name, value in branch.items() if name != "_target_"):
        raise ConfigurationError(f"{key} has a _target_ within its settings, which would be called; remove it")
    if branch.get("_target_") not in known:
        target = repr(branch.get("_target_"))[:100]
        raise ConfigurationError(f"{key}._target_={target} is none of the known ones: {', '.join(known)}")


def find_target(branch: Mapping[str, Any]) -> Callable[..., Any]:
    """The class that the settings of ``check_target`` name, with the settings as its arguments."""
    module, _, name = branch["_target_"].rpartition(".")
    arguments = {key: value for key, value in branch.items() if key not in ("_target_", "_partial_")}
    return partial(getattr(importlib.import_module(module), name), **arguments)


def check_saved_logger(branch: Mapping[str, Any], folder: Path, *, own_keys: Collection[str]) -> None:
    """Make sure that the logger of a saved run, which may be a stranger's, writes into the run's own folder.

    Args:
        branch: its settings, references followed.
        folder: the run folder.
        own_keys: those that the user gives on the command line; they are not looked at.

    Raises:
        ConfigurationError: it would write elsewhere, or is told more than words and numbers.
    """
    for key, value in branch.items():
        if key in own_keys or key == "_target_" or TRUSTED.get(f"logger.{key}") == value:
            continue
        if key in _FOLDERS and isinstance(value, str):
            is_own = Path(os.path.realpath(value)).is_relative_to(folder.resolve())
        else:
            is_own = _is_word(value) or (key in _LABELS and _are_labels(value))
        if not is_own:
            raise ConfigurationError(
                f"the run's config.yaml says logger.{key[:60]}={value!r:.100}, which leads out of its folder or could;"
                " name a logger of your own, as in logger=tensorboard, or say that key yourself"
            )


def _is_word(value: Any) -> bool:
    is_word = isinstance(value, str) and value not in ("", ".", "..") and not set(value) & set("/\\:")
    return value is None or isinstance(value, bool | int | float) or is_word


def _are_labels(value: Any) -> bool:
    """Whether it is a text, a list of texts, or texts by their names."""
    listed = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return all(isinstance(entry, str | bool | int | float) for entry in listed)


def _names_targets(value: Any) -> bool:
    if isinstance(value, dict):
        return "_target_" in value or any(_names_targets(entry) for entry in value.values())
    return isinstance(value, list) and any(_names_targets(entry) for entry in value)

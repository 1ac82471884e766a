"""Modules of a user's own, imported because the user typed their names: importing runs code; no file may ask for it."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from wn_rl.errors import ConfigurationError


def import_typed(name: str, *, key: str) -> ModuleType:
    """The module of that name, from wherever Python finds modules, and last from the working folder.

    Args:
        name: as in ``package.module``.
        key: the setting that named it, for the error.

    Raises:
        ConfigurationError: there is none, or importing it fails.
    """
    folder = str(Path.cwd())
    if folder not in sys.path and "" not in sys.path:  # as python -m has it, and an installed command does not
        sys.path.append(folder)
    try:
        return importlib.import_module(name)
    except Exception as error:  # a module may raise anything
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"{key}: {name} cannot be imported: {type(error).__name__}: {reason}") from error

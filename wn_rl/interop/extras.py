"""Packages that only some users need: imported where they are used, and told by name where they are missing."""

import importlib
from types import ModuleType

from wn_rl.errors import ConfigurationError


def import_extra(module: str, *, extra: str) -> ModuleType:
    """A module of a package that comes with an extra of pyproject.toml.

    Raises:
        ConfigurationError: it is not installed, and this is how it is.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(
            f'{module} is needed here: {reason}; install it: pip install "wn_rl[{extra}]"'
        ) from error

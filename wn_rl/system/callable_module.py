"""Modules that can be called: ``wn_rl.train`` is what ``python -m wn_rl.train`` runs, and a function."""

import importlib
import sys
from types import ModuleType
from typing import Any


class _CallableModule(ModuleType):
    """Calls a function of another module, which is imported then."""

    _module: str
    _function: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(self._module), self._function)(*args, **kwargs)


def make_callable(name: str, *, calls: str) -> None:
    """Let an imported module be called, as the function ``package.module.function`` that ``calls`` names.

    A package can hold a module and a function of one name only if they are one object: importing the module, which
    anybody may do at any time, would put it in the function's place.
    """
    module = sys.modules[name]
    module.__class__ = _CallableModule
    module.__dict__["_module"], _, module.__dict__["_function"] = calls.rpartition(".")

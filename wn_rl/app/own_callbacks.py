"""Callbacks of a user's own, made of what a command line names; never of what a saved run does."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch.callbacks import Callback

from wn_rl.app.plugins import callback_entries, to_plain
from wn_rl.errors import ConfigurationError
from wn_rl.system.user_modules import import_typed


def make_callbacks(values: Any) -> list[Callback]:
    """The callbacks that a command line names, made.

    Raises:
        ConfigurationError: one is not there, is none of Lightning's, or cannot be made of its arguments.
    """
    callbacks = [_make_callback(**entry) for entry in callback_entries("callbacks", to_plain(values))]
    check_callbacks(callbacks)
    return callbacks


def check_callbacks(callbacks: Sequence[Callback]) -> None:
    """Make sure that a checkpoint can tell them apart. Raises ConfigurationError: two are of one kind."""
    keys = [callback.state_key for callback in callbacks]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ConfigurationError(
            f"callbacks has {twice[0]} twice, and a checkpoint could not tell them apart; leave one out, or give each a"
            " state_key of its own"
        )


def _make_callback(_target_: str, **arguments: Any) -> Callback:
    module, _, name = _target_.rpartition(".")
    kind = getattr(import_typed(module, key="callbacks"), name, None)
    if not isinstance(kind, type) or not issubclass(kind, Callback):
        raise ConfigurationError(
            f"callbacks: {_target_} is no class of Lightning's callbacks; extend wn_rl.RunCallback, or Lightning's own"
        )
    try:
        return kind(**arguments)
    except Exception as error:  # a class may raise anything
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"callbacks: {_target_} cannot be made: {type(error).__name__}: {reason}") from error

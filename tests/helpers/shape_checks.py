"""What checks jaxtyping's annotations in the tests: beartype, where an int is a float as PEP 484 says.

A check costs more than most of the calls that it checks, so that in each test only the first calls of a function are
checked.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

NUM_CHECKED_CALLS = 20
"""Of each function in each test."""

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
_jaxtyped = jaxtyping.jaxtyped
_num_tests = 0


def begin_test() -> None:
    """Check first calls anew."""
    global _num_tests
    _num_tests += 1


def _check_first_calls(typechecker: Callable[..., Any]) -> Callable[..., Any]:
    """What the hook decorates with, in the place of ``jaxtyping.jaxtyped``; classes are left to that."""

    def decorate(decorated: Any) -> Any:
        if not inspect.isfunction(decorated):
            return _jaxtyped(decorated, typechecker=typechecker)
        checked: Callable[..., Any] | None = None
        counted_test, num_calls = -1, 0

        @functools.wraps(decorated)
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal checked, counted_test, num_calls
            if counted_test != _num_tests:
                counted_test, num_calls = _num_tests, 0
            num_calls += 1
            if num_calls > NUM_CHECKED_CALLS:
                return decorated(*args, **kwargs)
            if checked is None:  # made here, since making checks of all functions is a quarter of importing them
                checked = _jaxtyped(decorated, typechecker=typechecker)
            return checked(*args, **kwargs)

        return call

    return decorate


def install() -> None:
    """Check what is imported from ``wn_rl`` from now on."""
    jaxtyping.jaxtyped = lambda *, typechecker: _check_first_calls(typechecker)
    jaxtyping.install_import_hook("wn_rl", f"{__name__}.check")

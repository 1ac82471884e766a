"""The examples in the library's docstrings are true."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import wn_rl.nn

MODULES = [module.name for module in pkgutil.iter_modules(wn_rl.nn.__path__, "wn_rl.nn.")]
SHOWN = [  # what a reader of wn_rl.nn begins with
    "cached_weights", "compute_weight", "fold_", "initialize_from_data", "make_folded", "make_normalizer",
    "make_parameter_groups", "plain", "to_torch_parametrization", "weight_normalize",
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", SHOWN)
def test_a_function_of_the_library_has_an_example(name: str) -> None:
    assert ">>> " in (inspect.getdoc(getattr(wn_rl.nn, name)) or "")

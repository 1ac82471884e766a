"""Every name that a function uses is there: annotations of shapes keep linters from saying so."""

import builtins
import dis
import importlib
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "wn_rl").rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)


def list_global_names(code: types.CodeType) -> Iterator[str]:
    """What is looked up beside a function's own variables, in it and in all within it."""
    yield from (step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from list_global_names(constant)


@pytest.mark.parametrize("name", MODULES)
def test_no_function_uses_a_name_that_its_module_lacks(name: str) -> None:
    module = importlib.import_module(name)
    source = Path(module.__file__ or "").read_text(encoding="utf-8")
    missing = set(list_global_names(compile(source, name, "exec"))) - vars(module).keys() - vars(builtins).keys()
    assert not missing

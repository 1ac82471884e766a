"""The bugs that scripts/checks/plant_bugs.py plants: can each still be planted, where the code has moved on?

And one bug of tests themselves: an assertion that is always true.
"""

import ast
import importlib
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import tests.planted

ROOT = Path(__file__).resolve().parents[2]
PLANTED: list[dict[str, Any]] = [
    {"room": module.name, **entry}
    for module in pkgutil.iter_modules(tests.planted.__path__)
    for entry in importlib.import_module(f"tests.planted.{module.name}").PLANTED
]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: f"{plant['room']}-{plant['number']}-{plant['file']}")
def test_every_bug_changes_one_place_and_names_a_test_that_is_there(plant: dict[str, Any]) -> None:
    assert (ROOT / plant["file"]).read_text().count(plant["old"]) == 1
    assert plant["new"] != plant["old"]
    path, _, name = plant["test"].partition("::")
    assert not name or f"def {name.partition('[')[0]}(" in (ROOT / path).read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.stem)
def test_no_assertion_is_of_a_tuple_which_is_always_true(path: Path) -> None:
    assertions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]
    assert [node.lineno for node in assertions if isinstance(node.test, ast.Tuple)] == []

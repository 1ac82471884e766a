"""Imports go down only: a room knows the rooms below it, and never its siblings; no module needs itself."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "wn_rl"

LEVELS: list[set[str]] = [
    {"errors", "types"},
    {"system"},
    {"nn", "losses", "envs", "replay"},
    {"networks", "acting"},
    {"learning", "runs"},
    {"viewing", "interop"},
    {"algorithms"},
    {"callbacks"},
    {"app"},
    {"train", "evaluate", "watch", "study", "paper", "export"},
    {"__main__"},
]
"""The house, from the ground up; ``scripts/checks/list_rooms.py`` makes CONTRIBUTING.md's table of it."""

LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def find_room(module: str) -> str:
    """``wn_rl.nn.folding`` lies in ``nn``; ``wn_rl`` itself in no room."""
    return module.split(".")[1] if "." in module else ""


def find_imports(path: Path) -> set[str]:
    """The modules of the package that a file imports, also those that it imports within a function."""
    imports = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            imports |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in imports if name.startswith("wn_rl.")}


def find_violations(path: Path) -> list[str]:
    relative = path.relative_to(PACKAGE)
    room = relative.parts[0].removesuffix(".py")
    violations = []
    for imported in find_imports(path):
        other = find_room(imported)
        if other in LEVEL_OF and other != room and LEVEL_OF[other] >= LEVEL_OF[room]:
            violations.append(f"{relative} imports {imported}, which is not below it")
    return violations


def find_circle(modules: dict[str, set[str]]) -> list[str]:
    """Modules that need each other in a circle; empty where there is none."""
    try:
        TopologicalSorter(modules).prepare()
    except CycleError as error:
        return error.args[1]
    return []


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


def test_every_file_lies_in_a_known_room() -> None:
    assert len(FILES) > 20
    unknown = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES} - set(LEVEL_OF)
    assert not unknown


def test_every_room_says_in_a_sentence_what_it_is() -> None:
    for folder in {path.parent for path in FILES if path.parent != PACKAGE}:
        docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
        assert re.fullmatch(r"[A-Z].+\.", docstring or ""), folder


def test_no_file_name_stands_for_two_things() -> None:
    names = sorted(path.name for path in FILES if path.name not in ("__init__.py", "__main__.py"))
    assert sorted(set(names)) == names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    assert find_violations(path) == []


def test_no_module_needs_itself() -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}
    assert find_circle({name: find_imports(path) & names.keys() for name, path in names.items()}) == []
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_an_upward_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "replay"
    room.mkdir()
    (room / "bad.py").write_text("from wn_rl.algorithms.dqn import DQN\nfrom wn_rl.nn.folding import fold_\n")
    monkeypatch.setattr("tests.test_layering.PACKAGE", tmp_path)
    assert len({violation.split()[2].split(".")[1] for violation in find_violations(room / "bad.py")}) == 2


def test_pages_are_read_without_pytorch() -> None:
    command = (
        "import sys, wn_rl.viewing.pages.gallery, wn_rl.viewing.pages.server\n"
        "print([name for name in ('torch', 'lightning', 'ale_py', 'cv2', 'numpy') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout
    assert loaded == "[]\n"


@pytest.mark.parametrize("name", ["train", "evaluate", "watch", "study", "export"])
def test_commands_are_one_screen_each(name: str) -> None:
    assert len((PACKAGE / f"{name}.py").read_text().splitlines()) <= 60


def test_build_alone_instantiates_what_a_configuration_names() -> None:
    users = [path.name for path in FILES if re.search("find_target|hydra.utils", path.read_text())]
    assert set(users) == {"build.py", "targets.py"}


def test_the_weight_library_knows_no_reinforcement_learning() -> None:
    words = re.compile(r"\b(frames?|pixels?|q[-_]\w+|rewards?|replay|observations?|actions?|agents?)\b", re.IGNORECASE)
    files = [path for path in FILES if path.parent == PACKAGE / "nn"]
    assert len(files) > 8
    assert [(path.name, word) for path in files for word in words.findall(path.read_text())] == []


def test_the_papers_networks_are_made_of_the_weight_library_alone() -> None:
    users = {path.name for path in FILES if path.parent == PACKAGE / "paper" and _imports_of_the_house(path)}
    assert users <= {"__main__.py", "experiment_run.py", "experiment_page.py", "epoch_end.py"}


def _imports_of_the_house(path: Path) -> set[str]:
    return {find_room(name) for name in find_imports(path)} - {"errors", "system", "nn", "paper"}


def test_programs_import_each_other_by_their_full_names() -> None:
    paths = [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    users = {str(path.relative_to(ROOT)) for path in paths if "sys.path." in path.read_text()}
    assert users <= {"tests/test_layering.py"}

"""Imports go down only: a room knows the rooms below it, and never its siblings."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "wn_rl"

LEVELS: list[set[str]] = [
    {"errors"},
    {"files", "types", "schedules", "scores", "status", "provenance", "processor", "terminals", "threads"},
    {"checkpoint_files", "failures"},
    {"envs", "nn", "losses", "replay", "settings", "metrics", "pages"},
    {"acting", "folded_network"},
    {"minibatch_parts"},
    {"batch_loss"},
    {"dqn"},
    {"callbacks"},
    {"configuration_checks"},
    {"configuration"},
    {"build", "run_folder", "saved_run"},
    {"run", "play"},
    {"showing", "browsing"},
    {"live"},
    {"command_line"},
    {"train", "evaluate", "watch"},
]
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def find_room(module: str) -> str:
    """``wn_rl.nn.folding`` lies in ``nn``; ``wn_rl`` itself in no room."""
    return module.split(".")[1] if "." in module else ""


def find_imports(path: Path) -> set[str]:
    imports = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "wn_rl" else {node.module}
            imports |= names
    return {name for name in imports if name.split(".")[0] == "wn_rl"}


def find_violations(path: Path) -> list[str]:
    relative = path.relative_to(PACKAGE)
    room = relative.parts[0].removesuffix(".py")
    violations = []
    for imported in find_imports(path):
        other = find_room(imported)
        if other != room and LEVEL_OF[other] >= LEVEL_OF[room]:
            violations.append(f"{relative} imports {imported}, which is not below it")
    return violations


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


def test_every_file_lies_in_a_known_room() -> None:
    assert len(FILES) > 20
    unknown = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES} - set(LEVEL_OF)
    assert not unknown


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    assert find_violations(path) == []


def test_an_upward_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "replay"
    room.mkdir()
    (room / "bad.py").write_text("from wn_rl.dqn import DQN\nfrom wn_rl.nn.folding import fold_\n")
    monkeypatch.setattr("tests.test_layering.PACKAGE", tmp_path)
    assert len(find_violations(room / "bad.py")) == 2


def test_pages_read_files_alone_and_only_commands_and_one_callback_make_them() -> None:
    users = {
        str(path.relative_to(PACKAGE)) for path in FILES
        if "pages" in {find_room(name) for name in find_imports(path)} and path.relative_to(PACKAGE).parts[0] != "pages"
    }  # fmt: skip
    assert users == {"browsing.py", "callbacks/run_page.py"}
    command = (
        "import sys, wn_rl.pages.gallery, wn_rl.pages.server\n"
        "print([name for name in ('torch', 'lightning', 'ale_py', 'cv2', 'numpy') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout
    assert loaded == "[]\n"


@pytest.mark.parametrize(("name", "most"), [("dqn", 150), ("train", 60), ("evaluate", 60), ("watch", 60)])
def test_the_files_that_a_newcomer_reads_stay_short(name: str, most: int) -> None:
    assert len((PACKAGE / f"{name}.py").read_text().splitlines()) <= most


def test_build_alone_instantiates_what_a_configuration_names() -> None:
    users = [path.name for path in FILES if "hydra.utils" in path.read_text()]
    assert set(users) <= {"build.py"}

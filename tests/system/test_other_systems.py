"""What is needed where: the weight library without games, files without POSIX, commands without their packages."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from wn_rl.system import missing_packages
from wn_rl.system.files import append_line, read_limited

ROOT = Path(__file__).resolve().parents[2]
LIBRARY_NEEDS = {"torch", "numpy", "jaxtyping", "numba"}
"""What docs/how_to/install.md tells users of wn_rl.nn alone to install."""
IMPORTED_AS = {
    "opencv-python-headless": "cv2", "hydra-core": "hydra", "pillow": "PIL", "pyyaml": "yaml", "ale-py": "ale_py",
}  # fmt: skip
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}

WITHOUT_THE_REST = """
import json, sys, time

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(name, name=name)

import torch
sys.meta_path.insert(0, Missing())
begin = time.process_time()
import wn_rl.nn
seconds = time.process_time() - begin
rooms = {name.split(".")[1] for name in sys.modules if name.startswith("wn_rl.")}
has_numba = "numba" in sys.modules
exec(EXAMPLE, {})
print(json.dumps({"seconds": seconds, "rooms": sorted(rooms), "has_numba": has_numba}))
"""


def list_dependencies() -> set[str]:
    """The modules of all that pyproject.toml declares as needed."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.split(r"[\[<>=~! ]", entry)[0] for entry in declared]
    return {IMPORTED_AS.get(name, name) for name in names}


def test_the_weight_library_needs_four_packages_and_is_imported_within_half_a_second() -> None:
    blocked = list_dependencies() - LIBRARY_NEEDS - {"filelock", "jinja2"}  # which PyTorch needs
    assert {"gymnasium", "ale_py", "hydra", "lightning", "cv2"} <= blocked
    example = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "nn.md").read_text(), re.DOTALL)[0]
    code = f"BLOCKED = {blocked!r}\nEXAMPLE = {example!r}\n{WITHOUT_THE_REST}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "1"}
    told = json.loads(
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True).stdout
    )
    assert set(told["rooms"]) <= {"errors", "nn", "system", "types"}
    assert not told["has_numba"]  # before anything is compiled
    assert told["seconds"] < 0.5


def list_imports(nodes: list[ast.stmt]) -> Iterator[str]:
    """What is imported when a module is, wherever it runs; what stands under a condition is left out."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", sorted((ROOT / "wn_rl").rglob("*.py")), ids=lambda path: path.stem)
def test_no_module_imports_what_windows_lacks(path: Path) -> None:
    """What it lacks of ``os`` and ``signal`` is told by ``mypy --platform win32``."""
    assert not POSIX_MODULES & {name.partition(".")[0] for name in list_imports(ast.parse(path.read_text()).body)}


def test_lines_are_appended_and_files_read_where_there_is_no_pread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pread")
    for line in (b"one\n", b"hal", b"two\r\n\x1a\n"):
        append_line(tmp_path / "rows", line)
    assert read_limited(tmp_path / "rows", 100) == b"one\nhal\ntwo\r\n\x1a\n"


def test_a_missing_package_is_named_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    error = ModuleNotFoundError("No module named 'hydra.core'", name="hydra.core")
    missing_packages._explain(ModuleNotFoundError, error, None)
    told = capsys.readouterr().err
    assert told.startswith("error: the Python package hydra is missing")
    assert len(told.splitlines()) == 1


def test_of_what_the_weight_library_needs_nobody_is_told_that_it_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    for name in LIBRARY_NEEDS:
        missing_packages._explain(ModuleNotFoundError, ModuleNotFoundError(name, name=name), None)
        told = capsys.readouterr().err
        assert name in told
        assert "wn_rl.nn" not in told


def test_a_fault_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (ValueError("x"), ModuleNotFoundError("No module named 'wn_rl.typo'", name="wn_rl.typo")):
        missing_packages._explain(type(error), error, None)
        assert f"{type(error).__name__}: {error}" in capsys.readouterr().err

"""The fuzzer of files sees what it is to see."""

import contextlib
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.checks import fuzz_files
from scripts.checks.forged_files import Case, make_agent_case, make_evaluation_case
from scripts.checks.fuzz_files import SECRET, Watch, attack, judge
from wn_rl.errors import ConfigurationError


def refuse(message: str) -> str:
    raise ConfigurationError(message)


def index_by_text(tensor: Any) -> None:
    with contextlib.suppress(IndexError):
        tensor["agent"]


def wait() -> str:
    ends = time.process_time() + 0.02
    while time.process_time() < ends:
        pass
    return ""


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    return Watch(tmp_path_factory.getbasetemp() / "watched")


FAULTS: dict[str, Callable[[], object]] = {
    "ZeroDivisionError in ": lambda: 1 // 0,
    "warns: look": lambda: warnings.warn("look", stacklevel=1),
    "warns: Using a non-tuple": lambda: index_by_text(torch.zeros(3)),  # where an error instead would be lost
    "a secret is shown": lambda: f"a page with {SECRET}",
    "a secret in a message": lambda: refuse(f"it says {SECRET}"),
    "outside the folder: open": lambda: open("/nowhere/file", "w"),  # noqa: SIM115, PTH123
    "outside the folder: subprocess": lambda: subprocess.Popen([sys.executable + "-none"]),
    "it takes 0 s": wait,
}


@pytest.mark.parametrize("told", FAULTS)
def test_what_must_not_be_is_noticed(told: str, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_files, "MAX_SECONDS", 0.01 if "takes" in told else 60.0)

    def read() -> str:
        try:
            return str(FAULTS[told]() or "")
        except OSError:
            return ""

    problem = judge(read, watch)
    assert problem is not None
    assert told in problem


def test_what_is_refused_in_a_line_is_right(watch: Watch) -> None:
    assert judge(lambda: refuse("no such agent; name another"), watch) is None


@pytest.mark.parametrize("make_case", [make_evaluation_case, make_agent_case])
def test_files_that_a_grammar_makes_are_taken_or_refused(make_case: Callable[[Path], Case], watch: Watch) -> None:
    assert attack(make_case(Path(watch.folder)), 5, watch) == {}

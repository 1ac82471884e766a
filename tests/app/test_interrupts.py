"""Ctrl-C and faults that nobody foresaw, at any moment of a command: one line, and the exit status that says which."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig

from tests.helpers.killed_runs import make_run
from wn_rl.app.command_line import run_command
from wn_rl.app.resume import find_checkpoint
from wn_rl.runs.layout import LAST_CHECKPOINT

INTERRUPT_AT_IMPORT = """
import importlib.abc, os, runpy, signal, sys

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

command, module, *words = sys.argv[1:]
sys.meta_path.insert(0, Interrupt())
sys.argv[1:] = words
runpy.run_module(command, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("command", "module", "word"),
    [("train", "hydra", "game=Pong"), ("evaluate", "torch", "agent=x"), ("watch", "hydra", "run=x")],
)
def test_ctrl_c_while_a_command_loads_is_one_line(command: str, module: str, word: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPT_AT_IMPORT, f"wn_rl.{command}", module, word],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "stopped by Ctrl-C; what was not finished is not kept\n"
    assert list(tmp_path.iterdir()) == []


def end(function: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    """Exit status and stderr of a command that does this."""
    monkeypatch.setattr(sys, "argv", ["evaluate", "agent=x"])
    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as ended:
            run_command("evaluate", function)
    finally:
        signal.signal(signal.SIGINT, handler)
    return ended.value.code, capfd.readouterr().err


def test_ctrl_c_at_work_is_one_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def interrupt(config: DictConfig) -> None:
        raise KeyboardInterrupt

    told = "stopped by Ctrl-C; what was not finished is not kept\n"
    assert end(interrupt, monkeypatch, capfd) == (130, told)


def test_a_fault_of_the_program_is_one_line_and_a_file_with_the_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(config: DictConfig) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    status, told = end(fail, monkeypatch, capfd)
    (path,) = tmp_path.iterdir()
    assert status == 1
    assert told == (
        f"error: ZeroDivisionError: by zero; this is a fault of wn_rl, please report it with the traceback in {path}\n"
    )
    assert 'raise ZeroDivisionError("by\\nzero")' in path.read_text()


class Interrupt(Callback):
    """Ctrl-C, several times, when a chunk ends, or as training is about to begin."""

    def __init__(self, num_times: int, *, at_once: bool = False) -> None:
        self._num_times, self._at_once = num_times, at_once

    def setup(self, *args: Any, **kwargs: Any) -> None:
        if self._at_once:
            raise KeyboardInterrupt

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        while self._num_times:
            self._num_times -= 1
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_in_training_says_what_happens_and_quick_ones_are_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = make_run(tmp_path, callbacks=[Interrupt(3)])
    try:
        assert not made.train()
    except KeyboardInterrupt:  # which would end the tests
        pytest.fail("the second one ended it at once")
    told = capfd.readouterr()
    assert told.err.startswith(
        "stopping: what is under way is finished, then a checkpoint is written; Ctrl-C once more"
    )
    assert len(told.err.splitlines()) == 1
    assert "a checkpoint is written. Go on with:" in told.out
    assert (tmp_path / LAST_CHECKPOINT).exists()


def test_ctrl_c_between_loading_and_training_says_how_to_go_on(tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    made = make_run(tmp_path, callbacks=[Interrupt(0, at_once=True)])
    with pytest.raises(KeyboardInterrupt, match="go on with: "):
        made.train()
    signal.signal(signal.SIGINT, handler)
    assert find_checkpoint(tmp_path, made.algorithm) is None

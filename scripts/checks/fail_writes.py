"""Lets every write, fsync, rename, unlink, mkdir and open below the folder of a small run fail, one a run.

    python -m scripts.checks.fail_writes              every one of them, with each error in turn
    python -m scripts.checks.fail_writes 10           every tenth

Each case is a whole run of ``python -m wn_rl.train``, from the command line on, whose disk fails once: it must end
well, or in one line with exit status 2. Then the same run with a disk that is well must end bit for bit as the one that
was never disturbed. Calls are counted in C, below Python and FFmpeg (failing_disk.c, compiled with gcc). Exit status 1
if a case fails.
"""

import contextlib
import ctypes
import errno
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tests.helpers.killed_runs import assert_equal
from wn_rl.app import training  # noqa: F401 - loaded once, and not by every case
from wn_rl.app.command_line import run_command
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.runs.provenance import describe_provenance
from wn_rl.train import main as train

SOURCE = Path(__file__).with_name("failing_disk.c")
KINDS = ("open", "write", "fsync", "rename", "unlink", "mkdir")  # in the order of failing_disk.c
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
MAX_SECONDS = 600  # of a run, on a machine that does other things too
RUN = [
    "preset=cartpole", "progress=false", "logger=tensorboard", "total_agent_steps=160", "iteration_agent_steps=80",
    "chunk_agent_steps=40", "warmup_agent_steps=32", "num_envs=4", "network.hidden_units=8", "batch_size=8",
    "samples_per_agent_step=1", "replay.capacity=120", "evaluation.episodes=1", "evaluation.num_envs=1",
    "initialization_batch_size=16", "accelerator=cpu", "num_threads=1", "num_env_threads=1", "minibatch_parts=1",
    "target_period_updates=20", "weight_statistics.period_agent_steps=0", "video.period_iterations=1",
    "video.max_seconds=1", "video.scale=1", "checkpoint.keep_last=1", "checkpoint.keep_best=0",
]  # fmt: skip


class Fault(NamedTuple):
    """The ``number``-th call of a kind fails with an error; a short write is cut, and the disk is full after it."""

    kind: str
    number: int
    error: int
    is_short: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.number} {'short' if self.is_short else errno.errorcode[self.error]}"


def run_in_fork(function: Callable[[], Any], output: Path) -> int:
    """Exit status of a function in a process of its own, whose output goes to a file; -9 if it takes too long."""
    child = os.fork()
    if child == 0:
        os.setsid()
        log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = 70
        with contextlib.suppress(BaseException):
            try:
                function()
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 71
            except BaseException:
                sys.excepthook(*sys.exc_info())
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    return wait(child)


def wait(child: int) -> int:
    ends = time.monotonic() + MAX_SECONDS
    while time.monotonic() < ends:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGKILL


def run_training(words: list[str], output: Path, *, folder: Path, fault: Fault | None, counts: Path | None) -> int:
    """``python -m wn_rl.train`` with these words, on a disk with a fault, or one that only counts."""

    def command() -> None:
        sys.argv = ["train", *words]
        disk = ctypes.CDLL(None)
        kind = -1 if fault is None else KINDS.index(fault.kind)
        number, error, is_short = (0, 0, False) if fault is None else fault[1:]
        disk.arm(os.fsencode(folder), kind, ctypes.c_long(number), error, int(is_short))
        try:
            run_command("train", train)
        finally:
            if counts is not None:
                found = {name: disk.count(kind) for kind, name in enumerate(KINDS)}
                counts.write_text(json.dumps({"calls": found, "modules": sorted(sys.modules)}))

    return run_in_fork(command, output)


def describe(folder: Path) -> dict[str, Any]:
    """What must be the same, whatever happened: all but clocks, TensorBoard's events and the traceback."""
    state = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    header, *rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    clocks = {number for number, name in enumerate(header) if name.startswith("speed/")}
    left_out = ("error.log", "provenance.json", "index.html", "last.ckpt", "metrics.csv", ".lock")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "tensorboard" not in path.parts]
    return {
        "checkpoint": state,
        "metrics": [[value for place, value in enumerate(row) if place not in clocks] for row in [header, *rows]],
        "files": {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name not in left_out},
    }


class Attack:
    """One folder in which every case is tried: what a run writes names it."""

    def __init__(self, work: Path) -> None:
        self._work, self._folder, self._output = work, work / "here" / "run", work / "output.txt"
        self._folder.parent.mkdir()
        os.chdir(self._folder.parent)
        self._expected = work / "expected"
        describe_provenance()  # whatever is committed meanwhile, all cases have the same commit

    def count_calls(self) -> dict[str, int]:
        """Of each kind, in a run without a fault, which is kept to be compared with."""
        words = [*RUN, f"run_dir={self._folder}"]
        counts = self._work / "counts"
        status = run_training(words, self._output, folder=self._folder, fault=None, counts=counts)
        if status != 0:
            raise SystemExit(f"the run without a fault ends with {status}: {self._output.read_text()[-2000:]}")
        torch.save(describe(self._folder), self._expected)
        found = json.loads(counts.read_text())
        for name in found["modules"]:  # once, and not in every case
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        return dict(found["calls"])

    def try_fault(self, fault: Fault) -> str | None:
        """What is wrong with the way in which a run with this fault ends, or with its resumption; None: nothing."""
        shutil.rmtree(self._folder, ignore_errors=True)
        words = [*RUN, f"run_dir={self._folder}"]
        status = run_training(words, self._output, folder=self._folder, fault=fault, counts=None)
        if problem := self._judge(status, {0, 2}):
            return problem
        if [path.name for path in self._folder.parent.iterdir()] not in ([], ["run"]):
            return f"beside the run folder there is {sorted(self._folder.parent.iterdir())}"
        if (self._folder / "config.yaml").exists():
            words = [f"resume={self._folder}"]
        elif self._folder.exists():
            shutil.rmtree(self._folder)
        status = run_training(words, self._output, folder=self._folder, fault=None, counts=None)
        return self._judge(status, {0}) or self._compare()

    def _judge(self, status: int, good: set[int]) -> str | None:
        told = self._output.read_text()
        if status not in good or "Traceback" in told or (status and told.splitlines()[-1][:7] != "error: "):
            return f"exit status {status}: {told[-1500:]}"
        return None

    def _compare(self) -> str | None:
        def compare() -> None:
            expected = torch.load(self._expected, weights_only=False)  # what this program wrote
            assert_equal(describe(self._folder), expected)

        status = run_in_fork(compare, self._output)
        return f"it ends otherwise: {self._output.read_text()[-600:]}" if status else None


def list_faults(counts: dict[str, int]) -> Iterator[Fault]:
    """Every call fails once; the errors take turns. Every write is cut once besides."""
    for kind, num_calls in counts.items():
        for number in range(1, num_calls + 1):
            yield Fault(kind, number, ERRORS[number % len(ERRORS)])
            if kind == "write":
                yield Fault(kind, number, errno.ENOSPC, is_short=True)


def attack(every: int) -> int:
    with tempfile.TemporaryDirectory() as name:
        attacked = Attack(Path(name))
        counts = attacked.count_calls()
        print(", ".join(f"{count} {kind}" for kind, count in counts.items()), flush=True)
        faults = list(list_faults(counts))[::every]
        failed = 0
        for number, fault in enumerate(faults):
            problem = attacked.try_fault(fault)
            if problem is not None:
                failed += 1
                print(f"--- {fault} ({number + 1} of {len(faults)}): {problem}", flush=True)
    print(f"{len(faults)} faults tried, {failed} ended otherwise than they must", flush=True)
    return min(failed, 1)


def preload() -> None:
    """Start this program again with the disk that fails below it."""
    library = Path(tempfile.mkdtemp()) / "failing_disk.so"  # removed as soon as it is loaded
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    os.environ.update(LD_PRELOAD=str(library), OMP_NUM_THREADS="1")
    os.execv(sys.executable, [sys.executable, "-m", "scripts.checks.fail_writes", *sys.argv[1:]])


if __name__ == "__main__":
    if "failing_disk" not in os.environ.get("LD_PRELOAD", ""):
        preload()
    shutil.rmtree(Path(os.environ.pop("LD_PRELOAD")).parent)
    sys.exit(attack(int(sys.argv[1]) if len(sys.argv) > 1 else 1))

"""Runs that Hydra's launchers start in other processes: on a Ray cluster, and in jobs as submitit hands them over."""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.test_sweeps import TINY
from wn_rl.runs.layout import LOCK_FILE

LONG = [*(word for word in TINY if not word.startswith(("total_agent_steps", "progress"))), "total_agent_steps=1200"]
SECONDS = 550.0


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "RAY_AUTH_MODE": "disabled"}


def is_missing(*packages: str) -> bool:
    return any(importlib.util.find_spec(package) is None for package in packages)


def start(here: Path, environment: dict[str, str], *words: str) -> "subprocess.Popen[str]":
    """The command, in a folder."""
    line = [sys.executable, "-m", "wn_rl.train", "-m", "sweep=mine", *words, *LONG]
    return subprocess.Popen(
        line, cwd=here, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )  # fmt: skip


def send_to_trainer(run: Path, number: signal.Signals) -> None:
    """Send a signal to the process that trains in a folder, once it has written its first checkpoint."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if (run / "checkpoints" / "last.ckpt").exists():
            os.kill(find_owner(run / LOCK_FILE), number)
            return
        time.sleep(0.02)
    pytest.fail(f"{run} has no checkpoint")


def find_owner(path: Path) -> int:
    """The process that has a file open."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == path:
                return int(link.parts[2])
        except OSError:
            continue
    raise AssertionError(f"nobody has {path}")


@pytest.mark.slow
@pytest.mark.skipif(is_missing("submitit", "hydra_plugins.hydra_submitit_launcher"), reason="needs .[slurm]")
def test_a_job_that_slurm_preempts_writes_a_checkpoint_and_the_next_goes_on(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """submitit asks for the job again from its handler of USR2; its local executor then starts it, in Slurm's place."""
    command = start(tmp_path, environment, "hydra/launcher=submitit_local", "seed=0,1")
    send_to_trainer(tmp_path / "mine" / "seed=0", signal.SIGUSR2)
    output, _ = command.communicate(timeout=SECONDS)
    assert command.returncode == 0, output
    states = [line.split()[:2] for line in output.splitlines() if line.startswith("seed=")]
    assert states == [["seed=0", "finished"], ["seed=1", "finished"]]
    assert "each job writes to" in output
    logs = [path.read_text() for path in (tmp_path / "mine" / ".submitit").glob("*/*_log.out")]
    (preempted,) = [log for log in logs if "[seed=0] stopped after" in log]
    assert "Requeued job" in preempted
    assert preempted.index("[seed=0] stopped after") < preempted.index("[seed=0] done: 1,200 agent steps")
    assert all("[seed=1] done:" in log for log in logs if log is not preempted)


@pytest.fixture
def cluster(tmp_path: Path, environment: dict[str, str]) -> Iterator[str]:
    """A Ray cluster of one node, started in a folder where nobody types anything; its address."""
    folder = tmp_path / "node"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}", "--num-cpus=2",
        "--include-dashboard=false", "--disable-usage-stats",
    ]  # fmt: skip
    log = (tmp_path / "ray.log").open("w")
    with log, subprocess.Popen(line, cwd=folder, env=environment, stdout=log, stderr=log) as node:
        try:
            end = time.monotonic() + SECONDS
            while (found := re.search(r"--address='([^']+)'", (tmp_path / "ray.log").read_text())) is None:
                assert node.poll() is None, (tmp_path / "ray.log").read_text()
                assert time.monotonic() < end
                time.sleep(0.2)
            yield found[1]
        finally:
            node.terminate()
            node.wait()


@pytest.mark.slow
@pytest.mark.skipif(is_missing("ray", "hydra_plugins.hydra_ray_launcher"), reason="needs .[ray]")
def test_runs_on_a_ray_cluster_lie_where_the_user_typed_and_one_that_is_killed_goes_on(
    cluster: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    words = ["hydra/launcher=ray", f"hydra.launcher.ray.init.address={cluster}"]
    command = start(here, environment, *words, "seed=0,1")
    send_to_trainer(here / "mine" / "seed=0", signal.SIGKILL)
    output, _ = command.communicate(timeout=SECONDS)
    assert command.returncode == 0, output
    states = [line.split()[:2] for line in output.splitlines() if line.startswith("seed=")]
    assert states == [["seed=0", "finished"], ["seed=1", "finished"]]
    assert "[seed=0] iteration 1/20" in output
    assert "[seed=0] done: 1,200 agent steps" in output
    assert "[seed=1] done: 1,200 agent steps" in output
    assert list((tmp_path / "node").iterdir()) == []

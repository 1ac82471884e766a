"""How many processors are counted; and that memory that an update frees serves the next one."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from wn_rl.system.cpu import count_cores

MEASURE = """
import resource
import torch
from wn_rl.networks.q_network import make_q_network
from wn_rl.system.cpu import use_processor
from wn_rl.envs.atari import OBSERVATION
use_processor({num_threads})
network = make_q_network(
    torso="nature", head="linear", normalizer="none", num_actions=6, stack_size=4, observation=OBSERVATION,
    hidden_units=512, generator=None,
)
frames = torch.zeros(128, 4, 84, 84, dtype=torch.uint8)
def update():
    network.zero_grad()
    network(frames).q_values.sum().backward()
for _ in range(3):
    update()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    update()
print(torch.get_num_threads(), (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 2)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_updates_do_not_ask_the_system_for_memory_again_and_again() -> None:
    """Without that it asks for 8,000 pages, with it for a few."""
    command = [sys.executable, "-c", MEASURE.format(num_threads=1)]
    num_threads, new_pages = map(int, subprocess.check_output(command, text=True).split())
    assert num_threads == 1
    assert new_pages < 1000


GROUP = "sys/fs/cgroup/user.slice"
VERSION_1 = "sys/fs/cgroup/cpu"


@pytest.mark.parametrize(
    ("variables", "files", "expected"),
    [
        ({}, {}, 8),
        ({"OMP_NUM_THREADS": "3"}, {}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, {}, 4),
        ({"OMP_NUM_THREADS": "16"}, {}, 8),
        ({"OMP_NUM_THREADS": "many"}, {}, 8),
        ({"OMP_NUM_THREADS": "0"}, {}, 8),
        ({"SLURM_CPUS_PER_TASK": "2", "OMP_NUM_THREADS": "3"}, {}, 2),
        ({}, {"proc/self/cgroup": "0::/user.slice/job\n", f"{GROUP}/cpu.max": "250000 100000\n"}, 2),
        ({}, {"proc/self/cgroup": "0::/user.slice/job\n", f"{GROUP}/job/cpu.max": "50000 100000\n"}, 1),
        ({}, {"proc/self/cgroup": "0::/user.slice\n", f"{GROUP}/cpu.max": "max 100000\n"}, 8),
        (
            {},
            {"proc/self/cgroup": "4:cpu,cpuacct:/docker/ab\n", f"{VERSION_1}/cpu.cfs_quota_us": "300000\n",
             f"{VERSION_1}/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        (
            {},
            {"proc/self/cgroup": "4:cpu,cpuacct:/\n", f"{VERSION_1}/cpu.cfs_quota_us": "-1\n",
             f"{VERSION_1}/cpu.cfs_period_us": "100000\n"},
            8,
        ),
    ],
)  # fmt: skip
def test_processors_are_counted_as_a_container_or_the_user_limits_them(
    variables: dict[str, str], files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert count_cores(root=tmp_path) == expected


FREE = """
import pathlib, time
import torch
from wn_rl.system import cpu

def measure():  # resident megabytes
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

cpu.use_processor(1)
freed = cpu.FreedMemory()
del [torch.ones(2**18) for _ in range(300)][:]  # a megabyte each
held = measure()
freed.give_back()
print(round(held - measure()))
cpu.time = type("Clock", (), {"monotonic": staticmethod(lambda now=time.monotonic(): now + 60)})
freed.give_back()
print(round(held - measure()))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other memory managers give back by themselves")
def test_freed_memory_goes_back_once_a_minute() -> None:
    told = subprocess.run([sys.executable, "-c", FREE], capture_output=True, text=True, timeout=60, check=True).stdout
    at_once, after_a_minute = map(int, told.split())
    assert at_once < 30
    assert after_a_minute > 250

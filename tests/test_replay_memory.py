"""What a replay costs, and that one which does not fit is refused before anything is allocated."""

import os
from pathlib import Path

import pytest

from tests.replay_oracle import CPU
from wn_rl.errors import ConfigurationError
from wn_rl.replay.memory import compute_free_bytes
from wn_rl.replay.replay import Replay
from wn_rl.replay.samplers import UniformSampler
from wn_rl.replay.storage import RamFrameStorage


def make_atari_replay(capacity: int) -> Replay:
    return Replay(
        capacity=capacity,
        num_lanes=8,
        frame_shape=(84, 84),
        stack_size=4,
        n_step=1,
        gamma=0.99,
        reward_clip=1.0,
        life_loss_ends_discount=False,
        storage=RamFrameStorage(device=CPU),
        sampler=UniformSampler(),
        device=CPU,
    )


def test_an_agent_step_takes_its_frame_and_less_than_60_bytes() -> None:
    replay = make_atari_replay(80_000)
    replay.allocate()
    column_bytes = sum(column.nbytes for column in replay.state_dict()["columns"].values())
    assert replay.required_bytes() == column_bytes + 80_001 * 84 * 84
    assert 84 * 84 <= replay.required_bytes() / 80_000 < 84 * 84 + 60


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads resident memory from /proc")
def test_an_empty_replay_costs_no_memory() -> None:
    """Pages are provided when first written: a short run with a large capacity stays small."""

    def read_resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = read_resident_bytes()
    replay = make_atari_replay(100_000)
    replay.allocate()
    assert replay.required_bytes() > 700e6
    assert read_resident_bytes() - before < 20e6


def test_short_memory_is_an_error_before_anything_is_allocated() -> None:
    replay = make_atari_replay(10**13)  # the constructor allocates nothing
    with pytest.raises(ConfigurationError, match=r"replay.capacity=10000000000000 needs 7\d+.* GB on cpu"):
        replay.allocate()


def test_the_capacity_that_the_memory_error_names_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wn_rl.replay.replay.compute_free_bytes", lambda device: 10**9)
    with pytest.raises(ConfigurationError, match=r"needs 7.07 GB on cpu, .* 1.00 GB are free") as caught:
        make_atari_replay(1_000_000).check_memory()
    capacity = int(str(caught.value).split("set replay.capacity=")[1].split()[0])
    assert capacity > 100_000
    make_atari_replay(capacity).check_memory()


def write_tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


MEMINFO = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n"}


def test_free_memory_is_what_the_machine_has_available(tmp_path: Path) -> None:
    write_tree(tmp_path, MEMINFO)
    assert compute_free_bytes(CPU, root=tmp_path) == 8000 * 1024


def test_free_memory_respects_the_limit_of_an_outer_control_group_of_version_2(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/user.slice"
    write_tree(
        tmp_path,
        MEMINFO
        | {
            "proc/self/cgroup": "0::/user.slice/job.scope\n",
            f"{group}/memory.max": "5000\n",
            f"{group}/memory.current": "4000\n",
            f"{group}/memory.stat": "anon 3\ninactive_file 700\n",
            f"{group}/job.scope/memory.max": "max\n",
            f"{group}/job.scope/memory.current": "3000\n",
        },
    )
    assert compute_free_bytes(CPU, root=tmp_path) == 1700


def test_free_memory_respects_control_groups_of_version_1(tmp_path: Path) -> None:
    """In a container the group's path is the host's, and only the mount's root exists."""
    mount = "sys/fs/cgroup/memory"
    write_tree(
        tmp_path,
        MEMINFO
        | {
            "proc/self/cgroup": "7:cpu,cpuacct:/docker/ab\n5:memory:/docker/ab\n",
            f"{mount}/memory.limit_in_bytes": "6000\n",
            f"{mount}/memory.usage_in_bytes": "4500\n",
            f"{mount}/memory.stat": "inactive_file 10\ntotal_inactive_file 500\n",
        },
    )
    assert compute_free_bytes(CPU, root=tmp_path) == 2000


def test_where_nobody_can_say_what_is_free_nothing_is_claimed(tmp_path: Path) -> None:
    assert compute_free_bytes(CPU, root=tmp_path) is None

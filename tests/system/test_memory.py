"""What a replay costs, and that one which does not fit is refused before anything is allocated."""

import os
from pathlib import Path

import pytest

from tests.helpers.replay_oracle import CPU, CUDA
from wn_rl.envs.atari import OBSERVATION
from wn_rl.errors import ConfigurationError
from wn_rl.replay.replay import Replay
from wn_rl.replay.replay_settings import ReplaySettings
from wn_rl.replay.samplers import UniformSampler
from wn_rl.replay.storage import choose_storage, make_storage
from wn_rl.system.memory import compute_free_bytes


def make_atari_replay(capacity: int, storage: str = "ram") -> Replay:
    settings = ReplaySettings(
        capacity=capacity, num_lanes=8, observation=OBSERVATION, stack_size=4, n_step=1, gamma=0.99, reward_clip=1.0,
        life_loss_ends_discount=False,
    )  # fmt: skip
    return Replay(settings, storage=make_storage(storage, CPU), sampler=UniformSampler(), device=CPU)


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
    replay = make_atari_replay(10**12)  # the constructor allocates nothing
    with pytest.raises(ConfigurationError, match=r"replay.capacity=1000000000000 needs 7\d+.* GB on cpu"):
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


def test_a_million_compressed_agent_steps_ask_for_about_a_gigabyte() -> None:
    assert make_atari_replay(1_000_000, "compressed").required_bytes() < 1.1e9


@pytest.mark.parametrize(
    ("storage", "advice"), [("ram", r"or less, or replay.storage=compressed$"), ("compressed", r"=\d+ or less$")]
)
def test_short_memory_names_a_smaller_storage_where_there_is_one(
    storage: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wn_rl.replay.replay.compute_free_bytes", lambda device: 10**8)
    with pytest.raises(ConfigurationError, match=advice):
        make_atari_replay(1_000_000, storage).check_memory()


GIGABYTES = {"no GPU": 0, "small": 7, "large": 12}


@pytest.mark.parametrize(
    ("gpu", "host", "expected"),
    [
        ("large", "small", "device"),
        ("small", "large", "ram"),
        ("no GPU", "large", "ram"),
        ("no GPU", "small", "compressed"),
        ("small", "small", "compressed"),
    ],
)
def test_auto_takes_the_fastest_storage_that_fits_with_room_to_spare(
    gpu: str, host: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"cuda": GIGABYTES[gpu], "cpu": GIGABYTES[host]}
    monkeypatch.setattr("wn_rl.replay.storage.compute_free_bytes", lambda device: free[device.type] * 10**9)
    device = CPU if gpu == "no GPU" else CUDA
    assert choose_storage(num_rows=1_000_000, observation=OBSERVATION, device=device) == expected


@pytest.mark.parametrize(("free_gigabytes", "expected"), [(9.2, "compressed"), (9.6, "ram"), (None, "compressed")])
def test_auto_leaves_a_quarter_of_the_memory_to_others_and_does_not_guess(
    free_gigabytes: float | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = None if free_gigabytes is None else int(free_gigabytes * 1e9)
    monkeypatch.setattr("wn_rl.replay.storage.compute_free_bytes", lambda device: free)
    assert choose_storage(num_rows=1_000_000, observation=OBSERVATION, device=CPU) == expected


def test_an_unknown_storage_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"replay.storage=disk: unknown; known: auto, ram, compressed, device"):
        make_storage("disk", CPU)

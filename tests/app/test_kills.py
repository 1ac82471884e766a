"""A training process killed (SIGKILL) at any moment, and started again, ends bit for bit as an untouched one."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.killed_runs import TOTAL, assert_equal, describe_folder, run_in_child
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.runs.layout import LAST_CHECKPOINT

NUM_SLOW_KILLS = 60


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any]]:
    """How many changes an untouched run makes in its folder, and what it leaves there."""
    folder = tmp_path_factory.mktemp("untouched")
    num_operations = run_in_child(folder)
    assert num_operations > 50
    description = describe_folder(folder)
    assert read_checkpoint(folder / LAST_CHECKPOINT)["wn_rl"]["collector"]["agent_steps"] == TOTAL
    return num_operations, description


def check_ends_the_same(folder: Path, expected: dict[str, Any], storage: str = "ram") -> None:
    assert run_in_child(folder, storage=storage) > 0
    assert_equal(describe_folder(folder), expected)


@pytest.mark.parametrize(("share", "storage"), [(0.02, "ram"), (0.55, "ram"), (0.97, "compressed")])
def test_a_run_killed_between_any_two_changes_of_its_folder_ends_the_same(
    tmp_path: Path, untouched: tuple[int, dict[str, Any]], share: float, storage: str
) -> None:
    num_operations, expected = untouched
    assert run_in_child(tmp_path, kill_at_operation=1 + int(share * (num_operations - 1)), storage=storage) == 0
    check_ends_the_same(tmp_path, expected, storage)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_killed_at_random_moments_ends_the_same(tmp_path: Path, untouched: tuple[int, dict[str, Any]]) -> None:
    """Half of the kills come between two changes of the folder, drawn without repeating; half after a random time.

    Some runs are killed again and again before they come to their end.
    """
    num_operations, expected = untouched
    chance = random.Random(0)
    operations = chance.sample(range(1, num_operations + 1), k=min(NUM_SLOW_KILLS // 2, num_operations))
    num_kills, number = 0, 0
    while num_kills < NUM_SLOW_KILLS:
        number += 1
        folder = tmp_path / str(number)
        storage = chance.choice(["ram", "compressed"])
        for _ in range(chance.choice([1, 1, 3])):
            is_timed = chance.random() < 0.5 or not operations
            how: dict[str, Any] = (
                {"kill_after_s": chance.uniform(0.02, 1.5)} if is_timed else {"kill_at_operation": operations.pop()}
            )
            num_kills += run_in_child(folder, storage=storage, **how) == 0
        check_ends_the_same(folder, expected, storage)
        print(f"run {number}: {num_kills} kills so far")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_killed_at_each_change_of_its_second_checkpoint_ends_the_same(
    tmp_path: Path, untouched: tuple[int, dict[str, Any]]
) -> None:
    num_operations, expected = untouched
    first = num_operations // 4
    for operation in range(first, first + num_operations // 5):
        folder = tmp_path / str(operation)
        assert run_in_child(folder, kill_at_operation=operation) == 0
        check_ends_the_same(folder, expected)

"""What other threads compute is what the caller would have computed."""

import threading
import time

import pytest
import torch

from tests.helpers.networks import ALL_NORMALIZERS, draw_frames, make_network
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.system.threads import run_side_by_side


def test_results_have_the_order_of_the_tasks_and_each_a_thread_of_its_own() -> None:
    both_run = threading.Barrier(3, timeout=10)

    def task(number: int) -> tuple[int, int]:
        both_run.wait()  # which no thread passes alone
        return number, threading.get_ident()

    results = run_side_by_side([lambda: task(0), lambda: task(1), lambda: task(2)])
    assert [number for number, _ in results] == [0, 1, 2]
    assert results[0][1] == threading.get_ident()
    assert len({identity for _, identity in results}) == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_another_thread_computes_the_same_bit_for_bit(normalizer: str, dtype: torch.dtype) -> None:
    network = FoldedNetwork(make_network(normalizer), dtype=dtype)
    mine, others = run_side_by_side([lambda: network(draw_frames(4))] * 2)
    assert torch.equal(mine, others)
    assert not others.requires_grad


@pytest.mark.parametrize("num_threads", [2, 1])
def test_another_thread_computes_with_as_many_threads_as_the_caller(num_threads: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(num_threads)
        assert run_side_by_side([torch.get_num_threads] * 2) == [num_threads] * 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_reaches_the_caller_when_all_have_ended(failing: int) -> None:
    ended = []

    def fail() -> None:
        raise RuntimeError("as planned")

    def work() -> None:
        time.sleep(0.1)
        ended.append(True)

    with pytest.raises(RuntimeError, match="as planned"):
        run_side_by_side([fail, work] if failing == 0 else [work, fail])
    assert ended == [True]

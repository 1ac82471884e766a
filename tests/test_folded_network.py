"""What a second thread computes is what the caller would have computed."""

import threading

import pytest
import torch

from tests.networks import ALL_NORMALIZERS, draw_frames, make_network
from wn_rl.folded_network import FoldedNetwork
from wn_rl.types import QOutput


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_submitted_q_values_are_those_of_the_caller_bit_for_bit(normalizer: str, dtype: torch.dtype) -> None:
    network = FoldedNetwork(make_network(normalizer), dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        q_values = network.submit(draw_frames(4)).result().q_values
        assert torch.equal(q_values, network(draw_frames(4)))
    assert not q_values.requires_grad


@pytest.mark.parametrize("num_threads", [2, 1])
def test_another_thread_computes_with_as_many_threads_as_the_caller(
    num_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = FoldedNetwork(make_network("none"), dtype=torch.float32)
    seen = []

    def compute(observation: torch.Tensor) -> QOutput:
        seen.append((threading.get_ident(), torch.get_num_threads()))
        return QOutput(torch.zeros(1, 5))

    monkeypatch.setattr(network, "compute", compute)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(num_threads)
        network.submit(draw_frames(1)).result()
    finally:
        torch.set_num_threads(before)
    ((identity, found),) = seen
    assert identity != threading.get_ident()
    assert found == num_threads


def test_an_error_in_the_second_thread_reaches_the_caller() -> None:
    network = FoldedNetwork(make_network("none"), dtype=torch.float32)
    with pytest.raises(RuntimeError):
        network.submit(draw_frames(1)[:, :1]).result()

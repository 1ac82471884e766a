"""The loops that a CPU computes with: against float64, PyTorch's rounding, and each other."""

import multiprocessing
import subprocess
import sys
import warnings

import numba
import numpy as np
import pytest
import torch
from numba.core.caching import CacheImpl

from wn_rl.errors import ConfigurationError
from wn_rl.nn import cpu_kernels, cpu_loops
from wn_rl.nn.cpu_kernels import can_compute, compute_gradients, write_weight
from wn_rl.nn.weight_norm import compute_weights, write_normalized_


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def set_threads(monkeypatch):
    """Say how many threads PyTorch has on a machine of how many cores; PyTorch's number is put back."""
    before = torch.get_num_threads()

    def set_both(num_threads, num_cores):
        monkeypatch.setattr(cpu_kernels, "count_cores", lambda: num_cores)
        torch.set_num_threads(num_threads)

    yield set_both
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (33, 1000), (3, 0), (0, 4)])
def test_the_weight_is_that_of_float64_rounded_as_pytorch_rounds(shape, dtype):
    v, g, out = draw(*shape), draw(shape[0], seed=1), torch.empty(shape, dtype=dtype)
    divisors = write_weight(v, g, out)
    norms = v.double().norm(dim=1)
    expected = v.double() * (g.double() / norms)[:, None]
    # of a bfloat16 the last place may differ where float32's error crosses the middle between two
    tolerance = {"rtol": 1e-6, "atol": 1e-7} if dtype == torch.float32 else {"rtol": 2**-8, "atol": 0}
    torch.testing.assert_close(out.double(), expected, **tolerance)
    torch.testing.assert_close(divisors.double()[norms > 0], norms[norms > 0], rtol=1e-6, atol=0)
    full = torch.empty(shape)
    write_weight(v, g, full)
    assert torch.equal(full.to(dtype), out)


def test_every_bfloat16_and_what_lies_between_two_is_rounded_as_pytorch_rounds():
    bits = torch.arange(2**16, dtype=torch.int64)[:, None] * 2**16 + torch.tensor(
        [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF]
    )
    numbers = bits.to(torch.uint32).view(torch.float32).reshape(-1)
    rounded = np.empty(len(numbers), np.uint16)
    _encode_all(numbers.numpy(), rounded)
    found, expected = torch.from_numpy(rounded).view(torch.bfloat16), numbers.to(torch.bfloat16)
    assert torch.equal(found.isnan(), expected.isnan())
    assert torch.equal(found[~found.isnan()], expected[~found.isnan()])


def _encode_all(numbers, out):
    encode = cpu_loops.encode

    @numba.njit
    def loop(numbers, out):
        for i in range(len(numbers)):
            out[i] = encode(numbers[i], out)

    loop(numbers, out)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradients_are_those_of_equation_3_in_float64(dtype):
    v, g, grad_weight = draw(9, 500), draw(9, seed=1), draw(9, 500, seed=2).to(dtype)
    norms = v.double().norm(dim=1, keepdim=True)
    grad_v, grad_g = compute_gradients(grad_weight, v, g, norms.flatten().float())
    direction = v.double() / norms
    product = (grad_weight.double() * direction).sum(1, keepdim=True)
    torch.testing.assert_close(grad_g.double(), product.flatten(), rtol=1e-4, atol=1e-5)
    expected = g.double()[:, None] / norms * (grad_weight.double() - product * direction)
    torch.testing.assert_close(grad_v.double(), expected, rtol=1e-4, atol=1e-6)


def test_a_zero_unit_has_no_weight_and_no_gradient():
    v, g, out = draw(4, 6), draw(4, seed=1), torch.empty(4, 6)
    v[2] = 0
    divisors = write_weight(v, g, out)
    assert divisors[2] == torch.inf
    grad_v, grad_g = compute_gradients(draw(4, 6, seed=2), v, g, divisors)
    for tensor in (out, grad_v, grad_g):
        assert not tensor[2].any()
        assert tensor.isfinite().all()


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_unit_that_diverged_is_seen_in_its_weight_and_in_no_other(number, dtype):
    v, g, out = draw(4, 6), draw(4, seed=1), torch.empty(4, 6, dtype=dtype)
    v[2, 3] = number
    write_weight(v, g, out)
    assert not out[2].isfinite().all()
    assert out[[0, 1, 3]].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_several_threads_write_the_same_bits(set_threads, dtype):
    v, g, grad_weight = draw(601, 700), draw(601, seed=1), draw(601, 700, seed=2).to(dtype)
    assert v.numel() > cpu_kernels.SMALLEST_SHARED
    results = []
    for num_threads, num_cores in ((3, 8), (1, 2), (1, 1)):
        set_threads(num_threads, num_cores)
        out = torch.empty(601, 700, dtype=dtype)
        divisors = write_weight(v, g, out)
        results.append((out, divisors, *compute_gradients(grad_weight, v, g, divisors)))
    for others in results[1:]:
        assert all(torch.equal(one, other) for one, other in zip(results[0], others, strict=True))


@pytest.mark.parametrize(
    ("num_threads", "num_cores", "expected"), [(1, 1, 1), (1, 2, 2), (1, 8, 2), (2, 2, 1), (3, 4, 2), (3, 8, 3)]
)
def test_rows_are_shared_by_cores_that_pytorch_does_not_keep_busy(set_threads, num_threads, num_cores, expected):
    set_threads(num_threads, num_cores)
    assert cpu_kernels.count_threads() == expected


def test_where_nothing_can_be_kept_kernels_are_compiled_all_the_same(monkeypatch):
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    divisors = torch.empty(3)
    kernel = cpu_loops.compiled(cpu_loops.write_weight.py_func)
    kernel(*(tensor.numpy() for tensor in (draw(3, 5), draw(3, seed=1), torch.empty(3, 5), divisors)))
    torch.testing.assert_close(divisors, draw(3, 5).norm(dim=1))


def test_other_dtypes_are_left_to_pytorch():
    v = draw(4, 6)
    assert can_compute(v, v.bfloat16())
    assert not can_compute(v.double())
    assert not can_compute(v, v.half())
    assert not can_compute(v.to("meta"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("v_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("out_format", [torch.contiguous_format, torch.channels_last])
def test_a_weight_is_written_into_any_dtype_and_memory_format(dtype, v_format, out_format):
    v, g = draw(5, 4, 3, 2).contiguous(memory_format=v_format), draw(5, seed=1)
    out = torch.empty(5, 4, 3, 2, dtype=dtype).contiguous(memory_format=out_format)
    divisors = write_normalized_(v, g, out)
    torch.testing.assert_close(divisors, v.flatten(1).norm(dim=1))
    torch.testing.assert_close(out, (v * (g / divisors).view(-1, 1, 1, 1)).to(dtype), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("rows", [2, 6])
def test_a_compiled_loop_never_reads_beyond_a_tensor_of_other_rows(rows):
    v, g, out = draw(5, 7), draw(5, seed=1), torch.empty(5, 7)
    with pytest.raises(ValueError, match="do not belong"):
        cpu_kernels.for_rows(cpu_loops.write_weight, v, draw(rows), out, torch.empty(5), num_threads=1)
    with pytest.raises(ValueError, match="do not belong"):
        cpu_kernels.for_rows(cpu_loops.write_weight, v, g, torch.empty(5, rows), torch.empty(5), num_threads=1)


def test_a_weight_is_not_written_into_a_tensor_of_another_shape():
    with pytest.raises(ConfigurationError, match=r"\[5, 7\].*not \[6, 7\]"):
        write_normalized_(draw(5, 7), draw(5, seed=1), torch.empty(6, 7))


def test_a_weight_is_written_over_what_it_is_made_of_and_what_it_overlaps():
    memory, g = draw(8, 7), draw(5, seed=1)
    v = memory[:5]
    expected = v / v.norm(dim=1, keepdim=True) * g[:, None]
    for first_row in (3, 0):
        memory.copy_(draw(8, 7))
        write_normalized_(v, g, memory[first_row : first_row + 5])
        torch.testing.assert_close(memory[first_row : first_row + 5], expected)


def _write_by_two_threads():
    v, out = draw(64, 5000), torch.empty(64, 5000)
    cpu_kernels.for_rows(cpu_loops.write_weight, v, v[:, 0].clone(), out, torch.empty(64), num_threads=2)


def test_a_forked_child_has_threads_of_its_own():
    _write_by_two_threads()
    child = multiprocessing.get_context("fork").Process(target=_write_by_two_threads, daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads is forked: that is the point
        child.start()
    child.join(timeout=20)
    has_ended = child.exitcode is not None
    child.kill()
    assert has_ended, "waits for threads that it does not have"
    assert child.exitcode == 0


def test_where_numba_compiles_nothing_pytorch_computes(monkeypatch):
    v, g = draw(5, 7).requires_grad_(), draw(5, seed=1).requires_grad_()
    expected = torch.autograd.grad(compute_weights([v], [g])[0].square().sum(), (v, g))
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    cpu_kernels.are_loops_compiled.cache_clear()
    try:
        assert not can_compute(v)
        found = torch.autograd.grad(compute_weights([v], [g])[0].square().sum(), (v, g))
    finally:
        cpu_kernels.are_loops_compiled.cache_clear()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


WITHOUT_NUMBA = """
import sys, torch
from wn_rl.nn import WeightNormLinear

layer = WeightNormLinear(3, 2)
layer(torch.ones(1, 3)).sum().backward()
assert "numba" not in sys.modules
"""


def test_numba_is_not_imported_before_a_loop_is_called():
    subprocess.run([sys.executable, "-c", WITHOUT_NUMBA], check=True)

"""w = g v / ‖v‖ and its gradient on a CPU, by loops of our own.

An update of a small network on a CPU is bound by memory, and PyTorch's operations pass over v once for the norms, once
to scale, and once more to cast. Here a unit's numbers stay in the first-level cache from the norm to the scaled and
rounded weight (Eq. 2), and from the product v · ∇w to ∇v (Eq. 3). Numba compiles these loops when they are first
called, in a second or so, and keeps them beside their file (``cpu_loops``) or in the user's cache: it needs no compiler
on the machine. Nothing here imports Numba before.

v and g are float32; w and ∇w float32 or bfloat16, which NumPy does not know and which stands as its bits in u16. Each
row is computed by itself and in one order, so that the result does not depend on the number of threads.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from wn_rl.system.cpu import count_cores

KNOWN_DTYPES = (torch.float32, torch.bfloat16)
SMALLEST_SHARED = 2**18  # numbers below which handing rows to other threads costs more than it saves


class _Pool:
    """Threads for rows. They do not survive a fork, and a child that waited for them would wait for ever."""

    def __init__(self) -> None:
        self._start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start)

    def _start(self) -> None:
        self.submit = ThreadPoolExecutor(thread_name_prefix="rows").submit


_threads = _Pool()


@cache
def are_loops_compiled() -> bool:
    """False where NUMBA_DISABLE_JIT leaves loops to Python, in which PyTorch is a thousand times faster."""
    from numba import config

    return not getattr(config, "DISABLE_JIT", False)


def can_compute(v: Tensor, *weights: Tensor) -> bool:
    """Whether v, [O, ...], and weights or their gradients of its shape are of the device and dtypes known here."""
    return (
        v.device.type == "cpu"
        and v.dtype == torch.float32
        and all(weight.device.type == "cpu" and weight.dtype in KNOWN_DTYPES for weight in weights)
        and are_loops_compiled()
    )


def write_weight(v: Float32[Tensor, "O K"], g: Float[Tensor, "O"], out: Float[Tensor, "O K"]) -> Float32[Tensor, "O"]:
    """Write g v / ‖v‖ into ``out``, rounded to its dtype; return what v was divided by: ‖v‖, or infinity where it is 0.

    The three are contiguous.
    """
    from wn_rl.nn import cpu_loops

    divisors = torch.empty(v.shape[0], device="cpu")
    for_rows(cpu_loops.write_weight, v, g, out, divisors, num_threads=count_threads())
    return divisors


def compute_gradients(
    grad_weight: Float[Tensor, "O K"], v: Float32[Tensor, "O K"], g: Float[Tensor, "O"], divisors: Float32[Tensor, "O"]
) -> tuple[Float32[Tensor, "O K"], Float32[Tensor, "O"]]:
    """∇v and ∇g of Eq. 3, zero for a unit whose divisor is infinite. All are contiguous."""
    from wn_rl.nn import cpu_loops

    grad_v, grad_g = torch.empty_like(v), torch.empty_like(divisors)
    for_rows(cpu_loops.write_gradients, grad_weight, v, g, divisors, grad_v, grad_g, num_threads=count_threads())
    return grad_v, grad_g


def for_rows(kernel: Callable[..., None], *tensors: Tensor, num_threads: int) -> None:
    """Call ``kernel`` with the tensors, which have as many rows, as arrays; large ones by several threads.

    Raises ValueError for tensors of other rows or columns than the first: a compiled loop would read and write what
    lies behind them.
    """
    arrays = [_as_array(tensor) for tensor in tensors]
    shape = arrays[0].shape
    if any(array.shape != shape[: array.ndim] for array in arrays):
        raise ValueError(f"rows of the shapes {[array.shape for array in arrays]} do not belong to each other")
    if num_threads == 1 or arrays[0].size < SMALLEST_SHARED:
        kernel(*arrays)
        return
    first, *others = zip(*(np.array_split(array, num_threads) for array in arrays), strict=True)
    futures = [_threads.submit(kernel, *part) for part in others]
    kernel(*first)
    for future in futures:
        future.result()


def count_threads() -> int:
    """As many as PyTorch has, and at least two, where there are cores that those do not keep busy for a while."""
    num_threads = torch.get_num_threads()
    return max(1, min(max(2, num_threads), count_cores() - num_threads + 1))


def _as_array(tensor: Tensor) -> np.ndarray:
    """The same memory; bfloat16 as its bits."""
    tensor = tensor.detach()
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()

"""w = g v / ‖v‖ and its gradient on a CPU, by loops of our own.

An update of a small network on a CPU is bound by memory, and PyTorch's operations pass over v once for the norms, once
to scale, and once more to cast. Here a unit's numbers stay in the first-level cache from the norm to the scaled and
rounded weight (Eq. 2), and from the product v · ∇w to ∇v (Eq. 3). Numba compiles these loops when they are first
called, in a second or so, and keeps them beside their file or in the user's cache: it needs no compiler on the machine.

v and g are float32; w and ∇w float32 or bfloat16, which NumPy does not know and which stands as its bits in u16. Each
row is computed by itself and in one order, so that the result does not depend on the number of threads.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Float32
from numba.core import types
from numba.extending import overload
from torch import Tensor

from wn_rl.system.cpu import count_cores

KNOWN_DTYPES = (torch.float32, torch.bfloat16)
SMALLEST_SHARED = 2**18  # numbers below which handing rows to other threads costs more than it saves
# Sums may be taken in vectors and products be added unrounded. Neither NaN nor infinity is assumed away.
RELAXED = {"reassoc", "contract", "nsz"}

_threads = ThreadPoolExecutor(thread_name_prefix="rows")


def can_compute(v: Tensor, *weights: Tensor) -> bool:
    """Whether v, [O, ...], and weights or their gradients of its shape are of the device and dtypes known here."""
    return (
        v.device.type == "cpu"
        and v.dtype == torch.float32
        and all(weight.device.type == "cpu" and weight.dtype in KNOWN_DTYPES for weight in weights)
    )


def write_weight(v: Float32[Tensor, "O K"], g: Float[Tensor, "O"], out: Float[Tensor, "O K"]) -> Float32[Tensor, "O"]:
    """Write g v / ‖v‖ into ``out``, rounded to its dtype; return what v was divided by: ‖v‖, or infinity where it is 0.

    The three are contiguous.
    """
    divisors = torch.empty(v.shape[0])
    for_rows(_write_weight, v, g, out, divisors, num_threads=count_threads())
    return divisors


def compute_gradients(
    grad_weight: Float[Tensor, "O K"], v: Float32[Tensor, "O K"], g: Float[Tensor, "O"], divisors: Float32[Tensor, "O"]
) -> tuple[Float32[Tensor, "O K"], Float32[Tensor, "O"]]:
    """∇v and ∇g of Eq. 3, zero for a unit whose divisor is infinite. All are contiguous."""
    grad_v, grad_g = torch.empty_like(v), torch.empty_like(divisors)
    for_rows(_write_gradients, grad_weight, v, g, divisors, grad_v, grad_g, num_threads=count_threads())
    return grad_v, grad_g


def for_rows(kernel: Callable[..., None], *tensors: Tensor, num_threads: int) -> None:
    """Call ``kernel`` with the tensors, which have as many rows, as arrays; large ones by several threads."""
    arrays = [_as_array(tensor) for tensor in tensors]
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


def _decode(number: Any) -> Any:
    """The float32 that a number of an array stands for."""


def encode(number: Any, array: Any) -> Any:
    """What stands for a float32 in an array: rounded to the nearest, of two to the one whose last bit is 0."""


def compiled(loop: Callable[..., None]) -> Callable[..., None]:
    """The loop, compiled when first called; kept on disk, where this machine lets anything be kept."""
    try:
        return numba.njit(nogil=True, fastmath=RELAXED, cache=True)(loop)
    except RuntimeError:  # neither beside this file nor in the user's cache
        return numba.njit(nogil=True, fastmath=RELAXED)(loop)


@overload(_decode)
@no_type_check
def _decode_typed(number):
    def decode_float(number):
        return number

    def decode_bits(number):
        return np.uint32(np.uint32(number) << np.uint32(16)).view(np.float32)

    return decode_bits if number == types.uint16 else decode_float


@overload(encode)
@no_type_check
def _encode_typed(number, array):
    def encode_float(number, array):
        return number

    def encode_bits(number, array):
        bits = np.float32(number).view(np.uint32)
        half = np.uint32(np.uint32(0x7FFF) + np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1)))
        rounded = np.uint16(np.uint32(bits + half) >> np.uint32(16))
        return rounded if number == number else np.uint16(0x7FC0)  # NaN, which rounding could carry to 0

    return encode_bits if array.dtype == types.uint16 else encode_float


@compiled
@no_type_check
def _write_weight(v, g, out, divisors):
    for unit in range(v.shape[0]):
        squares = np.float32(0)
        for k in range(v.shape[1]):
            squares += v[unit, k] * v[unit, k]
        divisors[unit] = np.inf if squares == 0 else np.sqrt(squares)
        scale = np.float32(g[unit] / divisors[unit])
        for k in range(v.shape[1]):
            out[unit, k] = encode(v[unit, k] * scale, out)


@compiled
@no_type_check
def _write_gradients(grad_weight, v, g, divisors, grad_v, grad_g):
    for unit in range(v.shape[0]):
        product = np.float32(0)
        for k in range(v.shape[1]):
            product += _decode(grad_weight[unit, k]) * v[unit, k]
        grad_g[unit] = product / divisors[unit]
        along = np.float32(g[unit] / divisors[unit])
        radial = np.float32(along * grad_g[unit] / divisors[unit])
        for k in range(v.shape[1]):
            grad_v[unit, k] = along * _decode(grad_weight[unit, k]) - radial * v[unit, k]

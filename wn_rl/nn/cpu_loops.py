"""The loops of ``cpu_kernels``, and how they are compiled: imported when the first of them is called.

Numba, which compiles them, takes longer to import than all else in this room together.
"""

from collections.abc import Callable
from typing import Any, no_type_check

import numba
import numpy as np
from numba.core import types
from numba.extending import overload

# Sums may be taken in vectors and products be added unrounded. Neither NaN nor infinity is assumed away.
RELAXED = {"reassoc", "contract", "nsz"}


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
def write_weight(v, g, out, divisors):
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
def write_gradients(grad_weight, v, g, divisors, grad_v, grad_g):
    for unit in range(v.shape[0]):
        product = np.float32(0)
        for k in range(v.shape[1]):
            product += _decode(grad_weight[unit, k]) * v[unit, k]
        grad_g[unit] = product / divisors[unit]
        along = np.float32(g[unit] / divisors[unit])
        radial = np.float32(along * grad_g[unit] / divisors[unit])
        for k in range(v.shape[1]):
            grad_v[unit, k] = along * _decode(grad_weight[unit, k]) - radial * v[unit, k]

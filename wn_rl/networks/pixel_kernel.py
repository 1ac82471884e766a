"""Pixels as numbers by a loop of our own: on a CPU, a pixel is cast, centered and scaled in one pass."""

from functools import partial
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from wn_rl.nn.cpu_kernels import KNOWN_DTYPES, are_loops_compiled, count_threads, for_rows
from wn_rl.nn.cpu_loops import compiled, encode


def can_scale(pixels: Tensor, dtype: torch.dtype) -> bool:
    """Whether ``scale_pixels`` knows the device, the dtype and the memory format."""
    is_dense = pixels.is_contiguous() or pixels.is_contiguous(memory_format=torch.channels_last)
    is_known = pixels.device.type == "cpu" and dtype in KNOWN_DTYPES and are_loops_compiled()
    return is_known and is_dense and pixels.numel() > 0


def scale_pixels(
    pixels: UInt8[Tensor, "B S H W"], mean: UInt8[Tensor, "H W"] | None, factor: float, dtype: torch.dtype
) -> Float[Tensor, "B S H W"]:
    """(pixels - mean) * factor, a float32, rounded to ``dtype``; in the memory format of ``pixels``: ``can_scale``."""
    scaled = torch.empty_like(pixels, dtype=dtype)
    shape = (pixels.shape[0], pixels[0].numel())
    rows = (tensor.as_strided(shape, (shape[1], 1)) for tensor in (pixels, scaled))
    means = torch.zeros_like(pixels[:1], dtype=torch.float32)  # one row, in the same memory format
    if mean is not None:
        means.copy_(mean)
    # The parts of a minibatch are scaled side by side: with one of PyTorch's threads, no core is free.
    num_threads = 1 if torch.get_num_threads() == 1 else count_threads()
    kernel = partial(_scale, np.float32(factor), means.as_strided((shape[1],), (1,)).numpy())
    for_rows(kernel, *rows, num_threads=num_threads)
    return scaled


@compiled
@no_type_check
def _scale(factor, means, pixels, scaled):
    for row in range(pixels.shape[0]):
        for k in range(pixels.shape[1]):
            scaled[row, k] = encode((np.float32(pixels[row, k]) - means[k]) * factor, scaled)

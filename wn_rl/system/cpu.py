"""How this process uses the host's processor and memory."""

import ctypes
import os
import platform
from typing import Any

import torch

from wn_rl.errors import ConfigurationError, show_value

# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 2**25  # that glibc accepts
_KEPT_BYTES = 2**30


def count_cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count(key: str, value: Any) -> Any:
    """A number of threads: at most as many as the machine has cores, since more wait for each other and may never end.

    The check of a setting (wn_rl/system/fields.py).
    """
    num_cores = os.cpu_count() or 1
    if type(value) is not int or not 1 <= value <= num_cores:
        raise ConfigurationError(
            f"{key}={show_value(value)}: needs auto or a whole number from 1 to {num_cores}, the cores of this machine"
        )
    return value


def use_processor(num_threads: int) -> None:
    """Let PyTorch compute in ``num_threads`` threads, and let freed memory be used again instead of going back.

    An update frees and asks for the same few megabytes again and again. As glibc is set up it gives them back in
    between, and an update of 128 samples spends a tenth of its time on pages that the system clears for it.
    """
    torch.set_num_threads(num_threads)
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)

"""How this process uses the host's processor and memory."""

import ctypes
import os
import platform

import torch

# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 2**25  # that glibc accepts
_KEPT_BYTES = 2**30

MAX_THREADS = 1024
"""More than the cores of most machines of today; far more end the process."""


def count_cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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

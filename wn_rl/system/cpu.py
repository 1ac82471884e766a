"""How this process uses the host's processor and memory."""

import ctypes
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from wn_rl.errors import ConfigurationError, show_value
from wn_rl.system.control_groups import list_control_groups, read_text

# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 2**25  # that glibc accepts
_KEPT_BYTES = 2**30
_SECONDS_BETWEEN_TRIMS = 60.0


def count_cores(*, root: Path = Path("/")) -> int:
    """The processors that this process may keep busy, at least one.

    The least of those that it may run on, of the quotas of its containers (whole processors: what is beyond is taken
    from all its threads at once), of ``OMP_NUM_THREADS``, which users, joblib and Ray set for processes side by side,
    and of ``SLURM_CPUS_PER_TASK``. ``root`` is where /proc and /sys lie.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = [os.environ.get(name, "").split(",")[0].strip() for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK")]
    counts = [allowed, *(int(count) for count in told if count.isdecimal() and int(count)), *_list_quotas(root)]
    return max(1, int(min(counts)))


def _list_quotas(root: Path) -> Iterator[float]:
    """Processors that each of this process's control groups may keep busy, where it has a limit."""
    for folder, version in list_control_groups("cpu", root=root):
        if version == 2:
            quota, _, period = read_text(folder / "cpu.max").strip().partition(" ")  # "150000 100000" or "max 100000"
        else:
            quota, period = (read_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
        if quota.isdecimal() and period.isdecimal() and int(period) > 0:  # version 1 writes -1 where there is none
            yield int(quota) / int(period)


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
    libc = _load_glibc()
    if libc is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _load_glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


class FreedMemory:
    """Gives freed memory back to the system after all, once a minute.

    PyTorch asks for aligned blocks, which glibc (before 2.38) often does not find again when they are free: a run whose
    minibatches come and go in many sizes would hold gigabytes more every hour, of which it uses a quarter of one.
    """

    def __init__(self) -> None:
        self._libc, self._last = _load_glibc(), time.monotonic()

    def give_back(self) -> None:
        """Do it, if it is due; it takes some milliseconds."""
        if self._libc is not None and time.monotonic() - self._last >= _SECONDS_BETWEEN_TRIMS:
            self._libc.malloc_trim(0)
            self._last = time.monotonic()

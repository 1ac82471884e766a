"""How much memory is free: the machine's, the container's, or the GPU's, whichever binds."""

from pathlib import Path

import torch

from wn_rl.system.control_groups import list_control_groups, read_text

_MEMORY_WORDS = ("allocate memory", "not enough memory", "out of memory")


def compute_free_bytes(device: torch.device, *, root: Path = Path("/")) -> int | None:
    """Bytes that can be allocated on ``device`` without swapping or being killed; None where nobody can say.

    On a host, the least of MemAvailable and of what every enclosing control group (v1 or v2) leaves below its
    limit; file cache that the kernel would give back counts as free. ``root`` is where /proc and /sys lie.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = [_read_available(root / "proc/meminfo"), *_list_group_bytes(root)]
    known = [num_bytes for num_bytes in free if num_bytes is not None]
    return max(min(known), 0) if known else None


def send(t: torch.Tensor, device: torch.device) -> torch.Tensor:
    """t on ``device``; nothing waits for the copy where that is safe.

    CUDA takes what it copies aside first; Apple's GPU would read t's memory after t is gone (pytorch/pytorch#189690).
    """
    return t.to(device, non_blocking=device.type == "cuda")


def describe_need(num_bytes: int, *, free: int | None, device: torch.device) -> str:
    """Bytes that are needed on ``device``, beside what ``compute_free_bytes`` says is free there."""
    known = "nobody knows what is" if free is None else f"{free / 1e9:.2f} GB are"
    return f"{num_bytes / 1e9:.2f} GB on {device}, where {known} free"


def _read_available(meminfo: Path) -> int | None:
    """MemAvailable in bytes."""
    for line in read_text(meminfo).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024  # "MemAvailable:   24123456 kB"
    return None


_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}
"""Limit, usage, and the row of memory.stat that says what is cache, by the version of control groups."""


def _list_group_bytes(root: Path) -> list[int | None]:
    """Free bytes in each of this process's control groups."""
    groups = list_control_groups("memory", root=root)
    return [_read_group_bytes(group.folder, *_FILES[group.version]) for group in groups]


def _read_group_bytes(folder: Path, limit_name: str, usage_name: str, cache_name: str) -> int | None:
    """Limit minus usage plus reclaimable cache of one control group; None where it has no limit."""
    limit = read_text(folder / limit_name).strip()
    usage = read_text(folder / usage_name).strip()
    if not limit.isdigit() or not usage.isdigit():  # v2 writes "max" where there is no limit
        return None
    cache = 0
    for line in read_text(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == cache_name and value.isdigit():
            cache = int(value)
    return int(limit) - int(usage) + cache


def is_memory_error(error: Exception) -> bool:
    """Whether memory was short; PyTorch's allocator on the host says so in a RuntimeError's words alone."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _MEMORY_WORDS)

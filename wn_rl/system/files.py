"""How a file is written so that it is there whole or not at all, and read without believing its size."""

import os
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"
"""Of files that are being written; whoever finds one after a crash may remove it."""


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file under a temporary name, force it to disk, and rename it: never half-written.

    Raises:
        OSError: it cannot be written; nothing is left behind, and what had the name before is untouched.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        remove_if_possible(temporary)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power failure, where the system lets folders be flushed (Windows does not)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_if_possible(path: Path) -> None:
    """Remove a file; leave it where the system does not let us."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def read_limited(path: Path, max_bytes: int) -> bytes:
    """The content of a plain file of at most ``max_bytes``.

    Raises:
        ValueError: it is larger, or no plain file (reading from a pipe might never end).
        OSError: it is missing or cannot be read.
    """
    num_bytes = path.stat().st_size
    if not path.is_file():
        raise ValueError(f"{path.name} is no plain file")
    if num_bytes > max_bytes:
        raise ValueError(f"{path.name} has {num_bytes:,} bytes, of which at most {max_bytes:,} can be right")
    return path.read_bytes()

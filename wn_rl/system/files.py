"""How a file is written so that it is there whole or not at all, and read without believing its size or its kind."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"
"""Of files that are being written; whoever finds one after a crash may remove it."""

_NO_LINKS, _NO_WAITING = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)  # Windows has neither
_BINARY = getattr(os, "O_BINARY", 0)  # Windows alone has it, and without it drops bytes that look like line ends


def name_temporary(path: Path) -> Path:
    """A name beside ``path`` that nobody can have foreseen, and have made a link to another file of the user."""
    return path.with_name(f"{path.name}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")


@contextmanager
def name_errors(path: Path) -> Iterator[None]:
    """Errors say of which file they are; the system's, of a descriptor on a full disk, say none, or a temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file under a temporary name, force it to disk, and rename it: never half-written.

    Raises:
        OSError: it cannot be written; nothing is left behind, and what had the name before is untouched.
    """
    temporary = name_temporary(path)
    try:
        with name_errors(path), temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # an impatient Ctrl-C included
        remove_if_possible(temporary)
        raise
    sync_folder(path.parent)


def adopt_written(temporary: Path, path: Path) -> None:
    """Force a file that somebody else wrote to disk, and give it its name: whoever finds that, finds all of it.

    Raises:
        OSError: it cannot be done.
    """
    with name_errors(path), temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def append_line(path: Path, content: bytes) -> None:
    """Append a line to a plain file, which is made where there is none, and force it to disk; no link is followed.

    What a killed writer, or a full disk, left without its end stays a line of its own, and takes no other along.

    Raises:
        OSError: it cannot be written, or it is a link.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _BINARY | _NO_LINKS | _NO_WAITING, 0o666)
    with name_errors(path), os.fdopen(descriptor, "ab") as file:
        size = os.fstat(descriptor).st_size
        if size > 0 and _read_byte(descriptor, size - 1) != b"\n":
            file.write(b"\n")
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read_byte(descriptor: int, position: int) -> bytes:
    """One byte of a file that is appended to, so that nobody minds where this leaves it; Windows has no pread."""
    os.lseek(descriptor, position, os.SEEK_SET)
    return os.read(descriptor, 1)


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


def read_limited(path: Path, max_bytes: int, *, follow_links: bool = True) -> bytes:
    """The content of a plain file of at most ``max_bytes``.

    Raises:
        ValueError: it is larger, or no plain file (reading from a pipe might never end); or a link, where none is to
            be followed.
        OSError: it is missing or cannot be read.
    """
    if not follow_links and path.is_symlink():
        raise ValueError(f"{path.name} is a link, which is not followed")
    descriptor = os.open(path, os.O_RDONLY | _BINARY | _NO_WAITING | (0 if follow_links else _NO_LINKS))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path.name} is no plain file")
        if status.st_size > max_bytes:
            raise ValueError(f"{path.name} has {status.st_size:,} bytes, of which at most {max_bytes:,} can be right")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(max_bytes)
    finally:
        os.close(descriptor)


def find_outward_links(folder: Path) -> Iterator[Path]:
    """The links below a folder that lead out of it, for where something is to be written."""
    inside = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                yield path

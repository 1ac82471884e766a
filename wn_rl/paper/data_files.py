"""The files of a data folder by their names, wherever they lie: in it, below it, or in an archive; packed or not."""

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from wn_rl.errors import ConfigurationError
from wn_rl.system.files import read_limited

ARCHIVES = (".tgz", ".tar.gz", ".tar")
MAX_DEPTH = 3
"""Folders below the data folder, as in MNIST/raw/."""
MAX_UNPACKED_BYTES = 2**30
"""Of an archive: five times CIFAR-10. One that unfolds to more is none of its kind."""
_DAMAGES = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError)


def read_files(folder: Path, limits: Mapping[str, int]) -> dict[str, bytes]:
    """The content of those of the named files that are there, unpacked where their name ends in .gz.

    A file itself comes before one in an archive.

    Args:
        folder: is looked through with what is below it, and with the archives in it.
        limits: how many bytes each may have at most, by names without .gz.

    Raises:
        ConfigurationError: one is damaged or larger, in one line.
    """
    found: dict[str, bytes] = {}
    for path in walk(folder):
        name = simplify(path.name)
        if name in limits and name not in found:
            found[name] = _read(path, limits[name])
    for path in sorted(path for path in folder.glob("*") if path.name.endswith(ARCHIVES)):
        if len(found) < len(limits):
            found |= _read_archive(path, {name: limit for name, limit in limits.items() if name not in found})
    return found


def walk(folder: Path) -> Iterator[Path]:
    """All files in a folder and up to ``MAX_DEPTH`` below it, in the order of their names."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(folders) if len(Path(parent).relative_to(folder).parts) < MAX_DEPTH else []
        yield from (Path(parent, name) for name in sorted(files))


def simplify(name: str) -> str:
    """One spelling of a file's name: train-images-idx3-ubyte for train-images.idx3-ubyte.gz too."""
    return name.removesuffix(".gz").replace(".idx", "-idx")


def refuse_damaged(path: Path | str, reason: object) -> ConfigurationError:
    """The error of a file that cannot be what its name says."""
    told = " ".join(str(reason).split())[:200] or type(reason).__name__
    return ConfigurationError(f"{path} is damaged, cut short or no such file: {told}; fetch it again")


def _read(path: Path, limit: int) -> bytes:
    try:
        content = read_limited(path, limit + 2**16)  # noise does not become shorter by packing
        return _unpack(content, limit) if path.name.endswith(".gz") else _check_size(content, limit)
    except _DAMAGES as error:
        raise refuse_damaged(path, error) from error


def _unpack(content: bytes, limit: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        return _check_size(file.read(limit + 1), limit)


def _check_size(content: bytes, limit: int) -> bytes:
    if len(content) > limit:
        raise ValueError(f"it has more than {limit:,} bytes")
    return content


def _read_archive(path: Path, limits: Mapping[str, int]) -> dict[str, bytes]:
    """The named ones among an archive's files; nothing is written anywhere."""
    found: dict[str, bytes] = {}
    num_bytes = 0
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                num_bytes += member.size
                if num_bytes > MAX_UNPACKED_BYTES:
                    raise ValueError(f"it unfolds to more than {MAX_UNPACKED_BYTES:,} bytes")
                name = simplify(Path(member.name).name)
                file = archive.extractfile(member) if name in limits and member.isfile() else None
                if file is not None:
                    content = _check_size(file.read(limits[name] + 2**16), limits[name] + 2**16)
                    found[name] = _unpack(content, limits[name]) if member.name.endswith(".gz") else content
    except _DAMAGES as error:
        raise refuse_damaged(path, error) from error
    return found

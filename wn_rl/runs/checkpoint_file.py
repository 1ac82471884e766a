"""A checkpoint as one file: how it is written durably, and how it is distrusted when it is read.

The file is a zip archive of ``torch.save``, whose records lie there uncompressed and carry a CRC-32 each. PyTorch
does not look at those when it loads (2.13 returns a flipped weight without a word), so they are checked here.
"""

import io
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from wn_rl.errors import ConfigurationError
from wn_rl.system.files import write_whole

MAX_PICKLED_BYTES = 2**24
"""Of all but tensors, which PyTorch reads value by value: a run has some 100 kB of it, mostly the list of segments."""


def write_checkpoint(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write plain containers and tensors to a file that is there whole or not at all, and survives a power failure.

    Raises:
        OSError: it cannot be written; what had the name before is untouched.
    """
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_whole(path, buffer.getbuffer())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What ``write_checkpoint`` wrote, on the host. No code of the file runs, and its sizes are not believed.

    Raises:
        ConfigurationError: there is no such file, it is damaged, or it is no checkpoint; in one line.
    """
    with one_line_errors(path):
        if not path.is_file():  # nor a pipe, from which reading would never end
            raise FileNotFoundError("there is no such file")
        return read_archive(path, path.stat().st_size)


@contextmanager
def one_line_errors(path: Path) -> Iterator[None]:
    """Whatever reading a damaged or foreign file raises becomes a ConfigurationError of one line."""
    try:
        yield
    except ConfigurationError:
        raise
    except pickle.UnpicklingError as error:  # PyTorch's advice would let the file run code
        raise ConfigurationError(f"{path} cannot be read: it holds other objects than tensors and numbers") from error
    except Exception as error:  # a damaged or foreign pickle raises whatever it likes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigurationError(f"{path} cannot be read: {reason}") from error


def read_archive(file: Path | io.BytesIO, num_bytes: int) -> dict[str, Any]:
    """Plain containers and tensors of an archive of ``torch.save``, on the host; no code of it runs.

    Raises:
        ValueError: it is damaged, or holds something else; PyTorch raises more kinds of errors.
    """
    with zipfile.ZipFile(file) as archive:
        check_records(archive, num_bytes)
    if isinstance(file, io.BytesIO):
        file.seek(0)
    checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(checkpoint, dict):
        raise ValueError(f"it holds a {type(checkpoint).__name__}, not the parts of a run")
    return checkpoint


@contextmanager
def silent_mistakes() -> Iterator[None]:
    """For looking at what a checkpoint holds: PyTorch warns of a tensor where a dictionary should be, and then raises.

    The error is told in a line; the warning would be two more, about the program's text.
    """
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        yield


def is_plain(value: Any) -> bool:
    """Whether ``read_checkpoint`` reads a value that was written: tensors, numbers, texts, and containers of those."""
    buffer = io.BytesIO()
    try:
        torch.save(value, buffer)
        buffer.seek(0)
        torch.load(buffer, map_location="cpu", weights_only=True)
    except Exception:  # whatever pickling somebody's object raises
        return False
    return True


def check_records(archive: zipfile.ZipFile, num_bytes: int) -> None:
    """Raise ValueError unless a zip archive's records are uncompressed, no larger than it and all as they were written.

    A compressed record could unfold to more memory than there is; records that share bytes likewise.

    Args:
        archive: the archive.
        num_bytes: its size.
    """
    records = archive.infolist()
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise ValueError("its records are compressed, as no checkpoint's are")
    if sum(record.file_size for record in records) > num_bytes:
        raise ValueError("its records claim more bytes than it has")
    if any(record.filename.endswith(".pkl") and record.file_size > MAX_PICKLED_BYTES for record in records):
        raise ValueError("what it holds besides tensors is larger than a run's")
    damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"it is damaged: the checksum of {damaged} is wrong")

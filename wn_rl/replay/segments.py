"""Immutable files of compressed frames: how the replay's frames lie on disk, and how a file is distrusted.

A segment holds, for each of N lanes, the frames of a range of positions (see lanes.py):

    8 bytes   magic number
    4 bytes   length of the header, little endian
    header    JSON: frame_shape [H, W], starts [N], stops [N]; frame_dtype, where frames are no bytes
    payload   one zstandard frame with its content size and checksum: lane after lane, [stop - start, *frame]

Its name carries a digest of its bytes, so that a name never means two contents, whichever run wrote it. It is
written under a temporary name, flushed and renamed: a name in the folder means a whole segment.

Plain frames at level 3 compress 75 to 260 times at 560 to 1,200 MB/s on one core (Pong, Breakout,
Seaquest, Space Invaders); differences to the previous frame were slower and, at this level, larger.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zstandard
from jaxtyping import Num

from wn_rl.errors import ConfigurationError
from wn_rl.system.files import TEMPORARY_SUFFIX, remove_if_possible, write_whole
from wn_rl.types import ObservationSpec

MAGIC = b"WNRLSEG1"
COMPRESSION_LEVEL = 3
MAX_FRAMES = 8192
"""Frames of a segment (58 MB of 84 x 84), which bounds the memory that writing and reading take."""

_NAME = re.compile(r"segment-\d{6,12}-[0-9a-f]{16}\.zst")
_PREFIX_BYTES = len(MAGIC) + 4


class Segment(NamedTuple):
    """What a checkpoint says of a segment: positions ``starts[l]`` to ``stops[l]`` - 1 of every lane l."""

    name: str
    digest: str
    starts: list[int]
    stops: list[int]

    @property
    def num_frames(self) -> int:
        """Frames of all lanes."""
        return sum(self.stops) - sum(self.starts)


def parse_segment(entry: Any, num_lanes: int) -> Segment:
    """A segment's entry in a checkpoint, checked.

    Raises:
        ConfigurationError: the entry is nothing that this program wrote.
    """
    damaged = ConfigurationError("the saved replay's list of segments is damaged: resume from another checkpoint")
    try:
        segment = Segment(**entry)
        bounds = list(zip(segment.starts, segment.stops, strict=True))
        is_sound = (
            _NAME.fullmatch(segment.name) is not None
            and len(bounds) == num_lanes
            and all(type(start) is type(stop) is int and 0 <= start <= stop < 2**62 for start, stop in bounds)
            and 1 <= segment.num_frames <= max(MAX_FRAMES, num_lanes)
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise damaged from error
    if not is_sound:
        raise damaged
    return segment


def write_segment(
    folder: Path, number: int, *, starts: list[int], stops: list[int], lanes: list[Num[np.ndarray, "_ *frame"]]
) -> Segment:
    """Compress the frames of every lane and write them durably.

    Args:
        folder: created where missing.
        number: goes into the name, to tell an order to a reader.
        starts, stops: positions, per lane.
        lanes: N arrays of stop - start frames.

    Raises:
        ConfigurationError: the folder cannot be written to, or the disk is full; nothing is left behind.
    """
    header_bytes = _make_header(ObservationSpec(lanes[0].shape[1:], str(lanes[0].dtype)), starts, stops)
    content = b"".join([MAGIC, len(header_bytes).to_bytes(4, "little"), header_bytes, *_compress_frames(lanes)])
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    segment = Segment(f"segment-{number:06d}-{digest[:16]}.zst", digest, starts, stops)
    _write_durably(folder / segment.name, content)
    return segment


def _make_header(observation: ObservationSpec, starts: list[int], stops: list[int]) -> bytes:
    dtype = {} if observation.dtype == "uint8" else {"frame_dtype": observation.dtype}
    return json.dumps({"frame_shape": list(observation.shape), **dtype, "starts": starts, "stops": stops}).encode()


def _compress_frames(lanes: list[Num[np.ndarray, "_ *frame"]]) -> Iterator[bytes]:
    """Pieces of one zstandard frame."""
    compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL, write_checksum=True)
    stream = compressor.compressobj(size=sum(frames.nbytes for frames in lanes))
    for frames in lanes:
        yield stream.compress(frames.tobytes())
    yield stream.flush()


def _write_durably(path: Path, content: bytes) -> None:
    """After this returns, the file survives a power failure; until then its name does not exist."""
    try:
        path.parent.mkdir(exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the replay segment {path}: {error.strerror}; make room or make the folder writable"
        ) from error


def read_segment(folder: Path, segment: Segment, observation: ObservationSpec) -> list[Num[np.ndarray, "_ *frame"]]:
    """Read the frames of every lane; sizes are checked before memory is taken.

    Raises:
        ConfigurationError: the file is missing, damaged, or holds other frames than the checkpoint says.
    """
    path = folder / segment.name
    content = read_segment_file(folder, segment, observation)
    num_bytes = segment.num_frames * observation.num_bytes
    damaged = ConfigurationError(f"the replay segment {path} is damaged; resume from another checkpoint")
    header_end = _PREFIX_BYTES + int.from_bytes(content[len(MAGIC) : _PREFIX_BYTES], "little")
    expected = _make_header(observation, segment.starts, segment.stops)
    if content[: len(MAGIC)] != MAGIC or content[_PREFIX_BYTES:header_end] != expected:
        raise ConfigurationError(f"the replay segment {path} holds other frames than the checkpoint says")
    payload = content[header_end:]
    try:
        if zstandard.get_frame_parameters(payload).content_size != num_bytes:
            raise damaged
        raw = zstandard.ZstdDecompressor().decompress(payload)
    except zstandard.ZstdError as error:
        raise damaged from error
    frames = np.frombuffer(raw, observation.dtype).reshape(-1, *observation.shape)
    lengths = [stop - start for start, stop in zip(segment.starts, segment.stops, strict=True)]
    return np.split(frames, np.cumsum(lengths)[:-1])


def read_segment_file(folder: Path, segment: Segment, observation: ObservationSpec) -> bytes:
    """The bytes of a segment's file, if they are those that were written: its digest is checked, no more.

    Raises:
        ConfigurationError: the file is missing or damaged.
    """
    path = folder / segment.name
    num_bytes = segment.num_frames * observation.num_bytes
    content = _read_at_most(path, zstandard_bound(num_bytes) + _PREFIX_BYTES + 64 * (len(segment.starts) + 2))
    if hashlib.blake2b(content, digest_size=16).hexdigest() != segment.digest:
        raise ConfigurationError(f"the replay segment {path} is damaged; resume from another checkpoint")
    return content


def zstandard_bound(num_bytes: int) -> int:
    """The most bytes that zstandard makes of ``num_bytes`` (ZSTD_COMPRESSBOUND, generously)."""
    return num_bytes + num_bytes // 128 + 4096


def _read_at_most(path: Path, max_bytes: int) -> bytes:
    """The content of a plain file that is not larger than a segment can be."""
    try:
        if not path.is_file():  # nor a pipe, from which reading would never end
            raise ConfigurationError(f"the replay segment {path} is missing; resume from another checkpoint")
        if path.stat().st_size > max_bytes:
            raise ConfigurationError(f"the replay segment {path} is damaged; resume from another checkpoint")
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the replay segment {path}: {error.strerror}") from error


def remove_unused_segments(folder: Path, *, keep: Iterable[str]) -> list[str]:
    """Remove the segments not named in ``keep``, and what interrupted writes left; return their names."""
    kept = set(keep)
    found = sorted(path for path in folder.glob("segment-*") if path.name not in kept)
    removed = [path for path in found if path.suffix == TEMPORARY_SUFFIX or _NAME.fullmatch(path.name)]
    for path in removed:
        remove_if_possible(path)
    return [path.name for path in removed]

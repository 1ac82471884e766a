"""Frames compressed one by one with a shared dictionary: how a million agent steps fit into a laptop's memory.

Frames of one game share almost everything: background, scores, sprites. A zstandard *dictionary* trained on some
of them holds that, so that a frame on its own becomes 100 to 300 bytes of 7,056, and is decompressed on its own,
in microseconds: nothing is decompressed in vain, and no frame waits for others. What else was measured: lz4 with
the same dictionary saves a tenth to a third of the time of sampling and takes two to four times the memory (lz4
with a key frame as the dictionary, up to 1,100 bytes); blosc2 frame by frame takes 350 to 2,900 bytes and is slower;
blocks of 8 or 16 consecutive frames take as little memory, and more time, since most of a block is not asked for.
``scripts/benchmarks/bench_replay.py`` measures what is here.

A dictionary is trained anew on recent frames from time to time, as play reaches screens never seen before. Each
frame is decompressed with what it was compressed with; a dictionary goes when its last frame is overwritten.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import zstandard
from jaxtyping import Int64, Num
from torch import Tensor

from wn_rl.types import ObservationSpec

COMPRESSION_LEVEL = 3
DICTIONARY_BYTES = 65_536
COVER_SEGMENT_BYTES = 2000
"""k of COVER: the length of the pieces that a dictionary is put together from. Whole sprites and stretches of
background: 117 to 274 bytes a frame, where k = 50 makes 172 to 786 (Pong, Breakout, Seaquest, Space Invaders)."""
COVER_MATCH_BYTES = 8
NUM_TRAINING_FRAMES = 512
FIRST_DICTIONARY_FRAMES = 2048
"""Frames before the first dictionary; they are compressed without, to 170 to 1,060 bytes."""
DICTIONARY_PERIOD_FRAMES = 65_536
"""Frames from one dictionary to the next; training one takes some 50 ms."""

ASSUMED_BYTES_PER_FRAME = 1000
"""What is asked for before anything is known of the game. Under random play, none of 58 games took more than 610
with a dictionary."""


class CompressedFrameStorage:
    """Frames on the host, losslessly compressed; see storage.FrameStorage for the contract.

    Rows that were never written read as zeros, as the zero row does.
    """

    def __init__(self) -> None:
        self.name, self.device = "compressed", torch.device("cpu")
        self.smaller_alternative = ""
        self._observation = ObservationSpec((0,), "uint8")
        # Arrays of objects: unlike lists, the garbage collector does not walk through their millions of entries.
        self._payloads: Any = np.empty(0, np.object_)
        self._decompress: Any = np.empty(0, np.object_)
        self._codec = _make_codec(None)
        self._training_frames: list[bytes | bytearray | memoryview] = []
        self._num_since_dictionary = 0
        self._dictionary_period_frames = FIRST_DICTIONARY_FRAMES

    def required_bytes(self, num_rows: int, observation: ObservationSpec) -> int:
        """What the frames of most games take at most; see ``ASSUMED_BYTES_PER_FRAME``."""
        return (num_rows + 1) * min(ASSUMED_BYTES_PER_FRAME, observation.num_bytes + 128)

    def allocate(self, num_rows: int, observation: ObservationSpec) -> None:
        """Take 16 bytes a row for where its frame is; what frames take comes as they are written."""
        compress, decompress = self._codec
        self._observation = observation
        self._payloads = np.empty(num_rows + 1, np.object_)
        self._payloads.fill(compress(bytes(observation.num_bytes)))  # np.full would cut zero bytes off
        self._decompress = np.full(num_rows + 1, decompress, np.object_)

    def write(self, rows: Int64[np.ndarray, "K"], frames: Num[np.ndarray, "K *frame"]) -> None:
        """Compress K frames; now and then, train a dictionary for those to come."""
        compress, decompress = self._codec
        contents = [frame.tobytes() for frame in frames]
        # A copy, since what zstandard returns is a large block cut short, between which holes would be left.
        self._payloads[rows] = [bytes(memoryview(compress(content))) for content in contents]
        self._decompress[rows] = decompress
        self._note(contents)

    def read(self, rows: Int64[Tensor, "K"]) -> Num[Tensor, "K *frame"]:
        """Decompress K frames, each distinct one once."""
        distinct, places = np.unique(rows.numpy(), return_inverse=True)
        pairs = zip(self._decompress[distinct], self._payloads[distinct], strict=True)
        contents = [decompress(payload) for decompress, payload in pairs]
        joined = bytearray().join([contents[place] for place in places.tolist()])
        frames = torch.from_numpy(np.frombuffer(joined, self._observation.dtype))
        return frames.view(len(rows), *self._observation.shape)

    def compute_bytes_per_frame(self, num_rows: int) -> float:
        """Mean bytes of memory that each of the first ``num_rows`` rows takes, Python's own included."""
        num_pointers = self._payloads.itemsize + self._decompress.itemsize
        return sum(map(sys.getsizeof, self._payloads[:num_rows])) / num_rows + num_pointers

    def _note(self, contents: list[bytes]) -> None:
        """Keep a few frames, evenly spaced, and make a dictionary of them when it is time."""
        stride = max(self._dictionary_period_frames // NUM_TRAINING_FRAMES, 1)
        self._training_frames += contents[-self._num_since_dictionary % stride :: stride]
        self._num_since_dictionary += len(contents)
        if self._num_since_dictionary >= self._dictionary_period_frames:
            self._codec = _train_codec(self._training_frames) or self._codec
            self._training_frames = []
            self._num_since_dictionary = 0
            self._dictionary_period_frames = DICTIONARY_PERIOD_FRAMES


Codec = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]
"""How a frame is compressed, and decompressed."""


def _make_codec(dictionary: zstandard.ZstdCompressionDict | None) -> Codec:
    """Frames carry neither a checksum nor the dictionary's number: they never leave memory."""
    compressor = zstandard.ZstdCompressor(
        level=COMPRESSION_LEVEL, dict_data=dictionary, write_checksum=False, write_dict_id=False
    )
    return compressor.compress, zstandard.ZstdDecompressor(dict_data=dictionary).decompress


def _train_codec(frames: list[bytes | bytearray | memoryview]) -> Codec | None:
    """A codec with a dictionary of these frames; None where they hold too little for one."""
    try:
        dictionary = zstandard.train_dictionary(DICTIONARY_BYTES, frames, k=COVER_SEGMENT_BYTES, d=COVER_MATCH_BYTES)
    except zstandard.ZstdError:  # tiny frames, or all the same
        return None
    return _make_codec(dictionary)

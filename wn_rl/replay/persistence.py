"""The replay in a run folder: frames in segments, each written once; all else in the checkpoint.

It answers how a checkpoint of gigabytes costs little. While training goes on, a thread writes the frames
that are new as segments (segments.py); the checkpoint holds the columns and the names of the segments it
needs. What is loaded equals what was saved bit for bit, in the middle of episodes too.
"""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from wn_rl.errors import ConfigurationError
from wn_rl.replay.replay import Replay
from wn_rl.replay.saved_state import get_entry
from wn_rl.replay.segments import (
    MAX_FRAMES,
    Segment,
    parse_segment,
    read_segment,
    remove_unused_segments,
    write_segment,
)


class ReplayArchive:
    """Keeps a replay's frames on disk, and makes and loads its checkpoints.

    Args:
        replay: what is saved.
        folder: where segments lie; created when first written to.
    """

    def __init__(self, replay: Replay, folder: Path) -> None:
        self._replay = replay
        self._folder = folder
        self._segments: list[Segment] = []
        self._in_flight: Future[Segment] | None = None
        self._heads_before_flight: Int64[np.ndarray, "N"] = np.zeros(replay.lanes.num_lanes, np.int64)
        self._saved_heads: Int64[np.ndarray, "N"] = np.zeros(replay.lanes.num_lanes, np.int64)
        self._next_number = 0
        self._unpacked: list[Segment] = []
        self._frames_per_lane = max(MAX_FRAMES // replay.lanes.num_lanes, 1)
        self._writer: ThreadPoolExecutor | None = None

    def write_new_frames(self) -> None:
        """Have whole segments of new frames written in the background; call it often, it mostly does nothing.

        Copying a segment's frames takes some 10 ms; no more than one is waited for and one in memory.

        Raises:
            ConfigurationError: an earlier segment could not be written. Its frames are taken up again next
            time.
        """
        while (self._replay.lanes.heads - self._saved_heads).min() >= self._frames_per_lane:
            self._submit()

    def state_dict(self) -> dict[str, Any]:
        """Write the frames that are still new, and return all that a checkpoint must hold.

        Plain containers and tensors, which ``torch.load(weights_only=True)`` reads. Where somebody has removed a
        segment, all frames are written again.

        Raises:
            ConfigurationError: a segment could not be written.
        """
        self._wait()
        if not all((self._folder / segment.name).is_file() for segment in self._segments):
            self._segments, self._saved_heads = [], self._replay.lanes.tails.copy()
        while (self._saved_heads < self._replay.lanes.heads).any():
            self._submit()
        self._wait()
        tails = self._replay.lanes.tails
        self._segments = [segment for segment in self._segments if (segment.stops > tails).any()]
        return {
            "replay": self._replay.state_dict(),
            "segments": [segment._asdict() for segment in self._segments],
            "next_number": self._next_number,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Rebuild the replay from a checkpoint and the segments that it names.

        Raises:
            ConfigurationError: the checkpoint is of other settings or damaged, or a segment is missing or
            damaged.
        """
        self._wait()
        segments = self._load_all_but_frames(state)
        self._unpack(segments)
        self._segments, self._next_number = segments, state["next_number"]
        self._saved_heads = self._replay.lanes.heads.copy()

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Make sure that ``load_state_dict`` would do, by doing most of it: of the same segments it unpacks none again.

        Raises:
            ConfigurationError: what ``load_state_dict`` raises.
        """
        self._unpack(self._load_all_but_frames(state))

    def _load_all_but_frames(self, state: dict[str, Any]) -> list[Segment]:
        entries = get_entry(state, "segments", list)
        segments = [parse_segment(entry, self._replay.lanes.num_lanes) for entry in entries]
        if not 0 <= get_entry(state, "next_number", int) < 10**12:  # a name has 6 to 12 digits
            raise ConfigurationError("the saved replay's 'next_number' is out of range: it is damaged")
        self._replay.load_state_dict(get_entry(state, "replay", dict))
        self._check_coverage(segments)
        return segments

    def remove_unused_segments(self, *, keep: Iterable[str] = ()) -> list[str]:
        """Remove the segments that neither ``keep`` nor this replay needs any more; return their names.

        Call it when the newest checkpoint is on disk; ``keep`` names what older ones need.
        """
        self._wait()
        own = (segment.name for segment in self._segments)
        return remove_unused_segments(self._folder, keep={*keep, *own})

    def close(self) -> None:
        """Stop the thread, after what it is writing."""
        if self._writer is not None:
            self._writer.shutdown()
            self._writer = None

    def _submit(self) -> None:
        """Copy the oldest new frames and hand them to the thread, after the one before is on disk."""
        self._wait()
        lanes = self._replay.lanes
        starts = np.maximum(self._saved_heads, lanes.tails)
        stops = np.minimum(starts + self._frames_per_lane, lanes.heads)
        frames = [
            self._replay.read_frames(lane, int(starts[lane]), int(stops[lane])) for lane in range(lanes.num_lanes)
        ]
        if self._writer is None:
            self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="replay-archive")
        self._in_flight = self._writer.submit(
            write_segment,
            self._folder,
            self._next_number,
            starts=starts.tolist(),
            stops=stops.tolist(),
            lanes=frames,
        )
        self._heads_before_flight, self._saved_heads = self._saved_heads, stops
        self._next_number += 1

    def _wait(self) -> None:
        """Wait for the segment that is being written, if any; where that failed, its frames are new again."""
        if self._in_flight is None:
            return
        future, self._in_flight = self._in_flight, None
        try:
            self._segments.append(future.result())
        except ConfigurationError:
            self._saved_heads = self._heads_before_flight
            raise

    def _check_coverage(self, segments: list[Segment]) -> None:
        """Raise ConfigurationError unless the segments hold every frame that the replay stores."""
        heads, reached = self._replay.lanes.heads, self._replay.lanes.tails
        for segment in segments:
            is_gap = (np.array(segment.starts) > reached) & (np.array(segment.stops) > reached)
            if is_gap.any() or (segment.stops > heads).any():
                raise ConfigurationError(f"the saved replay does not fit its segment {segment.name}: it is damaged")
            reached = np.maximum(reached, segment.stops)
        if (reached < heads).any():
            raise ConfigurationError("the saved replay lacks segments: resume from another checkpoint")

    def _unpack(self, segments: list[Segment]) -> None:
        """Put all frames back, unless these were the last to be put back and nothing was written since."""
        if self._unpacked == segments and (self._saved_heads == 0).all():
            return
        self._unpacked = []
        for segment in segments:
            self._restore(segment)
        self._unpacked = segments

    def _restore(self, segment: Segment) -> None:
        """Put the frames of one segment back, as far as they were not overwritten."""
        frames = read_segment(self._folder, segment, self._replay.observation)
        for lane, (start, tail) in enumerate(zip(segment.starts, self._replay.lanes.tails, strict=True)):
            num_overwritten = max(int(tail) - start, 0)
            self._replay.restore_frames(lane, start + num_overwritten, frames[lane][num_overwritten:])


def list_segment_names(state: dict[str, Any]) -> set[str]:
    """Names of the segments that a checkpoint's ``ReplayArchive.state_dict`` needs."""
    return {entry["name"] for entry in state["segments"]}

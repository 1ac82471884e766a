"""How a game that was played becomes a video: played again in full color, at the console's own speed."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from wn_rl.envs.protocols import load_protocol
from wn_rl.envs.rendering import EpisodeRecord, render_episode
from wn_rl.viewing.commentator import AgentView, Commentator
from wn_rl.viewing.drawing import Picture
from wn_rl.viewing.video import scale_up, write_poster, write_video

POSTER_POSITION = 1 / 3  # of the video: the game is on, and its end is not given away


def record_episode(
    record: EpisodeRecord,
    path: Path,
    *,
    scale: int,
    view: AgentView | None,
    max_seconds: int | None = None,
    on_frame: Callable[[int, int], None] | None = None,
) -> int:
    """Write a game as MP4, every frame at the speed of its protocol, and return the number of frames.

    A picture to show before it plays is written beside it, as PNG of the same name.

    Args:
        record: the game.
        path: the video to write; nothing half-written is ever left there.
        scale: whole factor by which pictures are scaled up.
        view: the agent of whom what it sees, and its Q-values, are drawn beside the game; None: the game alone.
        max_seconds: of game time, after which the video stops; None shows the whole game.
        on_frame: called after each frame with how many are done and how many there will be.

    Raises:
        ConfigurationError: the emulator does not play the game as it was recorded.
    """
    protocol = load_protocol(record.protocol_values)
    frames = render_episode(record)
    if view is not None:
        commentator = Commentator(
            game=record.game, protocol=protocol,
            find_action=lambda step: int(record.actions[step]), view=view,
        )  # fmt: skip
        pictures = commentator.paint(frames, scale=scale)
    else:
        pictures = (scale_up(frame.rgb, scale) for frame in frames)
    max_frames = None if max_seconds is None else max_seconds * protocol.frames_per_second
    num_frames = record.num_frames if max_frames is None else min(max_frames, record.num_frames)
    poster = _PosterKeeper(index=int(POSTER_POSITION * num_frames))
    num_written = write_video(
        path,
        poster.watch(itertools.islice(pictures, max_frames)),
        frames_per_second=protocol.frames_per_second,
        # the starting frames, 30 at most, are not in num_frames
        on_frame=None if on_frame is None else lambda done: on_frame(min(done, num_frames), num_frames),
    )
    write_poster(path.with_suffix(".png"), poster.picture)
    return num_written


def record_best_median_worst(
    records: Sequence[EpisodeRecord],
    folder: Path,
    *,
    scale: int,
    view: AgentView | None,
    max_seconds: int | None = None,
    on_frame: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """Write videos of three games, named as ``best-21.mp4``, ``median-18.mp4``, ``worst--3.mp4``.

    The arguments are those of ``record_episode``, but ``on_frame`` is first given best, median or worst.

    Returns:
        the videos' paths, best first; the posters lie beside them.
    """
    paths = []
    for rank, record in choose_best_median_worst(records).items():
        path = folder / f"{rank}-{record.episode_return:.10g}.mp4"
        record_episode(
            record,
            path,
            scale=scale,
            view=view,
            max_seconds=max_seconds,
            on_frame=_prepend(on_frame, rank),
        )
        paths.append(path)
    return paths


def choose_best_median_worst(records: Sequence[EpisodeRecord]) -> dict[str, EpisodeRecord]:
    """The games with the highest, the median and the lowest return, as "best", "median" and "worst".

    No game stands for two of them: of two games there are a best and a worst, of one a best. Of an even
    number the median is the lower one in the middle.

    Raises:
        ValueError: no games.
    """
    if not records:
        raise ValueError("no game was played: there is no best one")
    falling = sorted(records, key=lambda record: -record.episode_return)
    chosen = {"best": falling[0]}
    if len(falling) > 2:
        chosen["median"] = falling[len(falling) // 2]
    if len(falling) > 1:
        chosen["worst"] = falling[-1]
    return chosen


class _PosterKeeper:
    """Lets pictures pass and keeps the one at ``index``, or the last one of fewer."""

    def __init__(self, *, index: int) -> None:
        self._index = index
        self.picture: Picture = np.zeros((1, 1, 3), dtype=np.uint8)

    def watch(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        for index, picture in enumerate(pictures):
            if index <= self._index:
                self.picture = picture
            yield picture


def _prepend(on_frame: Callable[[str, int, int], None] | None, rank: str) -> Callable[[int, int], None] | None:
    if on_frame is None:
        return None
    return lambda done, total: on_frame(rank, done, total)

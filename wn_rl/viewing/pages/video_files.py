"""What each video of a run shows, as its name says: ``[<agent steps>-][best|median|worst-]<return>.mp4``."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_NAME = re.compile(
    r"(?:(?P<agent_steps>\d{9,12})-)?(?:(?P<rank>best|median|worst)-)?"
    r"(?P<episode_return>-?\d{1,15}(?:\.\d+)?(?:e[+-]?\d{1,2})?)(?P<rest>(?:-\w+)*)"
)
RANKS = ("best", "median", "worst")


@dataclass(frozen=True, kw_only=True)
class Video:
    """One video.

    Attributes:
        path: the file; poster: the picture to show before it plays, where there is one.
        agent_steps: that the agent had trained for, where the name says so.
        rank: best, median, worst, or empty: the median game of an evaluation while training.
        episode_return: of the game, where the name says so.
        rest: what else the name says, such as "overlay".
    """

    path: Path
    poster: Path | None
    agent_steps: int | None
    rank: str
    episode_return: float | None
    rest: str

    @property
    def url(self) -> str:
        """From the run folder; quoted, so that no name can be anything but a file's."""
        return quote(os.fsencode(f"{self.path.parent.name}/{self.path.name}"))

    @property
    def poster_url(self) -> str | None:
        """From the run folder."""
        return None if self.poster is None else quote(os.fsencode(f"{self.poster.parent.name}/{self.poster.name}"))


@dataclass(frozen=True, kw_only=True)
class VideoGroups:
    """Videos as a page shows them.

    Attributes:
        stages: one per stage of training, in its order.
        newest: best, median and worst game of the newest evaluation that has them.
        played: the newest best, median and worst that the watch command played.
        others: the rest.
    """

    stages: list[Video]
    newest: list[Video]
    played: list[Video]
    others: list[Video]


def find_videos(folder: Path) -> list[Video]:
    """All videos of a folder by name; half-written ones have names that begin with a dot and are left out."""
    try:
        names = sorted(path for path in folder.iterdir() if path.suffix == ".mp4" and not path.name.startswith("."))
        return [_describe(path) for path in names if path.is_file()]
    except OSError:
        return []


def group_videos(videos: list[Video]) -> VideoGroups:
    """Sort videos into what a page shows side by side; every video lies in a group, a median of training in two."""
    stages = [video for video in videos if video.agent_steps is not None and video.rank in ("", "median")]
    ranked_steps = [v.agent_steps for v in videos if v.agent_steps is not None and v.rank in ("best", "worst")]
    last = max(ranked_steps, default=None)
    newest = [] if last is None else [video for video in videos if video.agent_steps == last]
    played = []
    for rank in RANKS:
        of_rank = [video for video in videos if video.agent_steps is None and video.rank == rank]
        played += sorted(of_rank, key=lambda video: video.path.stat().st_mtime)[-1:]
    shown = {video.path for video in [*stages, *newest, *played]}
    return VideoGroups(
        stages=sorted(stages, key=lambda video: video.agent_steps or 0),
        newest=sorted(newest, key=lambda video: RANKS.index(video.rank or "median")),
        played=played,
        others=[video for video in videos if video.path not in shown],
    )


def _describe(path: Path) -> Video:
    poster = path.with_suffix(".png")
    match = _NAME.fullmatch(path.stem)
    parts = {"agent_steps": None, "rank": "", "episode_return": None, "rest": path.stem}
    if match is not None:
        parts = match.groupdict()
    return Video(
        path=path,
        poster=poster if poster.is_file() else None,
        agent_steps=None if parts["agent_steps"] is None else int(parts["agent_steps"]),
        rank=parts["rank"] or "",
        episode_return=None if parts["episode_return"] is None else float(parts["episode_return"]),
        rest=(parts["rest"] or "").lstrip("-"),
    )

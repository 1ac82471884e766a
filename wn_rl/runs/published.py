"""The agents that this project trained: in ``checkpoints/`` of a working copy, and within an installed package."""

from pathlib import Path

from wn_rl.runs.layout import DESCRIPTION_FILE

_PACKAGE = Path(__file__).resolve().parents[1]
PUBLISHED_AGENTS = next(
    (folder for folder in (_PACKAGE / "checkpoints", _PACKAGE.parent / "checkpoints") if folder.is_dir()),
    _PACKAGE / "checkpoints",
)
"""The folder of their folders, each with the name of its game."""


def list_published() -> list[str]:
    """The games of which there is an agent, in alphabetical order; none where there is no such folder."""
    return sorted(path.parent.name for path in PUBLISHED_AGENTS.glob(f"*/{DESCRIPTION_FILE}"))


def find_published(name: str) -> Path | None:
    """The folder of the agent of a game, as in ``Pong``, ``space_invaders`` or, wherever one is, ``checkpoints/Pong``.

    None where there is none.
    """
    folders = {_normalize(game): PUBLISHED_AGENTS / game for game in list_published()}
    return folders.get(_normalize(name.removeprefix("checkpoints/")))


def _normalize(name: str) -> str:
    return name.replace("_", "").casefold()

"""The paths that a command line means by a word: ``latest``, a game's name, ``~``."""

from pathlib import Path

from wn_rl.app.options import AGENTS
from wn_rl.envs.games import is_game, resolve_game
from wn_rl.errors import ConfigurationError
from wn_rl.runs.folder import find_latest_run
from wn_rl.runs.layout import EXPERIMENT_FILE
from wn_rl.runs.published import find_published


def is_bare_game(word: str) -> bool:
    """Whether a word is a game's name, and no path."""
    return word.isidentifier() and not Path(word).exists() and is_game(word)


def find_path(key: str, value: str, command: str = "") -> str:
    """The path that a user means: ``~`` is the home, ``latest`` the newest run under runs/, a game its newest run.

    Of a command such as ``paper/draw`` the latest is the newest run of that experiment. Of agents a game is its folder
    under checkpoints/, too, or the one that this project published, where it has no run.

    Raises:
        ConfigurationError: there is no such run.
    """
    if Path(value).exists():
        return value
    if value.startswith("~/"):
        return str(Path(value).expanduser())
    room, _, experiment = command.partition("/")
    if value == "latest" and experiment:
        return str(find_latest_run(Path("runs", room), game=experiment, file=EXPERIMENT_FILE))
    if value == "latest":
        return str(find_latest_run(Path("runs"), has_agent=key in AGENTS))
    if key not in {*AGENTS, "resume"} or not is_bare_game(value):
        return value
    game = resolve_game(value)
    try:
        return str(find_latest_run(Path("runs"), has_agent=key in AGENTS, game=game))
    except ConfigurationError:
        own = Path("checkpoints", game)
        published = own if own.is_dir() else find_published(game)
        if key in AGENTS and published is not None:
            return str(published)
        raise

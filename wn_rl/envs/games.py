"""The games that there are, and how each one's name is written.

Three spellings exist: ``SpaceInvaders`` (ours, and the papers'), ``space_invaders`` (the emulator's ROM file)
and ``ALE/SpaceInvaders-v5`` (Gymnasium's). This module imports neither the emulator nor torch, so that a
mistyped name is answered at once.
"""

import difflib
import functools
import importlib.util
import re
from pathlib import Path

from wn_rl.errors import ConfigurationError

# ALE ships these ROMs for PettingZoo's multi-agent interface; its single-player loader does not know them and
# ends the whole process (exit(1) in C++) instead of raising.
TWO_PLAYER_ROM_NAMES = frozenset({"combat", "joust", "maze_craze", "warlords"})

# "-v5", "NoFrameskip-v4", "Deterministic-v0": what Gymnasium appends to a game's name.
GYMNASIUM_SUFFIX = re.compile(r"(NoFrameskip|Deterministic)?(-v\d+)?$", re.IGNORECASE)

_RAM = re.compile(r"-ram(?=NoFrameskip|Deterministic|-|$)", re.IGNORECASE)


def available_games() -> list[str]:
    """Return the names of all single-player games that ale-py ships, as in ``SpaceInvaders``, sorted.

    Raises ConfigurationError where ale-py is not installed.
    """
    return sorted(_rom_names_by_game())


def resolve_game(name: str) -> str:
    """Return the canonical name of a game, ``SpaceInvaders`` for instance.

    Arguments:
        name: ``SpaceInvaders``, ``spaceinvaders``, ``space_invaders``, ``ALE/SpaceInvaders-v5`` or
            ``SpaceInvadersNoFrameskip-v4``.
    Raises ConfigurationError, naming the nearest games, where there is no such game.
    """
    if _RAM.search(name):
        screen = _RAM.sub("", name)
        raise ConfigurationError(f"game={name}: agents see the screen, not the console's memory; say game={screen}")
    games_by_key = {game.lower(): game for game in available_games()}
    key = _compute_key(name)
    if key in games_by_key:
        return games_by_key[key]
    nearest = difflib.get_close_matches(key, games_by_key, n=3, cutoff=0.6)
    if nearest:
        advice = "did you mean " + " or ".join(games_by_key[match] for match in nearest) + "?"
    else:
        advice = f"choose one of {len(games_by_key)}, such as {', '.join(list(games_by_key.values())[:5])}"
    raise ConfigurationError(f"unknown game {name!r}: {advice}")


def is_game(name: str) -> bool:
    """Whether there is a game of that name, in any spelling."""
    return _compute_key(name) in {game.lower() for game in available_games()}


def rom_name(game: str) -> str:
    """Return the emulator's name of a game in any spelling: ``SpaceInvaders`` gives ``space_invaders``."""
    return _rom_names_by_game()[resolve_game(game)]


def _compute_key(name: str) -> str:
    """Reduce any spelling of a name to lower-case letters and digits."""
    without_namespace = name.strip().rsplit("/", maxsplit=1)[-1]
    return re.sub(r"[^a-z0-9]", "", GYMNASIUM_SUFFIX.sub("", without_namespace).lower())


@functools.cache
def _rom_names_by_game() -> dict[str, str]:
    """Return {"SpaceInvaders": "space_invaders", ...} from the names of the files that ale-py ships."""
    specification = importlib.util.find_spec("ale_py")
    if specification is None or not specification.submodule_search_locations:
        raise ConfigurationError("the Atari emulator is missing; install it with: pip install ale-py")
    roms_folder = Path(specification.submodule_search_locations[0]) / "roms"
    names = [path.stem for path in roms_folder.glob("*.bin")]
    # title() also capitalizes after a digit, as Gymnasium's ids do: tic_tac_toe_3d is TicTacToe3D
    return {name.title().replace("_", ""): name for name in names if name not in TWO_PLAYER_ROM_NAMES}

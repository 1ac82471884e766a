"""What the Tab key finds behind ``wn-rl``: commands, settings, and the words, games and paths that a setting takes.

Reads configs/ and the names of files, and imports nothing that takes long: a shell asks at every press of the key.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wn_rl.app.configured import CONFIG_DIRECTORY, Command, find_folders, read_command
from wn_rl.app.options import AGENTS, CONFIG_DIR_OPTIONS, PATHS, split_options
from wn_rl.envs.games import available_games
from wn_rl.runs.published import list_published

_OPTIONS = ("--help", "--version", "--multirun", CONFIG_DIR_OPTIONS[0])
_OWN_COMMANDS = {"games": (), "completion": ("bash", "zsh", "fish")}
"""Commands without settings, and the words that they take."""
_WITH_LATEST = frozenset({*AGENTS, "resume", "run"})
_TAKES_AGENT = ("evaluate", "watch", "export")
"""Commands to which a bare word is an agent; to ``train`` it is a game."""
_CHOICE = re.compile(r"[a-z0-9][\w-]*")


def complete(words: Sequence[str], commands: Iterable[str]) -> list[str]:
    """What the last word of a command line may become, each as the whole word; one that ends in ``=``, ``.`` or ``/``
    goes on.

    Args:
        words: those behind ``wn-rl``, up to the cursor; the last is empty behind a space.
        commands: the names of all commands.

    Raises:
        ConfigurationError: the line names a folder of configurations that is not there.
    """
    *before, word = words
    if not before:
        return _choose(word, commands)
    name, *before = before
    if name in _OWN_COMMANDS:
        return [] if before else _choose(word, _OWN_COMMANDS[name])
    if name == "paper":
        experiments = sorted(path.name for path in (CONFIG_DIRECTORY / "paper" / "preset").iterdir())
        if not before:
            return _choose(word, experiments)
        name, *before = f"paper/{before[0]}", *before[1:]
    if not (CONFIG_DIRECTORY / f"{name}.yaml").is_file():
        return []
    before = split_options(before)
    if before[-1:] and before[-1] in CONFIG_DIR_OPTIONS:
        return sorted(path for path in _list_paths(word) if path.endswith("/"))
    command = read_command(name, find_folders(before))
    key, equals, value = word.partition("=")
    if equals:
        return [f"{key}={known}" for known in _complete_value(command, key, value)]
    if word.startswith("-"):
        return _choose(word, _OPTIONS)
    given = {other.partition("=")[0] for other in before}
    return sorted({*_complete_key(command, word, given), *(_complete_bare_word(name, word) if word else ())})


def _choose(start: str, words: Iterable[str]) -> list[str]:
    return sorted(word for word in words if word.startswith(start))


def _complete_key(command: Command, start: str, given: set[str]) -> Iterator[str]:
    """Settings that are not said yet, as ``seed=``; of a section its name, as ``replay.``, before they are."""
    for key in {*command.groups, *command.values} - given:
        if key.startswith(start) and "._" not in key:
            section, dot, _ = key[len(start) :].partition(".")
            yield f"{start}{section}." if dot else f"{key}="


def _complete_bare_word(name: str, start: str) -> Iterator[str]:
    """As in ``wn-rl train Pong`` and ``wn-rl watch runs/``."""
    if name in _TAKES_AGENT:
        yield from _choose(start, list_published())
    elif name == "train":
        yield from _choose(start, available_games())
    yield from _list_paths(start)


def _complete_value(command: Command, key: str, start: str) -> list[str]:
    if key in PATHS:
        words = ["latest"] if key in _WITH_LATEST else []
        return [*_choose(start, [*words, *(list_published() if key in AGENTS else ())]), *sorted(_list_paths(start))]
    said, comma, start = start.rpartition(",")  # several values, of several runs
    return [f"{said}{comma}{value}" for value in _choose(start, _list_values(command, key))]


def _list_values(command: Command, key: str) -> Iterable[str]:
    """The words that a setting takes, as far as they can be listed: its comment has them between bars."""
    if key in command.groups:
        return command.groups[key].words
    if key == "game":
        return available_games()
    if isinstance(command.values.get(key), bool) and "|" not in command.comments.get(key, ""):
        return ("true", "false")
    first, *others = command.comments.get(key, "").split(" | ")
    found = [_CHOICE.match(choice) for choice in (first, *others)] if others else []
    return [choice[0] for choice in found if choice is not None]


def _list_paths(start: str) -> Iterator[str]:
    """Files and folders that a path may become, the latter with a slash; hidden ones where a dot asks for them."""
    folder, slash, name = start.rpartition("/")
    place = Path(f"{folder}{slash}").expanduser()
    for path in place.iterdir() if place.is_dir() else ():
        if path.name.startswith(name) and (name or not path.name.startswith(".")):
            yield f"{folder}{slash}{path.name}{'/' if path.is_dir() else ''}"

"""What configs/ says of a command: the settings that it knows, their values and comments, and the words to choose from.

Reads YAML and no code, so that a misspelled setting is told before anything that takes long is imported.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from wn_rl.app.options import CONFIG_DIR_OPTIONS
from wn_rl.errors import ConfigurationError

_PACKAGE = Path(__file__).resolve().parents[1]
CONFIG_DIRECTORY = next(folder for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if folder.is_dir())
"""Inside an installed package, else at the top of the working copy."""

_KEY_LINE = re.compile(r"(?P<indent> *)(?P<key>\w+):(?P<value>[^#]*)(# ?(?P<comment>.*))?$")
_MORE_COMMENT = re.compile(r" {16,}# ?(?P<comment>.*)$")


class Group(NamedTuple):
    """A choice among files, as ``protocol=nature``.

    Attributes:
        default: the file that is taken where nothing is said; None: none.
        words: the files' names.
        folder: theirs, as Hydra calls the choice: mostly its name, and for ``preset`` of the paper's experiments
            ``preset/draw``, as each has presets of its own.
    """

    default: str | None
    words: list[str]
    folder: str


class Command(NamedTuple):
    """What a command can be told.

    Attributes:
        values: settings under their dotted keys, with the values of the first file that has them.
        comments: what the files say of them: meaning, unit, choices, source.
        groups: choices among files.
        help: the template of ``--help``.
    """

    values: dict[str, Any]
    comments: dict[str, str]
    groups: dict[str, Group]
    help: str


@functools.cache
def read_command(name: str, folders: tuple[Path, ...] = ()) -> Command:
    """What ``configs/<name>.yaml``, files that it is made of and the groups that it names say, there and in the user's
    own folders."""
    path = CONFIG_DIRECTORY / f"{name}.yaml"
    directory = path.parent
    content = _read(path)
    values: dict[str, Any] = {}
    comments: dict[str, str] = {}
    groups = {}
    _add(path, "", values, comments)
    for entry in content["defaults"]:
        if isinstance(entry, str) and entry != "_self_":
            _add(directory / f"{entry}.yaml", "", values, comments)
        if not isinstance(entry, dict) or next(iter(entry)).startswith("override"):
            continue
        folder, default = next(iter(entry.items()))
        group = folder.partition("/")[0]
        paths = sorted(path for place in (directory, *folders) for path in (place / folder).glob("*.yaml"))
        groups[group] = Group(default, sorted({path.stem for path in paths}), folder)
        for path in sorted(paths, key=lambda path: path.stem != default):
            if group == "experiment":
                continue  # which says anew what is defined elsewhere
            is_global = path.read_text(encoding="utf-8").startswith("# @package _global_")
            _add(path, "" if is_global else f"{group}.", values, comments)
    return Command(values, comments, groups, content["hydra"]["help"]["template"])


def find_folders(words: Sequence[str]) -> tuple[Path, ...]:
    """The folder of a user's own configurations that a command line names by ``--config-dir``, if it does.

    Raises:
        ConfigurationError: there is no such folder.
    """
    given = [value for word, value in zip(words, [*words, ""][1:], strict=True) if word in CONFIG_DIR_OPTIONS]
    for value in given:
        if not value or not Path(value).is_dir():
            raise ConfigurationError(
                f"{CONFIG_DIR_OPTIONS[0]} {value}: there is no such folder; name one with experiment/,"
                " preset/, ... in it"
            )
    return tuple(Path(value).resolve() for value in given)


def _read(path: Path) -> dict[str, Any]:
    content: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return content or {}


def _add(path: Path, prefix: str, values: dict[str, Any], comments: dict[str, str]) -> None:
    """Add what a file of configs/ defines and nothing before it does."""
    content = {key: value for key, value in _read(path).items() if key not in ("defaults", "hydra")}
    known = {*values, *(key.rpartition(".")[0] for key in values)}
    for key, value in _list_leaves(content, prefix):
        values.setdefault(key, value)
    for key, comment in _list_comments(path.read_text(encoding="utf-8"), prefix):
        if key not in known:
            comments.setdefault(key, comment)


def _list_leaves(content: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _list_leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _list_comments(content: str, prefix: str) -> Iterator[tuple[str, str]]:
    """What stands behind a key on its line, and on the lines below as far to the right."""
    path: list[tuple[int, str]] = []
    key, comment = "", ""
    for line in [*content.splitlines(), ""]:
        if more := _MORE_COMMENT.fullmatch(line):
            comment = f"{comment} {more['comment']}"
            continue
        if comment:
            yield key, comment
        key, comment = "", ""
        if found := _KEY_LINE.fullmatch(line):
            indent = len(found["indent"])
            path = [*(entry for entry in path if entry[0] < indent), (indent, found["key"])]
            key, comment = prefix + ".".join(name for _, name in path), found["comment"] or ""

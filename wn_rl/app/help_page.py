"""What ``--help`` shows: how a command is called, and each setting with its value as given now and what it means."""

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from wn_rl.app.composition import compose_settings
from wn_rl.app.configured import Command
from wn_rl.app.options import CONFIG_DIR_OPTIONS
from wn_rl.app.words import tell_own_files

_COMMENT_COLUMN = 42
_MIN_COMMENT_WIDTH = 40
_OPTIONS = {"--help", "-h", "-m", "--multirun", *CONFIG_DIR_OPTIONS}


def render_help(name: str, command: Command, words: list[str], folders: Sequence[Path] = ()) -> str:
    """The page of ``wn_rl.<name>``.

    Args:
        name: of the command.
        command: what it can be told.
        words: of the command line, in Hydra's grammar.
        folders: of the user's own configurations.
    """
    named = {index + 1 for index, word in enumerate(words) if word in CONFIG_DIR_OPTIONS}
    left = [word for index, word in enumerate(words) if word not in _OPTIONS and index not in named]
    config, _ = compose_settings(name, left, folders)
    width = max(shutil.get_terminal_size((120, 24)).columns, _COMMENT_COLUMN + _MIN_COMMENT_WIDTH)
    choices = "\n".join(
        f"{key}: {', '.join(group.words) or tell_own_files(key)}" for key, group in command.groups.items()
    )
    settings = "\n".join(_list_lines(config, command, width=width))
    return command.help.replace("$APP_CONFIG_GROUPS", f"{choices}\n").replace("$CONFIG", settings)


def _list_lines(config: DictConfig, command: Command, *, width: int, path: str = "", indent: str = "") -> list[str]:
    values: Any = OmegaConf.to_container(config, resolve=False)
    lines = []
    for key, value in values.items():
        name = f"{path}{key}"
        is_section = isinstance(value, dict) and bool(value)
        shown = "" if is_section else f" {_show(value)}"
        lines += _add_comment(f"{indent}{key}:{shown}", command.comments.get(name, ""), width)
        if is_section:
            lines += _list_lines(config[key], command, width=width, path=f"{name}.", indent=f"{indent}  ")
    return lines


def _show(value: Any) -> str:
    if isinstance(value, dict | list):
        return str(value)
    return OmegaConf.to_yaml({"key": value}).removeprefix("key:").strip()


def _add_comment(line: str, comment: str, width: int) -> list[str]:
    """A line with its comment beside it, and below as far to the right."""
    if not comment:
        return [line]
    margin = " " * _COMMENT_COLUMN
    first, *others = textwrap.wrap(comment, width - _COMMENT_COLUMN - 2, break_on_hyphens=False)
    beside = [f"{line:<{_COMMENT_COLUMN}}# {first}"] if len(line) < _COMMENT_COLUMN else [line, f"{margin}# {first}"]
    return [*beside, *(f"{margin}# {other}" for other in others)]

"""A run's config.yaml, which may be a stranger's: plain settings of bounded size that refer to each other alone."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from wn_rl.system.files import read_limited

MAX_BYTES = 2**15
MAX_BRACKETS = 200  # PyYAML takes time that grows with the square of the depth
MAX_ENTRIES, MAX_DEPTH = 5000, 16
MAX_TEXT = 4096  # the longest path of most systems
MAX_REFERENCES, MAX_STEPS = 32, 4  # references that refer to references: at most (32 / 4)^4 are followed

TRUSTED = {"logger.tracking_uri": "${oc.env:MLFLOW_TRACKING_URI,'sqlite:///${run_dir}/mlflow.db'}"}
"""The one setting of configs/ that asks the environment for a value: who starts or resumes an MLflow run wants that."""

_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\}")


def read_configuration(path: Path) -> dict[str, Any]:
    """The settings as they stand in a file, which ``follow_references`` can follow.

    Raises:
        ValueError: it is no plain file, too large, or holds anything but settings.
        OSError: it cannot be read.
    """
    content = read_limited(path, MAX_BYTES, follow_links=False).decode()
    if content.count("[") + content.count("{") > MAX_BRACKETS:
        raise ValueError("it nests too deep for settings")
    try:
        if any(isinstance(token, yaml.AnchorToken | yaml.AliasToken) for token in yaml.scan(content)):
            raise ValueError("it has references, which could unfold to more memory than there is")
        values: Any = OmegaConf.to_container(OmegaConf.create(content), resolve=False)
    except Exception as error:  # whatever PyYAML and OmegaConf make of a damaged file, assertions included
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error
    if not isinstance(values, dict):
        raise ValueError("it holds no settings")
    follow_references(values)
    return values


def follow_references(values: dict[str, Any]) -> dict[str, Any]:
    """The same settings with the value of ``a.b`` in place of ``${a.b}``.

    Nothing else is resolved: what asks for the environment, or for anything but a setting, is refused.

    Raises:
        ValueError: a value is none of a setting, or a reference leads nowhere, in a circle, or far.
    """
    nodes = list(itertools.islice(_list_nodes(values), MAX_ENTRIES + 1))
    if len(nodes) > MAX_ENTRIES:
        raise ValueError(f"it has more than {MAX_ENTRIES} entries")
    if sum(value.count("${") for _, value in nodes if type(value) is str) > MAX_REFERENCES:
        raise ValueError(f"more than {MAX_REFERENCES} of its settings refer to others")
    return {key: _follow(value, key, values, 0) for key, value in values.items()}


def is_reference(text: str) -> bool:
    """Whether a text with ``${`` refers to other settings alone."""
    return "${" not in _REFERENCE.sub("", text)


def _list_nodes(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every value under its dotted key, sections included; ValueError for one that no setting has."""
    yield path, value
    if depth > MAX_DEPTH:
        raise ValueError("it nests too deep for settings")
    if type(value) is dict:
        for key, entry in value.items():
            _check_leaf("a key", key)
            yield from _list_nodes(entry, f"{path}.{key}" if path else str(key), depth + 1)
    elif type(value) in (list, tuple):
        for number, entry in enumerate(value):
            yield from _list_nodes(entry, f"{path}.{number}", depth + 1)
    else:
        _check_leaf(path, value)


def _check_leaf(path: str, value: Any) -> None:
    if type(value) is str:
        value.encode()  # UnicodeEncodeError, a ValueError, where it is no text
        if len(value) > MAX_TEXT:
            raise ValueError(f"{path[:60]} has {len(value):,} letters")
    elif type(value) is int:
        if abs(value) >= 2**63:
            raise ValueError(f"{path[:60]} is a number beyond 64 bits")
    elif value is not None and type(value) not in (bool, float):
        raise ValueError(f"{path[:60]} is of the type {type(value).__name__}")


def _follow(value: Any, path: str, root: dict[str, Any], num_steps: int) -> Any:
    if isinstance(value, dict):
        return {key: _follow(entry, f"{path}.{key}", root, num_steps) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_follow(entry, path, root, num_steps) for entry in value]
    if not isinstance(value, str) or "${" not in value or TRUSTED.get(path) == value:
        return value
    if not is_reference(value):
        raise ValueError(f"{path} is {value!r:.80}, which asks for more than another setting: say what it is to be")
    if num_steps == MAX_STEPS:
        raise ValueError(f"{path} refers to itself, or to others over more than {MAX_STEPS} steps")
    if whole := _REFERENCE.fullmatch(value):
        return _look_up(whole.group(1), root, num_steps + 1)
    text = _REFERENCE.sub(lambda match: str(_look_up(match.group(1), root, num_steps + 1)), value)
    _check_leaf(path, text)
    return text


def _look_up(key: str, root: dict[str, Any], num_steps: int) -> Any:
    found: Any = root
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            raise ValueError(f"it refers to {key[:60]}, which is not there")
        found = found[part]
    if isinstance(found, dict | list | tuple):
        raise ValueError(f"it refers to {key[:60]}, which is a section")
    return _follow(found, key, root, num_steps)

"""A setting is one dataclass field: its bounds, whether a resumed run may change it, and what runs before it did.

``batch_size: int = setting(whole(1))`` is such a field, and configs/ gives it its value. What is checked is a plain
value under its key, as in ``replay.gamma``; a check returns it, or raises ConfigurationError in one line.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields
from difflib import get_close_matches
from typing import Any, NamedTuple

from wn_rl.errors import ConfigurationError, show_value

Check = Callable[[str, Any], Any]

_ABSENT: Any = object()

GREATEST, GREATEST_WHOLE = 1e30, 2**62
"""What computes in 64 bits, and sums of it, stays finite; 0 and infinity are said in other ways."""


class Rule(NamedTuple):
    """What is known of a setting.

    Attributes:
        check: from a key and a plain value to the field's value.
        is_changeable: whether a resumed run may be told another value.
        before: what runs did that were saved before there was this setting, if there were any.
        section: the dataclass of the settings within it, if it is a section.
    """

    check: Check
    is_changeable: bool
    before: Any
    section: type | None


def setting(check: Check, *, changeable: bool = False, before: Any = _ABSENT) -> Any:
    """A field that is a setting; see ``Rule``."""
    return field(metadata={"rule": Rule(check, changeable, before, None)})


def section(kind: type, *, changeable: bool = False, before: Any = _ABSENT) -> Any:
    """A field that holds settings of its own, as a dataclass of them."""

    def check(key: str, value: Any) -> Any:
        return parse(value, kind, key=key)[0]

    return field(metadata={"rule": Rule(check, changeable, before, kind)})


# --- checks


def number(minimum: float = -math.inf, maximum: float = GREATEST, *, above: float | None = None) -> Check:
    """A finite number within bounds."""
    need = f"above {above}" if above is not None else f"of at least {minimum}"

    def check(key: str, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not minimum <= value < math.inf or (above is not None and not value > above):
            raise ConfigurationError(f"{key}={show_value(value)}: needs a number {need}")
        if value > maximum:
            raise ConfigurationError(f"{key}={show_value(value)}: needs a number of at most {maximum}")
        return value

    return check


def whole(minimum: int, maximum: float = GREATEST_WHOLE) -> Check:
    """A whole number within bounds."""
    check_number = number(minimum, maximum)

    def check(key: str, value: Any) -> Any:
        if not isinstance(check_number(key, value), int):
            raise ConfigurationError(f"{key}={show_value(value)}: needs a whole number")
        return value

    return check


def wholes(minimum: int, maximum: int, *, max_length: int) -> Check:
    """A list of one to ``max_length`` whole numbers within bounds."""
    check_whole = whole(minimum, maximum)

    def check(key: str, value: Any) -> Any:
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= max_length:
            raise ConfigurationError(
                f"{key}={str(value)[:100]}: needs a list of 1 to {max_length} whole numbers, as [{minimum}]"
            )
        for entry in value:
            check_whole(key, entry)
        return tuple(value)

    return check


def whole_or_null(minimum: int, maximum: float = GREATEST_WHOLE) -> Check:
    """A whole number within bounds, or None."""
    check_whole = whole(minimum, maximum)
    return lambda key, value: value if value is None else check_whole(key, value)


def share(key: str, value: Any) -> Any:
    """A number between 0 and 1."""
    if number(0)(key, value) > 1:
        raise ConfigurationError(f"{key}={show_value(value)}: needs a number between 0 and 1")
    return value


def share_or_null(key: str, value: Any) -> Any:
    """A number between 0 and 1, or None."""
    return value if value is None else share(key, value)


def limit(key: str, value: Any) -> Any:
    """A number above 0, or None."""
    if value is not None and (type(value) not in (int, float) or not 0 < value <= GREATEST):
        raise ConfigurationError(f"{key}={show_value(value)}: needs a number above 0, or null for no limit")
    return value


def switch(key: str, value: Any) -> Any:
    """True or False."""
    if type(value) is not bool:
        raise ConfigurationError(f"{key}={show_value(value)}: needs true or false")
    return value


def text(key: str, value: Any) -> Any:
    """A word."""
    if type(value) is not str:
        raise ConfigurationError(f"{key}={show_value(value)}: needs a word; put quotes around it")
    return value


def text_or_null(key: str, value: Any) -> Any:
    """A word, or None."""
    return value if value is None else text(key, value)


def one_of(known: Iterable[str]) -> Check:
    """A word of a table or list."""

    def check(key: str, value: Any) -> Any:
        words = list(known)
        if value not in words:
            nearest = get_close_matches(str(value), words, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise ConfigurationError(f"{key}={show_value(value)}: unknown; known: {', '.join(words)}{hint}")
        return value

    return check


def one_of_or_null(known: Iterable[str]) -> Check:
    """A word of a table or list, or None."""
    check_word = one_of(known)
    return lambda key, value: value if value is None else check_word(key, value)


def file_of_configs(key: str, value: Any) -> Any:
    """The settings of somebody else's class, which checks them itself."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{key}={show_value(value)}: needs a file of configs/{key}")
    return value


# --- trees of settings


def get_rules(kind: type) -> dict[str, Rule]:
    """The settings of a dataclass, in their order."""
    return {entry.name: entry.metadata["rule"] for entry in fields(kind) if "rule" in entry.metadata}


def parse(values: Any, *kinds: type, key: str = "") -> list[Any]:
    """One object of each dataclass from plain values, whose keys are the fields of all of them and no others.

    Args:
        values: a mapping, with a mapping for each section.
        kinds: dataclasses of settings.
        key: of the section, in errors.

    Raises:
        ConfigurationError: a setting is missing, unknown, or of a value that it cannot have.
    """
    rules = [get_rules(kind) for kind in kinds]
    known = [name for table in rules for name in table]
    _check_section(key, values, known)
    path = f"{key}." if key else ""
    for name in values:
        if name not in known:
            nearest = get_close_matches(str(name), known, n=1)
            hint = f"did you mean {path}{nearest[0]}?" if nearest else "remove it"
            raise ConfigurationError(f"{path}{name}: there is no such setting; {hint}")
    return [
        kind(**{name: _parse_one(f"{path}{name}", name, values, rule) for name, rule in table.items()})
        for kind, table in zip(kinds, rules, strict=True)
    ]


def check_sections(values: Mapping[str, Any], *kinds: type) -> None:
    """Make sure that what is a section holds settings of its own; raises ConfigurationError where it does not."""
    for name, rule in _join_rules(kinds).items():
        if rule.section is not None and name in values:
            _check_section(name, values[name], list(get_rules(rule.section)))


def _check_section(key: str, value: Any, known: list[str]) -> None:
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"{key}={show_value(value)}: is a section, with settings of its own: {', '.join(known)}"
        )


def _parse_one(key: str, name: str, values: Mapping[str, Any], rule: Rule) -> Any:
    value = values.get(name, rule.before)
    if value is _ABSENT:
        raise ConfigurationError(f"{key} is missing; give it a value")
    return rule.check(key, value)


def list_changeable(*kinds: type, path: str = "") -> list[str]:
    """The keys of what a resumed run may be told anew; of a section that may change as a whole, its own."""
    keys = []
    for name, rule in _join_rules(kinds).items():
        if rule.is_changeable:
            keys.append(f"{path}{name}")
        elif rule.section is not None:
            keys += list_changeable(rule.section, path=f"{path}{name}.")
    return keys


def remove_changeable(values: dict[str, Any], *kinds: type) -> None:
    """Leave what no resumption may change."""
    for name, rule in _join_rules(kinds).items():
        if rule.is_changeable:
            values.pop(name, None)
        elif rule.section is not None and isinstance(values.get(name), dict):
            remove_changeable(values[name], rule.section)


def complete(values: dict[str, Any], given: Mapping[str, Any], *kinds: type) -> None:
    """Add what saved settings lack: what runs of before did, and from ``given`` what may change on resume."""
    for name, rule in _join_rules(kinds).items():
        if name not in values:
            value = given.get(name, rule.before) if rule.is_changeable else rule.before
            if value is not _ABSENT:
                values[name] = value
        elif rule.section is not None and isinstance(values[name], dict):
            others = given.get(name)
            complete(values[name], others if isinstance(others, Mapping) else {}, rule.section)


def find_missing(values: Mapping[str, Any], *kinds: type, path: str = "") -> str | None:
    """The key of a setting that is not there, if any."""
    for name, rule in _join_rules(kinds).items():
        if name not in values:
            return f"{path}{name}"
        if rule.section is not None and isinstance(values[name], Mapping):
            missing = find_missing(values[name], rule.section, path=f"{path}{name}.")
            if missing is not None:
                return missing
    return None


def _join_rules(kinds: Iterable[type]) -> dict[str, Rule]:
    return {name: rule for kind in kinds for name, rule in get_rules(kind).items()}

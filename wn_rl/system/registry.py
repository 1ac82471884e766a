"""Finding a torso, head or normalizer by its name, and giving a user's own one a name."""

from collections.abc import Collection, Mapping, MutableMapping
from difflib import get_close_matches
from typing import TypeVar

from wn_rl.errors import ConfigurationError

Entry = TypeVar("Entry")


def look_up(name: str, table: Mapping[str, Entry], *, what: str) -> Entry:
    """``table[name]``. Raises ConfigurationError in one line, with the nearest and all known names, if absent."""
    if name in table:
        return table[name]
    nearest = get_close_matches(name, table, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    raise ConfigurationError(
        f"{what}={name!r} is unknown; {hint}known: {', '.join(sorted(table))}; where a module of yours registers it,"
        " say plugins=[module]"
    )


def add(name: str, entry: Entry, table: MutableMapping[str, Entry], *, own: Collection[str], what: str) -> None:
    """Make ``entry`` known as ``name``, as a notebook may do again and again.

    Args:
        name: a word.
        entry: what it stands for.
        table: where it is looked up.
        own: the program's own names, which stay what they are.
        what: torso, head, ..., for errors.

    Raises:
        ConfigurationError: the name is taken, or none.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigurationError(f"{what}={name!r}: a name is a word of letters, digits and _")
    if name in own:
        raise ConfigurationError(f"{what}={name!r} is taken by one of this program; give yours another name")
    table[name] = entry

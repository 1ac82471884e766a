"""Finding a torso, head or normalizer by its name."""

from collections.abc import Mapping
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
    raise ConfigurationError(f"{what}={name!r} is unknown; {hint}known: {', '.join(sorted(table))}")

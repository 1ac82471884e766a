"""Modules of a user's own, which register torsos, heads, normalizers and environments; and what callbacks are named.

Imported is what the user types (or passes in Python), and what an installed package announces as an entry point of the
group ``wn_rl.plugins``. What a saved run or an agent says of its own is shown and never imported.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from omegaconf import DictConfig, OmegaConf

from wn_rl.errors import ConfigurationError, show_text, show_value
from wn_rl.system.user_modules import import_typed

ENTRY_POINTS = "wn_rl.plugins"
IMPORTED = ("plugins", "callbacks")
"""Settings that import code: a run that goes on has those of its command line, and not its file's."""


def module_names(key: str, value: Any) -> tuple[str, ...]:
    """The check of ``plugins`` (wn_rl/system/fields.py): a module's name, or a list of them."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(_is_dotted(name) for name in names):
        raise ConfigurationError(f"{key}={show_value(value)}: needs a list of modules, as in {key}=[my_module]")
    return tuple(names)


def callback_entries(key: str, value: Any) -> tuple[dict[str, Any], ...]:
    """The check of ``callbacks``: classes by name, alone or as ``{_target_: module.Class, argument: value}``."""
    entries = [value] if isinstance(value, str | Mapping) else value
    if not isinstance(entries, list | tuple):
        entries = [None]
    found = [{"_target_": entry} if isinstance(entry, str) else entry for entry in entries]
    for entry in found:
        if not isinstance(entry, Mapping) or not _is_dotted(entry.get("_target_")) or "." not in entry["_target_"]:
            raise ConfigurationError(
                f"{key}={show_value(value)}: needs a list of classes, as in {key}=[my_module.MyCallback], or"
                f" '{key}=[{{_target_: my_module.MyCallback, period: 3}}]' with arguments"
            )
    return tuple(dict(entry) for entry in found)


def import_plugins(config: DictConfig) -> None:
    """Import what a command line's ``plugins`` names, and what installed packages announce.

    Raises:
        ConfigurationError: one cannot be imported.
    """
    for point in entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except Exception as error:  # a package may raise anything
            reason = " ".join(str(error).split())[:200]
            raise ConfigurationError(
                f"the installed plug-in {point.name} ({point.value}) cannot be imported: {type(error).__name__}:"
                f" {reason}; mend or uninstall its package"
            ) from error
    for name in module_names("plugins", to_plain(config.plugins)):
        import_typed(name, key="plugins")


def tell_what_is_not_imported(saved: DictConfig, given: DictConfig) -> None:
    """Say which parts of a saved run are not named again, and are not there; ``saved`` then has the given ones."""
    for key in IMPORTED:
        before, now = to_plain(saved.get(key) or []), to_plain(given[key])
        if before and not now:
            print(
                show_text(
                    f"without {key}={show_value(before)}, which this run had and no file may import: name it again"
                )
            )
        saved[key] = now


def _is_dotted(name: Any) -> bool:
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))


def to_plain(value: Any) -> Any:
    """Settings without OmegaConf."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value

"""From the words of a command line to Hydra's: what people write is understood, what is unknown is refused by name.

Hydra's own grammar would ask for quotes around brackets, spaces and letters that are not ASCII, take ``1e6`` for no
whole number, and add whatever it does not know to the configuration, where nobody reads it.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from wn_rl.app.configured import Command
from wn_rl.app.named_paths import find_path, is_bare_game
from wn_rl.app.options import FLAGS, FLAGS_WITH_VALUE, PATHS
from wn_rl.app.renamed import RENAMED_SETTINGS
from wn_rl.errors import ConfigurationError
from wn_rl.networks.renamed_heads import RENAMED_HEADS
from wn_rl.runs.layout import DESCRIPTION_FILE
from wn_rl.system.terminals import quote_command

TEXTS = frozenset({"game", "name", "env.id", "host"})
"""Settings that are a text, no path, also where it looks like a number or a list."""
OPEN = ("env.kwargs.", "optimizer.", "logger.")
"""Sections whose settings are somebody else's, who checks them: more may be said than configs/ does."""
OPEN_OF_STUDIES = ("settings.", "arms.", "problems.", "score_ranges.")
"""Likewise: what a study says of its runs is checked with them."""

_MULTIRUN = {"--multirun", "-m"}
_FLOAT = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SWEEP = re.compile(r"(choice|range|interval|glob|sort|shuffle|tag)\(.*\)")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_KEYWORDS = ("null", "true", "false", "nan", "inf")
_SEVERAL = re.compile(r"[^\[\]{}()'\"]+,[^\[\]{}()'\"]+")


def translate_words(name: str, command: Command, words: list[str]) -> list[str]:
    """The words of ``wn_rl.<name>`` in Hydra's grammar.

    Raises:
        ConfigurationError: a setting is unknown, given twice, removed, or a word cannot be understood.
    """
    translated: list[str] = []
    given: dict[str, str] = {}
    is_multirun = bool(_MULTIRUN & set(words))
    rest = iter(_join_options(name, command, words))
    for word in rest:
        if word in FLAGS_WITH_VALUE:
            translated += [word, next(rest, "")]
            continue
        if word in FLAGS:
            translated.append(word)
            continue
        if not _is_setting(word, command):
            word = _name_bare_word(name, word)
        key, _, value = word.partition("=")
        key = key.lstrip("+")
        _check_key(name, command, key, value)
        if key in given:
            raise ConfigurationError(f"{key} is given twice, as {given[key]} and as {value}; give it once")
        given[key] = value
        translated += _translate(name, command, key, value, is_multirun=is_multirun)
    return translated


def _join_options(name: str, command: Command, words: list[str]) -> list[str]:
    """``--learning-rate 1e-4`` and ``--learning-rate=1e-4`` as ``learning_rate=1e-4``; Hydra's options stay.

    Raises:
        ConfigurationError: an option is unknown, or has no value.
    """
    joined: list[str] = []
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        key = option.lstrip("-").replace("-", "_")
        if word in FLAGS_WITH_VALUE:
            joined += [word, next(rest, "")]
        elif word in FLAGS or not word.startswith("-"):
            joined.append(word)
        elif word.startswith("--") and (key in command.values or key in command.groups):
            value = value if equals else next(rest, "")
            if not value or (not equals and (value.startswith("-") or "=" in value)):
                raise ConfigurationError(f"{word} has no value; say it as in {key}={command.values.get(key, '...')}")
            joined.append(f"{key}={value}")
        else:
            raise ConfigurationError(f"{word}: there is no such option{_suggest(name, command, key)}")
    return joined


def _is_setting(word: str, command: Command) -> bool:
    """Whether a word is ``key=value`` and not a path with such a name; ``~key`` is Hydra's word for removing one."""
    key = word.partition("=")[0].lstrip("+~")
    if word.startswith("~") and "/" not in word:
        return True
    return "=" in word and (key in command.values or key in command.groups or not Path(word).exists())


def _name_bare_word(name: str, word: str) -> str:
    """``evaluate checkpoints/Pong`` means ``agent=checkpoints/Pong``, ``train Pong`` means ``game=Pong``, and so on."""
    path = Path(word)
    if name in ("evaluate", "export") or word.startswith("hf:"):
        return f"agent={word}"
    if name == "train":
        return f"resume={word}" if path.is_dir() else f"game={word}"
    if name.startswith("paper/"):
        return f"resume={word}"
    if path.suffix == ".npz":
        return f"episode={word}"
    is_agent = path.suffix == ".ckpt" or (path / DESCRIPTION_FILE).exists() or is_bare_game(word)
    return f"agent={word}" if is_agent else f"run={word}"


def _check_key(name: str, command: Command, key: str, value: str) -> None:
    """Raises ConfigurationError where there is no such setting; it says the nearest one."""
    if key.startswith("~"):
        raise ConfigurationError(f"{key}: a setting cannot be removed; give it another value, as in {key[1:]}=null")
    if key == "network.head" and value in RENAMED_HEADS:
        head = RENAMED_HEADS[value]["head"]
        raise ConfigurationError(f"network.head={value} is two words now; say network.head={head} network.dueling=true")
    if key.startswith(("hydra.", "hydra/")) or _is_open(name, key) or key in command.groups or key in command.values:
        return
    if any(known.startswith(f"{key}.") for known in command.values):
        return
    if key in RENAMED_SETTINGS:
        new = RENAMED_SETTINGS[key]
        raise ConfigurationError(f"{key} is called {new} now; say {new}={value}")
    raise ConfigurationError(f"{key}: there is no such setting of {name}{_suggest(name, command, key)}")


def _is_open(name: str, key: str) -> bool:
    return key.startswith(OPEN) or (name == "study" and key.startswith(OPEN_OF_STUDIES))


def _suggest(name: str, command: Command, key: str) -> str:
    known = [*command.groups, *command.values]
    last = key.rpartition(".")[2]
    nearest = [entry for entry in known if entry.rpartition(".")[2] == last]
    by_last = {entry.rpartition(".")[2]: entry for entry in reversed(known)}
    nearest = nearest or get_close_matches(key, known, n=2, cutoff=0.7)
    nearest = nearest or [by_last[word] for word in get_close_matches(last, by_last, n=2, cutoff=0.8)]
    if nearest:
        return f"; did you mean {' or '.join(nearest)}?"
    return f"; {quote_command(name, '--help')} lists them all"


def _translate(name: str, command: Command, key: str, value: str, *, is_multirun: bool) -> list[str]:
    """A setting in Hydra's grammar; none where it says what holds without it."""
    if key in command.groups:
        return _translate_choice(name, command, key, value, is_multirun=is_multirun)
    if not is_multirun and key not in PATHS and _SEVERAL.fullmatch(value):
        advice = quote_command(name, "-m", f"{key}={value}", "...")
        raise ConfigurationError(f"{key}={value}: several values make several runs; that is {advice}")
    if key in PATHS | TEXTS:
        return [f"{key}={_map_values(value, partial(_to_text, name, key), is_multirun)}"]
    if type(command.values.get(key)) is int or command.values.get(key) == "auto":
        value = _map_values(value, _to_whole, is_multirun)
    word = f"{'++' if _is_open(name, key) else ''}{key}={value}"
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return [f"{key}={quote_for_hydra(value)}"]
    return [word]


def _translate_choice(name: str, command: Command, key: str, value: str, *, is_multirun: bool) -> list[str]:
    group = command.groups[key]
    if value in ("null", "none", "") and "none" not in group.words and group.default is None:
        return []
    if value in ("null", "") and "none" in group.words:
        value = "none"
    for word in value.split(",") if is_multirun else [value]:
        is_known = word in group.words or bool(_SWEEP.fullmatch(value)) or value.startswith("[")
        if not is_known:
            if not group.words:
                raise ConfigurationError(f"{key}={word}: there is none; {tell_own_files(key)}")
            nearest = get_close_matches(word, group.words, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise ConfigurationError(f"{key}={word}: unknown; known: {', '.join(group.words)}{hint}")
    return [f"{group.folder}={value}"]


def tell_own_files(group: str) -> str:
    """Where files of a user's own lie."""
    return f"yours are files {group}/*.yaml in a folder that --config-dir names"


def _map_values(value: str, function: Callable[[str], str], is_multirun: bool) -> str:
    """Translate a value, or with ``-m`` each of several; what is quoted for Hydra already stays."""
    if re.fullmatch(r"'.*'|\".*\"", value, re.DOTALL) or (is_multirun and _SWEEP.fullmatch(value)):
        return value
    return ",".join(function(one) for one in (value.split(",") if is_multirun else [value]))


def _to_text(name: str, key: str, value: str) -> str:
    """A text as Hydra is told it."""
    if value == "null":
        return value
    return quote_for_hydra(find_path(key, value, name) if key in PATHS else value)


def _to_whole(value: str) -> str:
    """``1e6`` as ``1000000``; anything else as it is."""
    if not _FLOAT.fullmatch(value) or not ("e" in value.lower() or "." in value):
        return value
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 2**63 else value


def quote_for_hydra(value: str) -> str:
    """A text that Hydra takes for this one: between quotes, unless it is a word that means nothing else.

    Hydra halves the backslashes before a quote, and leaves the others.
    """
    if _PLAIN.fullmatch(value) and value.lower() not in _KEYWORDS:
        return value
    inner = re.sub(r"(\\*)'", r"\1\1\\'", value)
    return "'" + re.sub(r"(\\+)$", r"\1\1", inner) + "'"

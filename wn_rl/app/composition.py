"""What the words of a command line, or the arguments of a call in Python, come to: Hydra's configuration."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from omegaconf import DictConfig, OmegaConf, open_dict

from wn_rl.app.configured import CONFIG_DIRECTORY, Command
from wn_rl.app.hydra_version import VERSION_BASE
from wn_rl.app.words import quote_for_hydra, translate_words
from wn_rl.errors import ConfigurationError


def compose_settings(
    name: str, words: list[str], folders: Sequence[Path] = ()
) -> tuple[DictConfig, dict[str, str | None]]:
    """The configuration of ``wn_rl.<name>`` under these words, in Hydra's grammar, and the files that are chosen.

    ``folders`` hold configurations of the user's own, as ``experiment/mine.yaml``.

    Callers may be programs with a Hydra of their own at work: it stays as it is.
    """
    path = CONFIG_DIRECTORY / name
    with _own_hydra(path.parent):
        places = ",".join(quote_for_hydra(f"file://{folder}") for folder in folders)
        words = [*words, f"hydra.searchpath=[{places}]"] if folders else words
        config = compose(path.name, overrides=words, return_hydra_config=True)
        choices = OmegaConf.to_container(config.hydra.runtime.choices)
        with open_dict(config):
            del config["hydra"]
    assert isinstance(choices, dict)
    return config, {str(group): choice for group, choice in choices.items()}


def check_places(config: DictConfig) -> None:
    """Make sure that a configuration of training says what to play, and one place for it alone.

    Raises:
        ConfigurationError: it does not.
    """
    if config.resume is None and config.game is None and config.env.name == "atari":
        raise ConfigurationError("game is missing; name one, as in: python -m wn_rl.train game=Breakout")
    if config.resume is not None and config.run_dir is not None:
        raise ConfigurationError(
            f"run_dir={config.run_dir}: a run goes on in its own folder; leave it out, or copy {config.resume} there"
            " first and resume the copy"
        )


@contextmanager
def _own_hydra(directory: Path) -> Iterator[None]:
    others = Singleton.get_state()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(directory), **VERSION_BASE):
            yield
    finally:
        Singleton.set_state(others)


def translate_arguments(name: str, command: Command, arguments: Mapping[str, Any]) -> list[str]:
    """Arguments of a call, as ``preset="quick", replay={"n_step": 3}``, as words in Hydra's grammar.

    A section's settings are a dictionary, or stand under their dotted keys; a text is understood as on a command line.

    Raises:
        ConfigurationError: there is no such setting, or its value is none that a setting can have.
    """
    return translate_words(name, command, write_words(arguments))


def write_words(settings: Mapping[str, Any]) -> list[str]:
    """Settings as words of a command line, ``key=value``; a section's stand under their dotted keys.

    Raises:
        ConfigurationError: a value is none that a setting can have.
    """
    return [f"{key}={_show(key, value)}" for key, value in _flatten(settings)]


def _flatten(arguments: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in arguments.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _show(key: str, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float | Path):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_show(key, entry) for entry in value)}]"
    raise ConfigurationError(f"{key}={value!r:.100}: needs a number, a text, a truth value, or a list of those")

"""A run's configuration: found by itself where it says auto, checked, written, and compared on resume."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from wn_rl.app.build import as_dict, find_kinds, make_protocol, parse_settings
from wn_rl.app.machine import (
    choose_num_envs,
    resolve_accelerator,
    resolve_precision,
    resolve_storage,
    resolve_threads,
)
from wn_rl.app.renamed import rename_settings
from wn_rl.envs.games import resolve_game
from wn_rl.envs.gymnasium_environments import import_environment
from wn_rl.envs.selection import check_game, find_observation
from wn_rl.errors import ConfigurationError
from wn_rl.networks.torsos import choose_torso
from wn_rl.runs.layout import CONFIG_FILE
from wn_rl.system.fields import check_sections, complete, find_missing, list_changeable, remove_changeable, text
from wn_rl.system.files import read_limited, write_whole

MAX_CONFIG_BYTES = 2**15
MAX_CONFIG_BRACKETS = 200  # PyYAML takes time that grows with the square of the depth


def resolve_configuration(config: DictConfig) -> DictConfig:
    """A copy without any ``auto``, with the game's canonical name, checked.

    Raises:
        ConfigurationError: a value or a combination that cannot work, in one line that says what to do.
    """
    resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=False))
    assert isinstance(resolved, DictConfig)
    check_sections(resolved, *find_kinds(resolved))
    resolve_environment(resolved)
    observation = find_observation(resolved.game, make_protocol(resolved))
    if resolved.network.torso == "auto":
        resolved.network.torso = choose_torso(observation)
    resolved.accelerator = resolve_accelerator(str(config.accelerator))
    resolved.precision = resolve_precision(str(config.precision), resolved.accelerator, observation)
    if resolved.num_envs == "auto":
        resolved.num_envs = choose_num_envs()
    if resolved.get("learning_rate_decay_agent_steps") == "auto":
        resolved.learning_rate_decay_agent_steps = resolved.total_agent_steps
    resolve_threads(resolved, learns_while_playing=find_kinds(resolved)[1].learns_while_playing)
    _check(resolved)
    resolve_storage(resolved, observation)
    return resolved


def _check(config: DictConfig) -> None:
    """Refuse what cannot work, before anything is allocated."""
    run, learner = parse_settings(config)
    learner.check(network=run.network, normalizer=run.normalizer, accelerator=run.accelerator)


def resolve_environment(config: DictConfig) -> None:
    """Put the canonical name of what is played into ``game``: an Atari game, or the id that the user typed.

    Raises:
        ConfigurationError: there is none, or none of that name.
    """
    if config.env.name == "gymnasium":
        if config.env.id is None or config.game is not None:
            raise ConfigurationError(f"env=gymnasium, game={config.game}: name it by env.id=CartPole-v1 alone")
        config.game = config.env.id = import_environment(text("env.id", config.env.id))
        return
    if config.env.id is not None:
        raise ConfigurationError(f"env.id={config.env.id} is no Atari game; say env=gymnasium too")
    if config.game is None:
        raise ConfigurationError("game is missing; name one, as in: python -m wn_rl.train game=Breakout")
    config.game = resolve_game(text("game", config.game))


def save_configuration(config: DictConfig, run_dir: Path) -> None:
    """Write ``config.yaml`` into the run folder, whole or not at all."""
    write_whole(run_dir / CONFIG_FILE, OmegaConf.to_yaml(config).encode())


def load_configuration(run_dir: Path) -> DictConfig:
    """The configuration that a run was started with, under the names of now.

    Raises:
        ConfigurationError: no such folder, or none that training wrote.
    """
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        raise ConfigurationError(f"{run_dir} is no run folder: it has no {CONFIG_FILE}; name one under runs/")
    try:
        content = read_limited(path, MAX_CONFIG_BYTES).decode()
        if content.count("[") + content.count("{") > MAX_CONFIG_BRACKETS:
            raise ValueError("it nests too deep for settings")
        if any(isinstance(token, yaml.AnchorToken | yaml.AliasToken) for token in yaml.scan(content)):
            raise ValueError("it has references, which could unfold to more memory than there is")
        config = OmegaConf.create(content)
        OmegaConf.to_container(config, resolve=True)
        values: Any = OmegaConf.to_container(config, resolve=False)
    except Exception as error:  # whatever PyYAML and OmegaConf make of a damaged file, assertions included
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigurationError(f"{path} cannot be read: {reason}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} cannot be read: it holds no settings")
    rename_settings(values)
    return OmegaConf.create(values)


def resume_configuration(given: DictConfig, overrides: list[str], run_dir: Path) -> DictConfig:
    """The saved configuration of a run, with what the command line changes where a change is allowed.

    Args:
        given: the configuration composed from the command line.
        overrides: the words of the command line, as ``key=value``.

    Raises:
        ConfigurationError: a setting differs that would make it another run; the message shows both values.
    """
    saved = _load_whole(run_dir, given)
    changeable = list_changeable(*find_kinds(saved))
    if given.env.id is not None:  # what the user types may import a module
        given = copy.deepcopy(given)
        given.env.id = import_environment(text("env.id", given.env.id))
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key in ("resume", "run_dir"):
            continue
        new, old = (_as_plain(OmegaConf.select(config, key)) for config in (given, saved))
        if key == "game":
            new = resolve_game(str(new))
        if key == "preset":  # a choice of settings, and none itself
            new = override.partition("=")[2]
        if new == old:
            continue
        if not {key, key.partition(".")[0]} & set(changeable):
            raise ConfigurationError(
                f"{key} was {old} when this run began and cannot become {new} on resume;"
                f" leave it out, or start a new run (may change: {', '.join(changeable)})"
            )
        OmegaConf.update(saved, key, new, merge=False)
    resolve_threads(saved, learns_while_playing=find_kinds(saved)[1].learns_while_playing)
    _check(saved)
    protocol = make_protocol(saved)
    if check_game(saved.game, protocol) != saved.game:
        raise ConfigurationError(f"{run_dir / CONFIG_FILE} says game={saved.game}: that is no game's name")
    observation = find_observation(saved.game, protocol)
    resolve_accelerator(saved.accelerator)
    resolve_storage(saved, observation)
    return saved


def _load_whole(run_dir: Path, given: DictConfig) -> DictConfig:
    """A saved configuration with all settings of this version; those that may change come from ``given``.

    Raises:
        ConfigurationError: another setting is missing: the file was cut or edited, or is another version's.
    """
    saved = load_configuration(run_dir)
    values: Any = OmegaConf.to_container(saved, resolve=False)
    kinds = find_kinds(values)
    others: Any = OmegaConf.to_container(given, resolve=False)
    complete(values, others, *kinds)
    missing = find_missing(values, *kinds)
    if missing is not None:
        raise ConfigurationError(f"{run_dir / CONFIG_FILE} lacks {missing}; put it back, or start a new run")
    return OmegaConf.create(values)


def select_fixed_settings(values: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that no resumption may change, as plain values."""
    fixed = as_dict(OmegaConf.create(dict(values)))
    rename_settings(fixed)
    kinds = find_kinds(fixed)
    complete(fixed, {}, *kinds)
    remove_changeable(fixed, *kinds)
    for key in ("run_dir", "resume"):
        fixed.pop(key, None)
    return fixed


def _as_plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=False) if OmegaConf.is_config(value) else value

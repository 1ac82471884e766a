"""A run's configuration: found by itself where it says auto, checked, written, and compared on resume."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from wn_rl.app.build import as_dict, find_kinds, make_protocol, parse_settings, resolve_storage
from wn_rl.app.initial_agent import load_initial_agent
from wn_rl.app.machine import (
    choose_num_envs,
    fit_threads,
    resolve_accelerator,
    resolve_precision,
    resolve_threads,
)
from wn_rl.app.plugins import IMPORTED, tell_what_is_not_imported
from wn_rl.app.renamed import rename_settings
from wn_rl.app.targets import check_saved_logger
from wn_rl.envs.games import resolve_game
from wn_rl.envs.gymnasium_environments import import_environment
from wn_rl.envs.selection import check_game, find_observation
from wn_rl.errors import ConfigurationError, show_value
from wn_rl.networks.torsos import choose_torso
from wn_rl.runs.configuration_file import TRUSTED, follow_references, is_reference, read_configuration
from wn_rl.runs.layout import CONFIG_FILE
from wn_rl.system.fields import check_sections, complete, find_missing, list_changeable, remove_changeable, text
from wn_rl.system.files import write_whole

AUTO_DURATIONS = (
    "learning_rate_decay_agent_steps", "replay.importance_exponent_agent_steps", "replay.gamma_agent_steps"
)  # fmt: skip
"""Settings that are as long as the run where they say auto."""
PLACES = ("run_dir", "resume", "sweep")
"""Settings that say where a run lies, and not what it is."""


def resolve_configuration(config: DictConfig) -> DictConfig:
    """A copy without any ``auto``, with the game's canonical name, checked.

    Raises:
        ConfigurationError: a value or a combination that cannot work, in one line that says what to do.
    """
    resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=False))
    assert isinstance(resolved, DictConfig)
    _replace_resolvers(resolved)
    check_sections(resolved, *find_kinds(resolved))
    resolve_environment(resolved)
    observation = find_observation(resolved.game, make_protocol(resolved))
    if resolved.network.torso == "auto":
        resolved.network.torso = choose_torso(observation)
    resolved.accelerator = resolve_accelerator(str(config.accelerator))
    resolved.precision = resolve_precision(str(config.precision), resolved.accelerator, observation)
    if resolved.num_envs == "auto":
        resolved.num_envs = choose_num_envs()
    for key in AUTO_DURATIONS:
        if OmegaConf.select(resolved, key) == "auto":
            OmegaConf.update(resolved, key, resolved.total_agent_steps)
    if resolved.initial_agent is not None:
        load_initial_agent(text("initial_agent", resolved.initial_agent))
        resolved.initialization = "agent"
    resolve_threads(resolved, learns_while_playing=find_kinds(resolved)[1].learns_while_playing)
    _check(resolved)
    resolve_storage(resolved, observation)
    return resolved


def _replace_resolvers(config: DictConfig) -> None:
    """Put the values of now in place of what only this machine can say, as ``${oc.env:USER}``."""
    for key, value in _list_texts(OmegaConf.to_container(config, resolve=False)):
        if not is_reference(value) and TRUSTED.get(key) != value:
            OmegaConf.update(config, key, OmegaConf.select(config, key))


def _list_texts(values: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The texts of nested settings under their dotted keys."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _list_texts(value, f"{path}.{key}" if path else str(key))
    elif isinstance(values, str):
        yield path, values


def _check(config: DictConfig) -> None:
    """Refuse what cannot work, before anything is allocated."""
    run, learner = parse_settings(config)
    if learner.initialization == "agent" and run.initial_agent is None:
        raise ConfigurationError(
            "initialization=agent: whose weights? Name an agent, as in initial_agent=runs/Pong/<run>"
        )
    if run.callbacks and learner.num_learners > 1:
        raise ConfigurationError(
            f"callbacks= has not been tried with {learner.num_learners} learners; leave it out, or say devices=1"
        )
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
        if isinstance(config.protocol, DictConfig):
            config.protocol = as_dict(config.protocol)  # with env.kwargs: saved settings refer to no section
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
        values = read_configuration(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
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
    tell_what_is_not_imported(saved, given)
    _check_logger(saved, overrides, run_dir)
    changeable = list_changeable(*find_kinds(saved))
    if given.env.id is not None:  # what the user types may import a module
        given = copy.deepcopy(given)
        given.env.id = import_environment(text("env.id", given.env.id))
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key in (*PLACES, *IMPORTED):
            continue
        new, old = (_to_plain(OmegaConf.select(config, key)) for config in (given, saved))
        if key == "game":
            new = resolve_game(str(new))
        if key in ("preset", "experiment"):  # a choice of settings, and none itself
            new = override.partition("=")[2]
        is_changeable = bool({key, key.partition(".")[0]} & set(changeable))
        if not is_changeable:
            new = _find_automatic(new, old)
        if new == old:
            continue
        if not is_changeable:
            raise ConfigurationError(
                f"{key} was {show_value(old)} when this run began and cannot become {show_value(new)} on resume;"
                f" leave it out, or start a new run (may change: {', '.join(changeable)})"
            )
        OmegaConf.update(saved, key, new, merge=False)
    fit_threads(saved, typed={override.partition("=")[0].lstrip("+~") for override in overrides})
    resolve_threads(saved, learns_while_playing=find_kinds(saved)[1].learns_while_playing)
    _check(saved)
    protocol = make_protocol(saved)
    if check_game(saved.game, protocol) != saved.game:
        raise ConfigurationError(f"{run_dir / CONFIG_FILE} says game={saved.game}: that is no game's name")
    observation = find_observation(saved.game, protocol)
    resolve_accelerator(saved.accelerator)
    resolve_storage(saved, observation)
    return saved


def _find_automatic(new: Any, old: Any) -> Any:
    """What is asked for, where ``auto`` is what the run found when it began."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: _find_automatic(value, old.get(key)) for key, value in new.items()}
    return old if new == "auto" else new


def _check_logger(saved: DictConfig, overrides: list[str], run_dir: Path) -> None:
    """Keep a saved logger, which may be a stranger's, to the run folder, as far as the command line says no other."""
    words = {override.partition("=")[0].lstrip("+~") for override in overrides}
    if isinstance(saved.logger, DictConfig) and "logger" not in words:
        own_keys = {word.removeprefix("logger.") for word in words if word.startswith("logger.")}
        moved = {**_to_plain(saved), "run_dir": str(run_dir)}
        check_saved_logger(follow_references(moved)["logger"], run_dir, own_keys=own_keys)


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
    """The settings of a run that no resumption may change, as plain values.

    Raises:
        ValueError: it holds what no configuration does.
    """
    fixed = follow_references(_to_plain(values))
    rename_settings(fixed)
    kinds = find_kinds(fixed)
    complete(fixed, {}, *kinds)
    remove_changeable(fixed, *kinds)
    for key in PLACES:
        fixed.pop(key, None)
    return fixed


def _to_plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=False) if OmegaConf.is_config(value) else value

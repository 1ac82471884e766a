"""Which settings can work? What single numbers cannot say: words, switches, rules of play, and combinations."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from wn_rl.envs.protocols import Protocol
from wn_rl.errors import ConfigurationError
from wn_rl.nn.heads import HEADS
from wn_rl.nn.names import look_up
from wn_rl.nn.normalizers import make_normalizer
from wn_rl.nn.torsos import TORSOS

_SWITCHES = ("double", "progress")
_OPTIONAL_LIMITS = ("max_gradient_norm", "replay.reward_clip")
_LARGEST = {
    "num_envs": 4096,  # emulators, of some megabytes each
    "replay.n_step": 255,  # a byte per transition
    "network.stack_size": 256,
    "video.scale": 20,
    "evaluation.num_envs": 4096,
}


def check_kinds(config: DictConfig) -> None:
    """Make sure that words are known, switches are on or off, and limits are numbers above 0 or null.

    Raises:
        ConfigurationError: in one line, with what is known or needed.
    """
    for key in _SWITCHES:
        value = OmegaConf.select(config, key)
        if type(value) is not bool:
            raise ConfigurationError(f"{key}={value}: needs true or false")
    for key in _OPTIONAL_LIMITS:
        value = OmegaConf.select(config, key)
        if value is not None and (type(value) not in (int, float) or not 0 < value < float("inf")):
            raise ConfigurationError(f"{key}={value}: needs a number above 0, or null for no limit")
    for key, largest in _LARGEST.items():
        value = OmegaConf.select(config, key)
        if value > largest:
            raise ConfigurationError(f"{key}={value}: needs a number of at most {largest}")
    for key in ("name", "run_dir", "resume"):
        value = OmegaConf.select(config, key)
        if value is not None and type(value) is not str:
            raise ConfigurationError(f"{key}={value}: needs a word; put quotes around it")
    if "/" in config.name:
        raise ConfigurationError(f"name={config.name}: needs a word without /; it ends the run folder's name")
    make_normalizer(str(config.normalizer))
    look_up(str(config.network.torso), TORSOS, what="torso")
    look_up(str(config.network.head), HEADS, what="head")
    Protocol.from_values(_as_values(config.protocol, "protocol"))


def check_combinations(config: DictConfig) -> None:
    """Make sure that the replay holds a transition of every environment, and the warm-up what is drawn from it.

    Raises:
        ConfigurationError: in one line, with the number that would do.
    """
    smallest = config.num_envs * (config.network.stack_size + config.replay.n_step)
    if config.replay.capacity < smallest:
        raise ConfigurationError(
            f"replay.capacity={config.replay.capacity} is less than num_envs * (network.stack_size + replay.n_step) ="
            f" {smallest}; raise replay.capacity to at least that, or lower num_envs={config.num_envs}"
        )
    shortest = config.num_envs * config.replay.n_step
    if config.warmup_agent_steps < shortest:
        raise ConfigurationError(
            f"warmup_agent_steps={config.warmup_agent_steps} is less than num_envs * replay.n_step = {shortest}: no"
            f" transition would be complete before the first update; raise it to at least {shortest}"
        )
    if config.iteration_agent_steps < config.num_envs:
        raise ConfigurationError(
            f"iteration_agent_steps={config.iteration_agent_steps} is less than num_envs={config.num_envs}, one step"
            " of each; raise the first or lower the second"
        )


def _as_values(branch: Any, key: str) -> dict[str, object]:
    if not isinstance(branch, DictConfig):
        raise ConfigurationError(f"{key}={branch}: needs a file of configs/{key}, as in {key}=machado")
    values = OmegaConf.to_container(branch, resolve=True)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}

"""Which settings can work? Numbers, words, switches, rules of play, and how they go together."""

import math
from typing import Any

from omegaconf import DictConfig, OmegaConf

from wn_rl.envs.protocols import Protocol
from wn_rl.errors import ConfigurationError
from wn_rl.networks.heads import HEADS
from wn_rl.networks.torsos import TORSOS
from wn_rl.nn.normalizers import AFFINE_NORMALIZERS, make_normalizer
from wn_rl.replay.storage_choice import STORAGE_NAMES
from wn_rl.system.registry import look_up

_MINIMA = {
    "total_agent_steps": 1, "iteration_agent_steps": 1, "chunk_agent_steps": 1, "warmup_agent_steps": 1,
    "batch_size": 1, "samples_per_agent_step": 0, "learning_rate": 0, "target_period_updates": 1,
    "advantage_learning": 0, "weight_decay": 0, "initialization_batch_size": 2, "initial_q_deviation": 1e-6,
    "exploration.initial_epsilon": 0, "exploration.final_epsilon": 0, "exploration.decay_agent_steps": 0,
    "exploration.max_repeats": 1, "replay.capacity": 1, "replay.n_step": 1, "replay.gamma": 0,
    "replay.priority_exponent": 0, "replay.importance_exponent": 0,
    "evaluation.episodes": 0, "evaluation.epsilon": 0, "evaluation.num_envs": 1,
    "evaluation.seed": 0, "seed": 0, "video.period_iterations": 0, "video.max_seconds": 1, "video.scale": 1,
    "checkpoint.keep_last": 1, "checkpoint.keep_best": 0,
    "weight_statistics.period_agent_steps": 0, "weight_statistics.num_states": 1,
    "weight_statistics.dormant_threshold": 0, "weight_statistics.rank_threshold": 0,
    "num_envs": 1, "num_threads": 1, "num_env_threads": 1, "minibatch_parts": 1, "network.hidden_units": 1,
    "network.stack_size": 1,
}  # fmt: skip
_SHARES = (
    "exploration.initial_epsilon",
    "exploration.final_epsilon",
    "evaluation.epsilon",
    "replay.gamma",
    "replay.priority_exponent",
    "replay.importance_exponent",
)
_WHOLE_NUMBERS = tuple(
    key for key in _MINIMA
    if key not in {
        *_SHARES, "samples_per_agent_step", "advantage_learning", "learning_rate", "weight_decay",
        "initial_q_deviation", "weight_statistics.dormant_threshold", "weight_statistics.rank_threshold",
    }
)  # fmt: skip
_SWITCHES = ("double", "progress", "network.center_pixels")
_OPTIONAL_LIMITS = ("max_gradient_norm", "replay.reward_clip")
_LARGEST = {
    "num_envs": 4096,  # emulators, of some megabytes each
    "exploration.max_repeats": 1_000_000,
    "advantage_learning": 0.99,  # 1 - alpha divides
    "replay.n_step": 255,  # a byte per transition
    "network.stack_size": 256,
    "video.scale": 20,
    "evaluation.num_envs": 4096,
}


def check_configuration(config: DictConfig) -> None:
    """Refuse what cannot work, before anything is allocated.

    Raises:
        ConfigurationError: in one line: what was got, what is needed, what to do.
    """
    _check_numbers(config)
    _check_kinds(config)
    _check_words(config)
    _check_combinations(config)


def _check_numbers(config: DictConfig) -> None:
    for key, minimum in _MINIMA.items():
        value = OmegaConf.select(config, key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not minimum <= value < math.inf:
            raise ConfigurationError(f"{key}={value}: needs a number of at least {minimum}")
    for key in _WHOLE_NUMBERS:
        if not isinstance(OmegaConf.select(config, key), int):
            raise ConfigurationError(f"{key}={OmegaConf.select(config, key)}: needs a whole number")
    for key in _SHARES:
        if OmegaConf.select(config, key) > 1:
            raise ConfigurationError(f"{key}={OmegaConf.select(config, key)}: needs a number between 0 and 1")
    if not config.learning_rate > 0:
        raise ConfigurationError(f"learning_rate={config.learning_rate}: needs a number above 0")
    for key, largest in _LARGEST.items():
        value = OmegaConf.select(config, key)
        if value > largest:
            raise ConfigurationError(f"{key}={value}: needs a number of at most {largest}")


def _check_kinds(config: DictConfig) -> None:
    """Switches are on or off, limits are numbers above 0 or null, names are words."""
    for key in _SWITCHES:
        value = OmegaConf.select(config, key)
        if type(value) is not bool:
            raise ConfigurationError(f"{key}={value}: needs true or false")
    for key in _OPTIONAL_LIMITS:
        value = OmegaConf.select(config, key)
        if value is not None and (type(value) not in (int, float) or not 0 < value < float("inf")):
            raise ConfigurationError(f"{key}={value}: needs a number above 0, or null for no limit")
    for key in ("name", "run_dir", "resume"):
        value = OmegaConf.select(config, key)
        if value is not None and type(value) is not str:
            raise ConfigurationError(f"{key}={value}: needs a word; put quotes around it")
    if "/" in config.name:
        raise ConfigurationError(f"name={config.name}: needs a word without /; it ends the run folder's name")


def _check_words(config: DictConfig) -> None:
    """What is chosen by name is known."""
    make_normalizer(str(config.normalizer))
    look_up(str(config.network.torso), TORSOS, what="torso")
    look_up(str(config.network.head), HEADS, what="head")
    Protocol.from_values(_as_values(config.protocol, "protocol"))
    known = {
        "initialization": ("data_dependent", "random"),
        "error_function": ("mse", "huber"),
        "replay.storage": ("auto", *STORAGE_NAMES),
        "replay.sampler": ("uniform", "prioritized"),
    }
    for key, words in known.items():
        word = OmegaConf.select(config, key)
        if word not in words:
            raise ConfigurationError(f"{key}={word}: unknown; known: {', '.join(words)}")


def _check_combinations(config: DictConfig) -> None:
    """The replay holds a minibatch and a transition of every environment, and the warm-up what is drawn from it."""
    if HEADS[config.network.head].is_distributional and config.error_function != "huber":
        raise ConfigurationError(
            f"network.head={config.network.head} learns by quantile Huber regression, not by error_function="
            f"{config.error_function}; say error_function=huber"
        )
    if config.network.center_pixels and config.initialization != "data_dependent":
        raise ConfigurationError(
            f"network.center_pixels=true takes the mean frame from the data of the first weights, and initialization="
            f"{config.initialization} looks at none; say initialization=data_dependent, or network.center_pixels=false"
        )
    if config.minibatch_parts > 1:
        _check_parts(config)
    if config.replay.storage == "device" and config.accelerator == "cpu":
        raise ConfigurationError("replay.storage=device needs a GPU, and accelerator=cpu; use ram, compressed or auto")
    if config.replay.capacity < config.batch_size:
        raise ConfigurationError(
            f"replay.capacity={config.replay.capacity} is less than batch_size={config.batch_size};"
            " raise replay.capacity"
        )
    if config.warmup_agent_steps > config.replay.capacity:
        raise ConfigurationError(
            f"warmup_agent_steps={config.warmup_agent_steps} is more than replay.capacity={config.replay.capacity};"
            " lower the first or raise the second"
        )
    if config.warmup_agent_steps >= min(config.iteration_agent_steps, config.total_agent_steps):
        raise ConfigurationError(
            f"warmup_agent_steps={config.warmup_agent_steps} does not end within the first iteration"
            f" (iteration_agent_steps={config.iteration_agent_steps}, total_agent_steps={config.total_agent_steps});"
            " lower it or raise those"
        )
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


def _check_parts(config: DictConfig) -> None:
    """Minibatches are taken apart for the threads of a CPU, where no layer looks at several examples."""
    hindrances = {
        f"accelerator={config.accelerator}": config.accelerator != "cpu",
        "compile=true": config.compile,
        f"normalizer={config.normalizer}": config.normalizer not in AFFINE_NORMALIZERS,
    }
    for setting, hinders in hindrances.items():
        if hinders:
            raise ConfigurationError(
                f"minibatch_parts={config.minibatch_parts} needs accelerator=cpu, compile=false and normalizer="
                f"{' or '.join(AFFINE_NORMALIZERS)}, not {setting}; say minibatch_parts=1, or auto"
            )


def _as_values(branch: Any, key: str) -> dict[str, object]:
    if not isinstance(branch, DictConfig):
        raise ConfigurationError(f"{key}={branch}: needs a file of configs/{key}, as in {key}=machado")
    values = OmegaConf.to_container(branch, resolve=True)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}

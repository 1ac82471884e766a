"""From a configuration to the objects of a run; the only user of hydra.instantiate."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class, instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from wn_rl.acting.collector import Collector
from wn_rl.acting.policies import Policy, QFunction
from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.algorithms.dqn import DQN
from wn_rl.envs.atari import AtariEnvironments
from wn_rl.envs.protocols import Protocol
from wn_rl.errors import ConfigurationError
from wn_rl.learning.schedules import LinearSchedule, RunLength
from wn_rl.learning.settings import DQNSettings
from wn_rl.networks.q_network import QNetwork, make_q_network
from wn_rl.nn.optimizer_groups import make_parameter_groups
from wn_rl.replay.persistence import ReplayArchive
from wn_rl.replay.prioritized_sampler import PrioritizedSampler
from wn_rl.replay.replay import Replay
from wn_rl.replay.samplers import Sampler, UniformSampler
from wn_rl.replay.storage_choice import make_storage
from wn_rl.runs.layout import REPLAY_FOLDER
from wn_rl.system.registry import look_up
from wn_rl.system.seeding import make_stream
from wn_rl.types import VectorEnvironment


def make_protocol(config: DictConfig) -> Protocol:
    """The rules of play that ``config.protocol`` states."""
    return Protocol.from_values(as_dict(config.protocol))


def make_device(config: DictConfig) -> torch.device:
    """Where the learner computes."""
    return torch.device("cuda" if config.accelerator == "gpu" else "cpu")


def make_environments(config: DictConfig, *, num_envs: int, num_threads: int) -> VectorEnvironment:
    """As many environments of the run's game, under its protocol; their threads start here."""
    return AtariEnvironments(
        game=config.game, protocol=make_protocol(config), num_envs=num_envs, num_threads=num_threads
    )


def describe_network(config: DictConfig, environments: VectorEnvironment) -> dict[str, Any]:
    """The arguments of ``make_q_network``, as plain values that a saved agent carries."""
    return {
        **as_dict(config.network),
        "normalizer": config.normalizer,
        "num_actions": environments.num_actions,
        "frame_shape": list(environments.frame_shape),
    }


def make_network(description: dict[str, Any], generator: torch.Generator | None) -> QNetwork:
    """The Q-network of a description."""
    return make_q_network(**{**description, "frame_shape": tuple(description["frame_shape"])}, generator=generator)


def make_sampler(config: DictConfig) -> Sampler:
    """What decides which transitions of the replay are drawn."""
    if config.replay.sampler == "uniform":
        return UniformSampler()
    return PrioritizedSampler(
        priority_exponent=config.replay.priority_exponent, importance_exponent=config.replay.importance_exponent
    )


def make_replay(config: DictConfig, environments: VectorEnvironment) -> Replay:
    """The replay, without its memory yet."""
    device = make_device(config)
    return Replay(
        capacity=config.replay.capacity, num_lanes=environments.num_envs, frame_shape=environments.frame_shape,
        stack_size=config.network.stack_size, n_step=config.replay.n_step, gamma=config.replay.gamma,
        reward_clip=config.replay.reward_clip,
        life_loss_ends_discount=config.protocol.life_loss_ends_discount,
        storage=make_storage(config.replay.storage, device), sampler=make_sampler(config),
        device=device,
    )  # fmt: skip


def check_targets(config: DictConfig) -> None:
    """Make sure that a configuration, which may be a stranger's, names an optimizer and a logger, and nothing else.

    Raises:
        ConfigurationError: it would call something else, or the optimizer does not take what it is given.
    """
    for key, kind in (("optimizer", torch.optim.Optimizer), ("logger", Logger)):
        if not isinstance(config[key], DictConfig | None):
            raise ConfigurationError(f"{key}={config[key]}: needs a file of configs/{key}")
        branch = as_dict(config[key]) if config[key] is not None else {}
        if key == "logger" and "_target_" not in branch:
            continue
        if any(_names_targets(value) for name, value in branch.items() if name != "_target_"):
            raise ConfigurationError(f"{key} has a _target_ within its settings, which would be called; remove it")
        _check_target(key, branch.get("_target_"), kind)
    try:
        instantiate(config.optimizer)([nn.Parameter(torch.zeros(1))])
    except Exception as error:  # Hydra's own, and whatever an optimizer makes of its arguments
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"optimizer cannot be made of its settings: {reason}") from error


def _names_targets(value: Any) -> bool:
    if isinstance(value, dict):
        return "_target_" in value or any(_names_targets(entry) for entry in value.values())
    return isinstance(value, list) and any(_names_targets(entry) for entry in value)


def _check_target(key: str, target: Any, kind: type) -> None:
    try:
        found = get_class(str(target))
    except Exception as error:  # importing a module may raise anything
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"{key}._target_={target} cannot be imported: {reason}") from error
    if not issubclass(found, kind):
        raise ConfigurationError(f"{key}._target_={target} is no {kind.__name__}; name a class that is one")


def make_optimizer(config: DictConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that ``config.optimizer`` names, over the network's parameter groups."""
    return instantiate(config.optimizer)(make_parameter_groups(network, weight_decay=config.weight_decay))


def make_logger(config: DictConfig, *, keep_until_agent_steps: int | None) -> Logger:
    """The Lightning logger that ``config.logger`` names, told where a resumed run goes on if it wants to know.

    Raises:
        ConfigurationError: its package is missing, or it does not start.
    """
    wants_to_know = "keep_until_agent_steps" in config.logger
    more = {"keep_until_agent_steps": keep_until_agent_steps} if wants_to_know else {}
    try:
        return instantiate(config.logger, **more)
    except Exception as error:  # Hydra's own, whose cause is whatever a logger raises
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise ConfigurationError(f"logger cannot be made: {reason}; mend that, or take logger=tensorboard") from error


def make_run_length(config: DictConfig) -> RunLength:
    """How the run is divided."""
    return RunLength(
        total_agent_steps=config.total_agent_steps, iteration_agent_steps=config.iteration_agent_steps,
        chunk_agent_steps=config.chunk_agent_steps, num_envs=config.num_envs,
    )  # fmt: skip


def make_settings(config: DictConfig) -> DQNSettings:
    """The numbers of the algorithm."""
    return DQNSettings(
        run_length=make_run_length(config),
        epsilon=LinearSchedule(
            initial=config.exploration.initial_epsilon, final=config.exploration.final_epsilon,
            begin_agent_steps=config.warmup_agent_steps,
            duration_agent_steps=config.exploration.decay_agent_steps,
        ),
        warmup_agent_steps=config.warmup_agent_steps,
        batch_size=config.batch_size,
        samples_per_agent_step=config.samples_per_agent_step,
        target_period_updates=config.target_period_updates,
        double=config.double,
        advantage_learning=config.advantage_learning,
        error_function=config.error_function,
        max_gradient_norm=config.max_gradient_norm,
        data_dependent_initialization=config.initialization == "data_dependent",
        initialization_batch_size=config.initialization_batch_size,
        initial_q_deviation=config.initial_q_deviation,
        seed=config.seed,
        folded_dtype=torch.bfloat16 if config.precision == "bf16-mixed" else torch.float32,
        minibatch_parts=config.minibatch_parts,
        compile=config.compile,
    )  # fmt: skip


def make_policy(config: DictConfig, environments: VectorEnvironment) -> Callable[[QFunction], Policy]:
    """What makes the policy of a Q-function in these environments."""
    return partial(
        Policy, stack_size=config.network.stack_size, frame_shape=environments.frame_shape, device=make_device(config)
    )


def make_dqn(config: DictConfig, environments: VectorEnvironment, folder: Path) -> DQN:
    """Deep Q-learning with everything that it needs; replay segments go into the run folder."""
    replay = make_replay(config, environments)
    replay.check_memory()
    collector = Collector(
        environments=environments, generator=make_stream(config.seed, "exploration"),
        max_repeats=config.exploration.max_repeats,
    )  # fmt: skip
    network = make_network(describe_network(config, environments), make_stream(config.seed, "initialization"))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stubs lack it
    return DQN(
        network=network, make_optimizer=partial(make_optimizer, config), make_policy=make_policy(config, environments),
        collector=collector, replay=replay, archive=ReplayArchive(replay, folder / REPLAY_FOLDER),
        generator=make_stream(config.seed, "sampling"), settings=make_settings(config),
    )  # fmt: skip


ALGORITHMS: dict[str, Callable[[DictConfig, VectorEnvironment, Path], Algorithm]] = {"dqn": make_dqn}
"""What ``algorithm=`` names: from a configuration, its environments and its run folder."""


def make_algorithm(config: DictConfig, environments: VectorEnvironment, folder: Path) -> Algorithm:
    """The algorithm that a configuration names.

    Raises:
        ConfigurationError: there is none of that name, or memory is short.
    """
    return look_up(str(config.algorithm), ALGORITHMS, what="algorithm")(config, environments, folder)


def as_dict(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain values, its references followed."""
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}

"""From a configuration to the objects of a run; nothing else makes what a configuration names."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from wn_rl.acting.collector import Collector
from wn_rl.acting.policies import Policy
from wn_rl.acting.recurrent_policy import RecurrentPolicy
from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.algorithms.dqn import DQN
from wn_rl.algorithms.pqn import PQN
from wn_rl.algorithms.recurrent_dqn import RecurrentDQN
from wn_rl.app import machine
from wn_rl.app.run_settings import RunSettings
from wn_rl.app.targets import LOGGERS, OPTIMIZERS, check_target, find_target
from wn_rl.envs import selection
from wn_rl.envs.protocols import AnyProtocol
from wn_rl.errors import ConfigurationError, show_value
from wn_rl.learning.settings import DQNSettings, LearnerSettings, PQNSettings
from wn_rl.networks.episode_memory import compute_memory_size
from wn_rl.nn.optimizer_groups import make_parameter_groups
from wn_rl.replay.persistence import ReplayArchive
from wn_rl.replay.prioritized_sampler import PrioritizedSampler
from wn_rl.replay.replay import Replay
from wn_rl.replay.replay_settings import ReplaySection
from wn_rl.replay.rollout import Rollout
from wn_rl.replay.samplers import Sampler, UniformSampler
from wn_rl.replay.sequences import SequenceReplay
from wn_rl.replay.storage import choose_storage, make_storage
from wn_rl.runs.agent import make_network
from wn_rl.runs.layout import find_replay_folder
from wn_rl.system.fields import GREATEST, get_rules, parse
from wn_rl.system.learners import ALONE, Learners
from wn_rl.system.registry import look_up
from wn_rl.system.seeding import compute_learner_seed, make_stream
from wn_rl.types import ObservationSpec, VectorEnvironment


def make_protocol(config: DictConfig) -> AnyProtocol:
    """The rules of play that ``config.protocol`` states.

    Raises:
        ConfigurationError: there are none, or they are not those of ``config.env``.
    """
    plain = as_dict(config.protocol) if isinstance(config.protocol, DictConfig) else config.protocol
    protocol: AnyProtocol = get_rules(RunSettings)["protocol"].check("protocol", plain)
    if config.env.name != protocol.env:
        raise ConfigurationError(
            f"protocol={protocol.name} is for env={protocol.env}, not for env={config.env.name}; leave one of them out"
        )
    return protocol


def make_device(config: DictConfig) -> torch.device:
    """Where the learner computes."""
    return machine.make_device(config.accelerator)


def make_environments(config: DictConfig, *, num_envs: int, num_threads: int) -> VectorEnvironment:
    """As many environments of the run's game, under its protocol; their threads start here."""
    return selection.make_environments(config.game, make_protocol(config), num_envs=num_envs, num_threads=num_threads)


def describe_network(config: DictConfig, environments: VectorEnvironment) -> dict[str, Any]:
    """The arguments of ``make_q_network``, as plain values that a saved agent carries."""
    return {
        **as_dict(config.network),
        "normalizer": config.normalizer,
        "num_actions": environments.num_actions,
        "observation": {"shape": list(environments.observation.shape), "dtype": environments.observation.dtype},
    }


def make_sampler(settings: ReplaySection) -> Sampler:
    """What decides which transitions of the replay are drawn."""
    if settings.sampler == "uniform":
        return UniformSampler()
    return PrioritizedSampler(
        priority_exponent=settings.priority_exponent, importance_exponent=settings.importance_exponent
    )


def make_replay(config: DictConfig, settings: DQNSettings, environments: VectorEnvironment) -> Replay:
    """The replay, of sequences where the network has a memory, without its memory yet."""
    device, memory_size = make_device(config), find_memory_size(config)
    make = partial(SequenceReplay, sequence=settings.sequence, memory_size=memory_size) if memory_size else Replay
    complete = settings.replay.complete(
        num_lanes=environments.num_envs, observation=environments.observation, stack_size=config.network.stack_size,
        life_loss_ends_discount=make_protocol(config).life_loss_ends_discount,
    )  # fmt: skip
    storage = make_storage(settings.replay.storage, device)
    return make(complete, storage=storage, sampler=make_sampler(settings.replay), device=device)


def resolve_storage(config: DictConfig, observation: ObservationSpec) -> None:
    """Replace ``replay.storage=auto``, where there is a replay, by what fits into the memory that is free now."""
    if "replay" in config and config.replay.storage == "auto":
        config.replay.storage = choose_storage(
            num_rows=config.replay.capacity * config.devices, observation=observation, device=make_device(config)
        )


def check_targets(config: DictConfig) -> None:
    """Make sure that a configuration, which may be a stranger's, names an optimizer and a logger, and nothing else.

    Raises:
        ConfigurationError: it would call something else, or the optimizer does not take what it is given.
    """
    check_target("optimizer", as_dict(config.optimizer), OPTIMIZERS)
    _check_finite(as_dict(config.optimizer))
    if config.logger is not None and "_target_" in config.logger:
        check_target("logger", as_dict(config.logger), LOGGERS)
    try:
        find_target(as_dict(config.optimizer))([nn.Parameter(torch.zeros(1))])
    except Exception as error:  # whatever an optimizer makes of its arguments
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"optimizer cannot be made of its settings: {reason}") from error


def _check_finite(settings: Mapping[str, Any]) -> None:
    """Optimizers refuse what is negative, and take what nothing can be computed with."""
    for name, value in settings.items():
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(entry, int | float) and not abs(entry) <= GREATEST for entry in numbers):
            raise ConfigurationError(
                f"optimizer.{name}={show_value(value)}: needs numbers of at most {GREATEST}, as in configs/optimizer/"
            )


def make_optimizer(config: DictConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that ``config.optimizer`` names, over the network's parameter groups."""
    make = find_target(as_dict(config.optimizer))
    return make(make_parameter_groups(network, weight_decay=config.weight_decay))


def make_logger(config: DictConfig, *, keep_until_agent_steps: int | None, **known: str) -> Logger:
    """The Lightning logger that ``config.logger`` names, told where a resumed run goes on if it wants to know.

    ``known`` is what it is told besides: the id of its run.

    Raises:
        ConfigurationError: its package is missing, or it does not start.
    """
    wants_to_know = "keep_until_agent_steps" in config.logger
    more = {"keep_until_agent_steps": keep_until_agent_steps} if wants_to_know else {}
    try:
        return find_target(as_dict(config.logger))(**more, **known)
    except Exception as error:  # whatever a logger raises
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"logger cannot be made: {reason}; mend that, or take logger=tensorboard") from error


def make_policy(config: DictConfig, environments: VectorEnvironment) -> Callable[[Any], Policy]:
    """What makes the policy of a Q-function in these environments, which has a memory where the network has one."""
    memory_size = find_memory_size(config)
    make = partial(RecurrentPolicy, memory_size=memory_size) if memory_size else Policy
    return partial(
        make, stack_size=config.network.stack_size, observation=environments.observation, device=make_device(config)
    )


def find_memory_size(config: DictConfig) -> int:
    """The numbers that the network remembers of an episode; 0 without a memory."""
    return compute_memory_size(config.network.memory, config.network.memory_units)


def make_parts(config: DictConfig, settings: LearnerSettings, environments: VectorEnvironment) -> dict[str, Any]:
    """What every algorithm is made of: network, optimizer, policy, collector, and a stream for what is sampled."""
    collector = Collector(
        environments=environments, generator=make_stream(settings.seed, "exploration"),
        max_repeats=settings.exploration.max_repeats, memory_size=find_memory_size(config),
    )  # fmt: skip
    network = make_network(describe_network(config, environments), make_stream(settings.seed, "initialization"))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stubs lack it
    return {
        "network": network, "make_optimizer": partial(make_optimizer, config),
        "make_policy": make_policy(config, environments), "collector": collector,
        "generator": make_stream(settings.seed, "sampling"), "settings": settings,
    }  # fmt: skip


def make_dqn(config: DictConfig, settings: DQNSettings, environments: VectorEnvironment, folder: Path) -> DQN:
    """Deep Q-learning with everything that it needs; replay segments go into ``folder``."""
    replay = make_replay(config, settings, environments)
    replay.check_memory()
    archive = ReplayArchive(replay, folder)
    make = DQN if config.network.memory is None else RecurrentDQN
    return make(**make_parts(config, settings, environments), replay=replay, archive=archive)


def make_pqn(config: DictConfig, settings: PQNSettings, environments: VectorEnvironment, folder: Path) -> PQN:
    """PQN with everything that it needs."""
    rollout = Rollout(
        settings.rollout, num_lanes=environments.num_envs, observation=environments.observation,
        stack_size=config.network.stack_size,
        life_loss_ends_discount=make_protocol(config).life_loss_ends_discount, device=make_device(config),
        memory_size=find_memory_size(config),
    )  # fmt: skip
    return PQN(**make_parts(config, settings, environments), rollout=rollout)


class AlgorithmEntry(NamedTuple):
    """An algorithm by its name: what it is told, and what makes it.

    ``make`` takes the whole configuration, the algorithm's own settings, the environments, and the folder where it may
    keep what it learns from; of several learners each has settings with a seed, and a folder, of its own.
    """

    settings: type[LearnerSettings]
    make: Callable[[DictConfig, Any, VectorEnvironment, Path], Algorithm]


ALGORITHMS = {"dqn": AlgorithmEntry(DQNSettings, make_dqn), "pqn": AlgorithmEntry(PQNSettings, make_pqn)}
"""What ``algorithm=`` names; a file of configs/algorithm/ holds the settings of each."""


def find_kinds(values: Mapping[Any, Any]) -> tuple[type[RunSettings], type[LearnerSettings]]:
    """The dataclasses whose fields are the settings of a configuration.

    Raises:
        ConfigurationError: there is no algorithm of the name that it says.
    """
    name = values.get("algorithm", get_rules(RunSettings)["algorithm"].before)
    return RunSettings, look_up(str(name), ALGORITHMS, what="algorithm").settings


def parse_settings(config: DictConfig) -> tuple[RunSettings, LearnerSettings]:
    """The settings of a run and of its learner, from a configuration without any ``auto``.

    Raises:
        ConfigurationError: one is missing, unknown or impossible; in one line: what was got, and what is needed.
    """
    run, learner = parse(as_dict(config), *find_kinds(config))
    return run, learner


def make_algorithm(
    config: DictConfig, environments: VectorEnvironment, run_dir: Path, learners: Learners = ALONE
) -> Algorithm:
    """The algorithm that a configuration names, as this one of the run's learners has it.

    Raises:
        ConfigurationError: memory is short.
    """
    _, settings = parse_settings(config)
    settings = replace(settings, seed=compute_learner_seed(settings.seed, learners.rank))
    folder = find_replay_folder(run_dir, learners.rank)
    algorithm = ALGORITHMS[config.algorithm].make(config, settings, environments, folder)
    algorithm.learners = learners
    return algorithm


def as_dict(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain values, its references followed."""
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}

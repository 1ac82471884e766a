"""Runs of DQN and PQN on the chain whose Q* is known, small enough to take a second."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from tests.helpers.chain import ChainEnvironments
from tests.helpers.networks import HEADS, SIZES
from wn_rl.acting.collector import Collector
from wn_rl.acting.policies import Policy, QFunction
from wn_rl.acting.recurrent_policy import RecurrentPolicy
from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.algorithms.dqn import DQN
from wn_rl.algorithms.pqn import PQN
from wn_rl.algorithms.recurrent_dqn import RecurrentDQN
from wn_rl.callbacks.checkpoint import DurableCheckpointIO
from wn_rl.learning.settings import DQNSettings, ExplorationSettings, PQNSettings
from wn_rl.networks.episode_memory import compute_memory_size
from wn_rl.networks.q_network import make_q_network
from wn_rl.nn.optimizer_groups import make_parameter_groups
from wn_rl.replay.persistence import ReplayArchive
from wn_rl.replay.replay import Replay
from wn_rl.replay.replay_settings import ReplaySection
from wn_rl.replay.rollout import Rollout, RolloutSection
from wn_rl.replay.samplers import Sampler, UniformSampler
from wn_rl.replay.sequence_settings import SequenceSection
from wn_rl.replay.sequences import SequenceReplay
from wn_rl.replay.storage import make_storage
from wn_rl.types import ObservationSpec, VectorEnvironment

NUM_STATES = 5
GAMMA = 0.9
STACK_SIZE = 1
MEMORY_UNITS = 16
FRAME_SHAPE = (4, 4)
OBSERVATION = ObservationSpec(FRAME_SHAPE, "uint8")

DEFAULTS: dict[str, Any] = {
    "batch_size": 32,
    "max_gradient_norm": None,
    "initialization": "data_dependent",
    "initialization_batch_size": 64,
    "initial_q_std": 1.0,
    "weight_decay": 0.0,
    "seed": 3,
    "devices": 1,
    "num_nodes": 1,
    "precision": "32-true",
    "minibatch_parts": 1,
    "compile": False,
}
OF_DQN: dict[str, Any] = {
    "warmup_agent_steps": 200, "samples_per_agent_step": 8, "target_period_updates": 25, "double": False,
    "advantage_learning": 0.0, "munchausen": False, "munchausen_scale": 0.9, "munchausen_temperature": 0.03,
    "munchausen_floor": -1.0, "error_function": "mse", "learning_rate_schedule": "constant",
    "final_learning_rate": 0.0,
    "learning_rate_decay_agent_steps": 0, "value_rescaling": False,
    "sequence": SequenceSection(length=4, overlap=2, burn_in=2, start="stored", max_priority_share=0.9),
}  # fmt: skip


def make_chain(
    num_envs: int = 4, max_episode_agent_steps: int = 12, slip_probability: float = 0.0
) -> ChainEnvironments:
    return ChainEnvironments(
        num_envs=num_envs, num_states=NUM_STATES, slip_probability=slip_probability, goal_reward=1.0,
        start_reward=0.1, starts_anywhere=True, max_episode_agent_steps=max_episode_agent_steps,
        frame_shape=FRAME_SHAPE,
    )  # fmt: skip


def make_toy_module(
    folder: Path, *, total_agent_steps: int = 2000, iteration_agent_steps: int = 1000, normalizer: str = "weight_norm",
    learning_rate: float = 3e-3, n_step: int = 1, capacity: int = 4000, environments: VectorEnvironment | None = None,
    sampler: Sampler | None = None, storage: str = "ram", head: str = "linear", max_repeats: int = 1,
    replay_section: ReplaySection | None = None, memory: str | None = None, chunk_agent_steps: int = 100,
    **changes: Any,
) -> DQN:  # fmt: skip
    chain = environments or make_chain()
    settings = DQNSettings(
        total_agent_steps=total_agent_steps, iteration_agent_steps=iteration_agent_steps,
        chunk_agent_steps=chunk_agent_steps, num_envs=chain.num_envs, learning_rate=learning_rate,
        exploration=ExplorationSettings(
            initial_epsilon=1.0, final_epsilon=0.3, decay_agent_steps=800, max_repeats=max_repeats
        ),
        replay=replay_section or ReplaySection(
            capacity=capacity, n_step=n_step, gamma=GAMMA, reward_clip=1.0, storage=storage, sampler="uniform",
            priority_exponent=0.5, importance_exponent=0.5, final_importance_exponent=None,
            importance_exponent_agent_steps=0, final_gamma=None, gamma_agent_steps=0,
        ),
        **{**DEFAULTS, **OF_DQN, **changes},
    )  # fmt: skip
    make_replay = Replay if memory is None else partial(
        SequenceReplay, sequence=settings.sequence, memory_size=compute_memory_size(memory, MEMORY_UNITS)
    )  # fmt: skip
    replay = make_replay(
        settings.replay.complete(
            num_lanes=chain.num_envs, observation=OBSERVATION, stack_size=STACK_SIZE, life_loss_ends_discount=False
        ),
        storage=make_storage(storage, torch.device("cpu")), sampler=sampler or UniformSampler(),
        device=torch.device("cpu"),
    )  # fmt: skip
    parts = _make_parts(chain, normalizer, learning_rate, head=head, max_repeats=max_repeats, memory=memory)
    make = DQN if memory is None else RecurrentDQN
    return make(**parts, replay=replay, archive=ReplayArchive(replay, folder / "replay"), settings=settings)


def make_toy_pqn(
    *, total_agent_steps: int = 2000, iteration_agent_steps: int = 1000, normalizer: str = "weight_norm",
    learning_rate: float = 3e-3, final_learning_rate: float = 0.0, num_rounds: int = 10, trace_decay: float = 0.65,
    chunk_agent_steps: int = 100,
    environments: VectorEnvironment | None = None, life_loss_ends_discount: bool = False, memory: str | None = None,
    **changes: Any,
) -> PQN:  # fmt: skip
    chain = environments or make_chain()
    settings = PQNSettings(
        total_agent_steps=total_agent_steps, iteration_agent_steps=iteration_agent_steps,
        chunk_agent_steps=chunk_agent_steps, num_envs=chain.num_envs, learning_rate=learning_rate,
        learning_rate_schedule="linear", final_learning_rate=final_learning_rate,
        learning_rate_decay_agent_steps=total_agent_steps,
        exploration=ExplorationSettings(initial_epsilon=1.0, final_epsilon=0.3, decay_agent_steps=800, max_repeats=1),
        rollout=RolloutSection(num_rounds=num_rounds, gamma=GAMMA, trace_decay=trace_decay, reward_clip=1.0),
        **{**DEFAULTS, "batch_size": 16, "num_epochs": 2, "initialization_batch_size": 32, **changes},
    )  # fmt: skip
    rollout = Rollout(
        settings.rollout, num_lanes=chain.num_envs, observation=OBSERVATION, stack_size=STACK_SIZE,
        life_loss_ends_discount=life_loss_ends_discount, device=torch.device("cpu"),
        memory_size=compute_memory_size(memory, MEMORY_UNITS),
    )  # fmt: skip
    return PQN(**_make_parts(chain, normalizer, learning_rate, memory=memory), rollout=rollout, settings=settings)


def _make_parts(
    environments: VectorEnvironment, normalizer: str, learning_rate: float, *, head: str = "linear",
    max_repeats: int = 1, memory: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    collector = Collector(
        environments=environments, generator=torch.Generator().manual_seed(11), max_repeats=max_repeats,
        memory_size=compute_memory_size(memory, MEMORY_UNITS),
    )  # fmt: skip
    network = make_q_network(
        torso="mlp", **HEADS[head], sizes=SIZES, normalizer=normalizer, num_actions=2, stack_size=STACK_SIZE,
        observation=OBSERVATION, hidden_units=32, generator=torch.Generator().manual_seed(12),
        memory=memory, memory_units=MEMORY_UNITS,
    )  # fmt: skip
    return {
        "network": network, "make_optimizer": partial(_make_adam, learning_rate),
        "make_policy": make_policy_for(memory), "collector": collector,
        "generator": torch.Generator().manual_seed(13),
    }  # fmt: skip


def make_policy(q_function: QFunction) -> Policy:
    return Policy(q_function, stack_size=STACK_SIZE, observation=OBSERVATION, device=torch.device("cpu"))


def make_policy_for(memory: str | None) -> Callable[[Any], Policy]:
    """What makes the policy of a network with this memory, or with none."""
    if memory is None:
        return make_policy
    return partial(
        RecurrentPolicy, memory_size=compute_memory_size(memory, MEMORY_UNITS), stack_size=STACK_SIZE,
        observation=OBSERVATION, device=torch.device("cpu"),
    )  # fmt: skip


def _make_adam(learning_rate: float, network: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(make_parameter_groups(network, weight_decay=0.0), lr=learning_rate)


def make_trainer(module: Algorithm, folder: Path, callbacks: list[Callback], **changes: Any) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=module.run_length.num_iterations, logger=False,
        callbacks=callbacks, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        enable_checkpointing=any(isinstance(c, lightning.pytorch.callbacks.Checkpoint) for c in callbacks),
        default_root_dir=folder, plugins=[DurableCheckpointIO()],
        **changes,
    )  # fmt: skip

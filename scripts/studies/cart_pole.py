"""CartPole for the studies: Gymnasium's environment under our contract, learned by the project's own DQN.

The four numbers of an observation are the four pixels of a frame, one byte each, so that replay, network, loss and
targets are those of the Atari games.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import lightning
import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from lightning.pytorch.callbacks import Callback

from wn_rl.acting.collector import Collector
from wn_rl.acting.evaluator import evaluate_agent
from wn_rl.acting.policies import Policy, QFunction
from wn_rl.algorithms.dqn import DQN
from wn_rl.envs.call_order import CallOrder
from wn_rl.envs.protocols import Protocol
from wn_rl.learning.settings import DQNSettings, ExplorationSettings
from wn_rl.networks.q_network import make_q_network
from wn_rl.nn.optimizer_groups import make_parameter_groups
from wn_rl.replay.persistence import ReplayArchive
from wn_rl.replay.replay import Replay
from wn_rl.replay.replay_settings import ReplaySection
from wn_rl.replay.samplers import UniformSampler
from wn_rl.replay.storage import make_storage
from wn_rl.types import Step

GAME = "CartPole-v1"
LIMITS = np.array([2.4, 3.0, 0.21, 3.0])  # of position, velocity, angle, angular velocity; an episode ends beyond
MAX_EPISODE_AGENT_STEPS = 500
PROTOCOL = Protocol(
    name=GAME, repeat_action_probability=0.0, noop_max=0, use_fire_reset=False, life_loss_ends_discount=False,
    full_action_space=True, max_episode_frames=MAX_EPISODE_AGENT_STEPS, frame_skip=1,
)  # fmt: skip
NUM_ENVS = 8
NUM_ITERATIONS = 10
EVALUATION_EPISODES = 10
EVALUATION_SEED = 12345


def encode(observations: Float32[np.ndarray, "N 4"]) -> UInt8[np.ndarray, "N 1 4"]:
    """Every number as one byte: 0 at minus its limit, 255 at its limit, and no further."""
    shares = (np.clip(observations / LIMITS, -1, 1) + 1) / 2
    return np.round(255 * shares).astype(np.uint8)[:, np.newaxis]


class CartPoleEnvironments:
    """N of Gymnasium's CartPole-v1; keeps the contract of ``wn_rl.types.VectorEnvironment``."""

    action_names: tuple[str, ...] = ("LEFT", "RIGHT")
    num_actions = 2
    frame_shape = (1, 4)

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self._environments = [gymnasium.make(GAME, disable_env_checker=True) for _ in range(num_envs)]
        self._order = CallOrder(num_envs=num_envs, num_actions=self.num_actions)
        self._observations = np.zeros((num_envs, 4), np.float32)
        self._actions = np.zeros(num_envs, np.int64)

    def reset(
        self, *, seeds: Int64[np.ndarray, "K"] | None = None, mask: Bool[np.ndarray, "N"] | None = None
    ) -> UInt8[np.ndarray, "N 1 4"]:
        """Start new episodes where ``mask`` says so; raises what ``CallOrder.begin_reset`` raises."""
        lanes = np.flatnonzero(self._order.begin_reset(seeds, mask))
        for number, lane in enumerate(lanes):
            seed = None if seeds is None else int(seeds[number])
            self._observations[lane], _ = self._environments[lane].reset(seed=seed)
        return encode(self._observations)

    def send(self, actions: Int64[np.ndarray, "N"]) -> None:
        """Take one action each; raises what ``CallOrder.begin_send`` raises."""
        self._order.begin_send(actions)
        self._actions = actions

    def receive(self) -> Step:
        """Return the step that was sent; RuntimeError where none was."""
        self._order.begin_receive()
        reward, flags = np.zeros(self.num_envs, np.float32), np.zeros((2, self.num_envs), np.bool_)
        for lane, environment in enumerate(self._environments):
            answer = environment.step(int(self._actions[lane]))
            self._observations[lane], reward[lane], flags[0, lane], flags[1, lane] = answer[:4]
        terminated, truncated = flags[0], flags[1] & ~flags[0]
        step = Step(encode(self._observations), reward, terminated, truncated, np.zeros(self.num_envs, np.bool_))
        self._order.end_receive(step.ended)
        return step

    def close(self) -> None:
        """Let every later call fail."""
        self._order.close()


class Outcome(NamedTuple):
    """What a training came to: the mean return of the evaluations in its second half, and the last |TD error|."""

    num_updates: int
    mean_return: float
    td_error: float


class _Evaluations(Callback):
    """Plays greedy games at the end of every iteration of the second half."""

    def __init__(self) -> None:
        self.returns: list[float] = []
        self.td_error = float("nan")

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Evaluate, and read what was measured while learning."""
        row = pl_module.metrics.compute_and_reset(pl_module.agent_steps, pl_module.num_updates)
        self.td_error = row["train/absolute_td_error"]
        if pl_module.current_epoch < NUM_ITERATIONS // 2:
            return
        records = evaluate_agent(
            policy=pl_module.policy, environments=CartPoleEnvironments(EVALUATION_EPISODES), game=GAME,
            protocol=PROTOCOL, num_episodes=EVALUATION_EPISODES, epsilon=0.0, seed=EVALUATION_SEED, on_episode=None,
        )  # fmt: skip
        self.returns.append(float(np.mean([record.episode_return for record in records])))


def make_module(normalizer: str, *, learning_rate: float, seed: int, agent_steps: int, folder: Path) -> DQN:
    """DQN on CartPole: two hidden layers of 64, 3-step returns, Adam, and the first weights from data."""
    environments, cpu = CartPoleEnvironments(NUM_ENVS), torch.device("cpu")
    initialization, exploration, sampling = (torch.Generator().manual_seed(3 * seed + stream) for stream in range(3))
    warmup = agent_steps // 20
    settings = DQNSettings(
        total_agent_steps=agent_steps, iteration_agent_steps=agent_steps // NUM_ITERATIONS,
        chunk_agent_steps=agent_steps // NUM_ITERATIONS, num_envs=NUM_ENVS, seed=seed, learning_rate=learning_rate,
        max_gradient_norm=None, weight_decay=0.0, initialization="data_dependent",
        initialization_batch_size=min(256, warmup), initial_q_std=1.0,
        exploration=ExplorationSettings(
            initial_epsilon=1.0, final_epsilon=0.05, decay_agent_steps=agent_steps // 4, max_repeats=1
        ),
        precision="32-true", compile=False, minibatch_parts=1, warmup_agent_steps=warmup, batch_size=64,
        samples_per_agent_step=32, error_function="huber", double=False, advantage_learning=0.0,
        target_period_updates=50,
        replay=ReplaySection(
            capacity=agent_steps, n_step=3, gamma=0.99, reward_clip=None, storage="ram", sampler="uniform",
            priority_exponent=0.5, importance_exponent=0.5,
        ),
    )  # fmt: skip
    replay = Replay(
        settings.replay.complete(
            num_lanes=NUM_ENVS, frame_shape=environments.frame_shape, stack_size=1, life_loss_ends_discount=False
        ),
        storage=make_storage("ram", cpu), sampler=UniformSampler(), device=cpu,
    )  # fmt: skip
    collector = Collector(environments=environments, generator=exploration)
    network = make_q_network(
        torso="mlp", head="linear", normalizer=normalizer, num_actions=2, stack_size=1,
        frame_shape=environments.frame_shape, hidden_units=64, generator=initialization,
    )  # fmt: skip
    return DQN(
        network=network, make_optimizer=partial(_make_adam, learning_rate), make_policy=_make_policy,
        collector=collector, replay=replay, archive=ReplayArchive(replay, folder / "replay"), generator=sampling,
        settings=settings,
    )  # fmt: skip


def _make_policy(q_function: QFunction) -> Policy:
    return Policy(q_function, stack_size=1, frame_shape=CartPoleEnvironments.frame_shape, device=torch.device("cpu"))


def _make_adam(learning_rate: float, network: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(make_parameter_groups(network, weight_decay=0.0), lr=learning_rate, fused=True)


def train(normalizer: str, *, learning_rate: float, seed: int, agent_steps: int) -> Outcome:
    """Train one agent from nothing, and evaluate it as it learns."""
    evaluations = _Evaluations()
    with tempfile.TemporaryDirectory() as folder:
        module = make_module(
            normalizer, learning_rate=learning_rate, seed=seed, agent_steps=agent_steps, folder=Path(folder)
        )
        trainer = lightning.Trainer(
            accelerator="cpu", devices=1, max_epochs=module.settings.run_length.num_iterations, logger=False,
            callbacks=[evaluations], enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            enable_checkpointing=False, default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(module)
        module.archive.close()
    return Outcome(module.num_updates, float(np.mean(evaluations.returns)), evaluations.td_error)

"""The training loops that bench_training.py compares; each runs alone in a process and prints one line of JSON.

    python -m scripts.benchmarks.training_loops wn_rl '{"game": "Breakout", ...}'

All learn DQN with the network of Mnih et al. 2015 on one game under the machado protocol: clipped rewards, episodes
end when the game is over, 84 x 84 gray frames in stacks of 4, every 4th emulator frame, sticky actions.
"""

import json
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple


class Work(NamedTuple):
    """What is to be done; agent steps up to ``warmup`` learn nothing, the next ``settling`` are not timed."""

    game: str
    precision: str  # float32 | bf16
    batch_size: int
    samples_per_agent_step: int
    replay_capacity: int
    warmup: int
    settling: int
    timed: int
    seed: int

    @property
    def agent_steps_per_update(self) -> int:
        return self.batch_size // self.samples_per_agent_step

    @property
    def total(self) -> int:
        return self.warmup + self.settling + self.timed


class Stopwatch:
    """Notes when agent steps were done; the timed window begins with the first note after the settling."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.first: tuple[int, float] | None = None
        self.last = (0, 0.0)
        self.seconds: dict[str, float] = defaultdict(float)

    def note(self, agent_steps: int) -> None:
        self.last = (agent_steps, time.perf_counter())
        if self.first is None and agent_steps >= self.work.warmup + self.work.settling:
            self.first = self.last
            self.seconds.clear()

    def timing(self, name: str, function: Callable[..., Any], inside: tuple[str, ...] = ()) -> Callable[..., Any]:
        """``function`` with its time added to ``name``, less that which it spent in the functions named ``inside``."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start, before = time.perf_counter(), sum(self.seconds[other] for other in inside)
            try:
                return function(*args, **kwargs)
            finally:
                spent_inside = sum(self.seconds[other] for other in inside) - before
                self.seconds[name] += time.perf_counter() - start - spent_inside

        return timed

    def report(self, replay_bytes: float) -> dict[str, Any]:
        assert self.first is not None
        agent_steps, seconds = (last - first for last, first in zip(self.last, self.first, strict=True))
        shares = {name: spent / seconds for name, spent in self.seconds.items()}
        return {
            "agent_steps_per_second": agent_steps / seconds,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "replay_bytes_per_agent_step": replay_bytes / self.work.replay_capacity,
            "shares": {**shares, "Lightning, logging": 1 - sum(shares.values())} if shares else {},
        }


def start_wn_rl(work: Work, folder: str, **changes: Any) -> Any:
    """A run of this project with all that a user gets: Lightning, TensorBoard, metrics.csv, checkpoint at the end."""
    from wn_rl.app.composition import compose_settings, write_words
    from wn_rl.app.training import start_run

    settings = {
        "game": work.game, "precision": {"float32": "32-true", "bf16": "bf16-mixed"}[work.precision],
        "batch_size": work.batch_size, "samples_per_agent_step": work.samples_per_agent_step,
        "replay.capacity": work.replay_capacity, "warmup_agent_steps": work.warmup, "seed": work.seed,
        "total_agent_steps": work.total, "iteration_agent_steps": work.total, "evaluation.episodes": 0,
        "video.period_iterations": 0, "progress": False, "accelerator": "cpu",
        "exploration.decay_agent_steps": work.settling, **changes,
    }  # fmt: skip
    config, _ = compose_settings("train", write_words({**settings, "run_dir": f"{folder}/run"}))
    return start_run(config, preset="dopamine")


def time_update(module: Any, stopwatch: Stopwatch) -> None:
    """Let the stopwatch time the pieces of each update of a module whose training has not begun."""
    module.replay.sample = stopwatch.timing("sampling", module.replay.sample)
    module.acting.sync = stopwatch.timing("folding", module.acting.sync)
    module.compute_gradient = stopwatch.timing("loss and gradient", module.compute_gradient, inside=("folding",))
    make_optimizer = module.make_optimizer

    def make_timed_optimizer(network: Any) -> Any:
        optimizer: Any = make_optimizer(network)
        optimizer.step = stopwatch.timing("optimizer", optimizer.step)
        return optimizer

    module.make_optimizer = make_timed_optimizer
    pieces = ("sampling", "folding", "loss and gradient", "optimizer")
    module._update = stopwatch.timing("rest of an update", module._update, inside=pieces)


def train_wn_rl(work: Work, **changes: Any) -> dict[str, Any]:
    """This project."""
    from lightning.pytorch.callbacks import Callback

    class Notes(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            stopwatch.note(pl_module.agent_steps)

    stopwatch = Stopwatch(work)
    with tempfile.TemporaryDirectory() as folder:
        run = start_wn_rl(work, folder, **changes)
        run.trainer.callbacks.append(Notes())
        collector, replay = run.algorithm.collector, run.algorithm.replay
        time_update(run.algorithm, stopwatch)
        environments = collector.environments
        environments.send = stopwatch.timing("environment", environments.send)
        environments.receive = stopwatch.timing("environment", environments.receive)
        environments.reset = stopwatch.timing("environment", environments.reset)
        replay.add = stopwatch.timing("storing", replay.add)
        collector.begin_round = stopwatch.timing("acting", collector.begin_round, inside=("environment",))
        collector.end_round = stopwatch.timing("storing", collector.end_round, inside=("environment", "storing"))
        run.train()
        return stopwatch.report(replay.required_bytes())


def make_gymnasium_environment(game: str, seed: int) -> Any:
    """Gymnasium's own: sticky actions, gray 84 x 84, rewards clipped; frames are stacked by who trains."""
    import ale_py
    import gymnasium
    import numpy as np

    gymnasium.register_envs(ale_py)
    environment = gymnasium.make(f"ALE/{game}-v5", frameskip=1, repeat_action_probability=0.25)
    environment = gymnasium.wrappers.AtariPreprocessing(environment, noop_max=0)
    environment = gymnasium.wrappers.TransformReward(environment, np.sign)
    environment.reset(seed=seed)
    return environment


def train_sb3(work: Work) -> dict[str, Any]:
    """Stable-Baselines3's DQN with one environment, which is its fastest on two cores."""
    import contextlib

    import torch
    from gymnasium.spaces import Box
    from gymnasium.wrappers import ReshapeObservation
    from stable_baselines3 import DQN
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

    class Notes(BaseCallback):
        def _on_step(self) -> bool:
            stopwatch.note(self.num_timesteps)
            return True

    stopwatch = Stopwatch(work)
    environment = make_gymnasium_environment(work.game, work.seed)
    assert isinstance(environment.observation_space, Box)
    stacked = VecFrameStack(DummyVecEnv([lambda: ReshapeObservation(environment, (84, 84, 1))]), 4)
    model = DQN(
        "CnnPolicy", stacked, learning_rate=6.25e-5, buffer_size=work.replay_capacity, learning_starts=work.warmup,
        batch_size=work.batch_size, train_freq=work.agent_steps_per_update, gradient_steps=1,
        target_update_interval=8000, exploration_fraction=work.settling / work.total, exploration_final_eps=0.01,
        seed=work.seed, device="cpu",
    )  # fmt: skip
    autocast = torch.autocast("cpu", torch.bfloat16) if work.precision == "bf16" else contextlib.nullcontext()
    with autocast:
        model.learn(work.total, callback=Notes())
    buffer = model.replay_buffer
    arrays = [buffer.observations, buffer.next_observations, buffer.actions, buffer.rewards, buffer.dones]
    return stopwatch.report(sum(array.nbytes for array in arrays))


def train_plain(work: Work) -> dict[str, Any]:
    """A loop in one function in the manner of CleanRL: one Gymnasium environment, SB3's replay buffer."""
    import contextlib

    import numpy as np
    import torch
    from gymnasium.wrappers import FrameStackObservation
    from stable_baselines3.common.buffers import ReplayBuffer
    from torch import nn

    torch.manual_seed(work.seed)
    rng = np.random.default_rng(work.seed)
    stopwatch = Stopwatch(work)
    environment = FrameStackObservation(make_gymnasium_environment(work.game, work.seed), 4)
    num_actions = int(environment.action_space.n)

    def make_network() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(),
            nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, num_actions),
        )  # fmt: skip

    network, target = make_network(), make_network()
    target.load_state_dict(network.state_dict())
    optimizer = torch.optim.Adam(network.parameters(), lr=6.25e-5)
    buffer = ReplayBuffer(
        work.replay_capacity, environment.observation_space, environment.action_space, "cpu",
        handle_timeout_termination=False,
    )  # fmt: skip
    autocast = torch.autocast("cpu", torch.bfloat16) if work.precision == "bf16" else contextlib.nullcontext()
    observation, _ = environment.reset(seed=work.seed)
    with autocast:
        for step in range(1, work.total + 1):
            epsilon = max(0.01, 1 - max(0, step - work.warmup) / work.settling)
            if rng.random() < epsilon:
                action = int(rng.integers(num_actions))
            else:
                with torch.no_grad():
                    action = int(network(torch.from_numpy(observation[None]) / 255).argmax())
            following, reward, terminated, truncated, _ = environment.step(action)
            buffer.add(observation, following, np.array([action]), np.array([reward]), np.array([terminated]), [{}])
            observation = environment.reset()[0] if terminated or truncated else following
            if step > work.warmup and step % work.agent_steps_per_update == 0:
                batch = buffer.sample(work.batch_size)
                with torch.no_grad():
                    best = target(batch.next_observations / 255).float().max(1).values
                    goal = batch.rewards.flatten() + 0.99 * best * (1 - batch.dones.flatten())
                value = network(batch.observations / 255).float().gather(1, batch.actions).squeeze()
                loss = nn.functional.mse_loss(value, goal)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            if step % 8000 == 0:
                target.load_state_dict(network.state_dict())
            stopwatch.note(step)
    arrays = [buffer.observations, buffer.next_observations, buffer.actions, buffer.rewards, buffer.dones]
    return stopwatch.report(sum(array.nbytes for array in arrays))


LOOPS: dict[str, Callable[[Work], dict[str, Any]]] = {
    "wn_rl": train_wn_rl,
    "wn_rl, plain network": lambda work: train_wn_rl(work, normalizer="none"),
    "Stable-Baselines3": train_sb3,
    "plain PyTorch": train_plain,
}

if __name__ == "__main__":
    print(json.dumps(LOOPS[sys.argv[1]](Work(**json.loads(sys.argv[2])))))

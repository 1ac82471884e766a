"""PQN's loop beside one in the manner of CleanRL's pqn_atari_envpool.py, on the same cores.

    python -m scripts.benchmarks.bench_pqn                       three repetitions, into docs/performance.md
    python -m scripts.benchmarks.bench_pqn --repetitions 1 --timed 8192 --no-page

The loops take turns, each in a process of its own, on one game under the nature protocol with the network of Mnih et
al. 2015. CleanRL's is timed twice: with its own numbers (8 environments of 128 steps, 4 epochs of 4 minibatches), and
with those of this project's presets, which are purejaxql's (128 of 32, 2 epochs of 32), for the same work. Both
play in ALE's vector environment, in the place of envpool, and learn in float32 on all cores; this project's in the
precision that it takes by itself besides, which is bfloat16 where the hardware computes in it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from scripts.benchmarks.bench_training import PAGE, ROOT, SPREAD, describe_machine, spread
from scripts.publishing.marked_sections import replace_section

REFERENCE = "CleanRL's manner, its numbers"


class Work(NamedTuple):
    """What is to be done; the first ``settling`` agent steps are not timed."""

    game: str
    settling: int
    timed: int
    seed: int
    num_cores: int

    @property
    def total(self) -> int:
        return self.settling + self.timed


class Stopwatch:
    """Speed from the first note after the settling to the last."""

    def __init__(self, settling: int) -> None:
        self._settling, self._notes = settling, list[tuple[int, float]]()

    def note(self, agent_steps: int) -> None:
        if agent_steps >= self._settling:
            self._notes.append((agent_steps, time.perf_counter()))

    def agent_steps_per_second(self) -> float:
        (first, begin), (last, end) = self._notes[0], self._notes[-1]
        return (last - first) / (end - begin)


def train_wn_rl(work: Work, **changes: Any) -> float:
    """This project with all that a user gets: Lightning, TensorBoard, metrics.csv, a checkpoint at the end."""
    from lightning.pytorch.callbacks import Callback

    from wn_rl.app.composition import compose_settings, write_words
    from wn_rl.app.training import start_run

    class Notes(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            stopwatch.note(pl_module.agent_steps)

    stopwatch = Stopwatch(work.settling)
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "game": work.game, "preset": "pqn_strong", "protocol": "nature", "precision": "32-true", "seed": work.seed,
            "total_agent_steps": work.total, "iteration_agent_steps": work.total, "evaluation.episodes": 0,
            "video.period_iterations": 0, "progress": False, "accelerator": "cpu", "run_dir": f"{folder}/run",
            **changes,
        }  # fmt: skip
        config, _ = compose_settings("train", write_words(settings))
        run = start_run(config, preset="pqn_strong")
        run.trainer.callbacks.append(Notes())
        run.train()
    return stopwatch.agent_steps_per_second()


def train_cleanrl(work: Work, *, num_envs: int, num_steps: int, epochs: int, num_minibatches: int) -> float:
    """One function in the manner of CleanRL: float frames, layer norm over whole layers, PyTorch's threads."""
    import numpy as np
    import torch
    from ale_py.vector_env import AtariVectorEnv
    from torch import nn

    torch.manual_seed(work.seed)
    torch.set_num_threads(work.num_cores)
    stopwatch = Stopwatch(work.settling)
    envs = AtariVectorEnv(
        work.game.lower(), num_envs, repeat_action_probability=0.0, noop_max=30, num_threads=work.num_cores
    )  # its own defaults: gray 84 x 84 in stacks of 4, every 4th frame, clipped rewards
    num_actions = int(envs.single_action_space.n)
    network = nn.Sequential(
        nn.Conv2d(4, 32, 8, 4), nn.LayerNorm([32, 20, 20]), nn.ReLU(),
        nn.Conv2d(32, 64, 4, 2), nn.LayerNorm([64, 9, 9]), nn.ReLU(),
        nn.Conv2d(64, 64, 3), nn.LayerNorm([64, 7, 7]), nn.ReLU(), nn.Flatten(),
        nn.Linear(3136, 512), nn.LayerNorm(512), nn.ReLU(), nn.Linear(512, num_actions),
    )  # fmt: skip
    optimizer = torch.optim.RAdam(network.parameters(), lr=2.5e-4)
    obs = torch.zeros((num_steps, num_envs, 4, 84, 84))
    actions = torch.zeros((num_steps, num_envs), dtype=torch.long)
    rewards, dones, values = torch.zeros((3, num_steps, num_envs))
    next_obs, next_done = torch.Tensor(envs.reset(seed=work.seed)[0]), torch.zeros(num_envs)
    agent_steps = 0
    while agent_steps < work.total:
        for step in range(num_steps):
            agent_steps += num_envs
            obs[step], dones[step] = next_obs, next_done
            with torch.no_grad():
                values[step], greedy = network(next_obs / 255.0).max(dim=1)
            explores = torch.rand(num_envs) < 0.1
            actions[step] = torch.where(explores, torch.randint(num_actions, (num_envs,)), greedy)
            frames, reward, terminated, truncated, _ = envs.step(actions[step].numpy())
            rewards[step] = torch.from_numpy(np.asarray(reward, np.float32))
            next_obs, next_done = torch.Tensor(frames), torch.Tensor(terminated | truncated)
        with torch.no_grad():
            returns = torch.zeros_like(rewards)
            returns[-1] = rewards[-1] + 0.99 * network(next_obs / 255.0).amax(dim=1) * (1 - next_done)
            for t in reversed(range(num_steps - 1)):
                bootstrap = 0.65 * returns[t + 1] + 0.35 * values[t + 1]
                returns[t] = rewards[t] + 0.99 * bootstrap * (1 - dones[t + 1])
        flat_obs, flat_actions, flat_returns = obs.flatten(0, 1), actions.flatten(), returns.flatten()
        for _ in range(epochs):
            for rows in torch.randperm(num_steps * num_envs).chunk(num_minibatches):
                old = network(flat_obs[rows] / 255.0).gather(1, flat_actions[rows, None]).squeeze(1)
                optimizer.zero_grad()
                nn.functional.mse_loss(old, flat_returns[rows]).backward()
                nn.utils.clip_grad_norm_(network.parameters(), 10.0)
                optimizer.step()
        stopwatch.note(agent_steps)
    return stopwatch.agent_steps_per_second()


LOOPS: dict[str, Callable[[Work], float]] = {
    "wn_rl": train_wn_rl,
    "wn_rl, precision=auto": lambda work: train_wn_rl(work, precision="auto"),
    "wn_rl, layer norm": lambda work: train_wn_rl(work, normalizer="layer_norm", initialization="random"),
    REFERENCE: lambda work: train_cleanrl(work, num_envs=8, num_steps=128, epochs=4, num_minibatches=4),
    "CleanRL's manner, our numbers": lambda work: train_cleanrl(
        work, num_envs=128, num_steps=32, epochs=2, num_minibatches=32
    ),
}


def measure(loop: str, work: Work) -> float:
    """Agent steps/s of one loop in a process of its own."""
    command = [sys.executable, "-m", "scripts.benchmarks.bench_pqn", "--loop", loop, json.dumps(work)]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if finished.returncode != 0:
        sys.exit(f"{loop} failed:\n{finished.stderr[-3000:]}")
    return float(finished.stdout.splitlines()[-1])


def main() -> None:
    if sys.argv[1:2] == ["--loop"]:
        print(LOOPS[sys.argv[2]](Work(*json.loads(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--game", default="Breakout")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--settling", type=int, default=8192, help="agent steps before those that are timed")
    parser.add_argument("--timed", type=int, default=24_576, help="agent steps that are timed")
    parser.add_argument("--cores", type=int, default=2, help="of CleanRL's loop; this project takes all that it finds")
    parser.add_argument("--no-page", action="store_true", help="print only")
    options = parser.parse_args()

    speeds: dict[str, list[float]] = {loop: [] for loop in LOOPS}
    for seed in range(options.repetitions):
        work = Work(options.game, options.settling, options.timed, seed, options.cores)
        for loop in LOOPS:
            speeds[loop].append(measure(loop, work))
            print(f"{seed + 1}: {loop} {speeds[loop][-1]:.0f} agent steps/s", file=sys.stderr)
    lines = [
        f"{describe_machine('bench_pqn')} {SPREAD}",
        "",
        f"| loop | agent steps/s | ratio to {REFERENCE} |",
        "|---|---|---|",
    ]
    for loop, values in speeds.items():
        ratios = [ours / theirs for ours, theirs in zip(values, speeds[REFERENCE], strict=True)]
        lines.append(f"| {loop} | {spread(values, 0)} | {spread(ratios, 2)} |")
    text = "\n".join(lines)
    print(text)
    if not options.no_page:
        replace_section(PAGE, "bench_pqn", text)


if __name__ == "__main__":
    main()

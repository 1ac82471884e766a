"""What the replay's storages cost on real frames: bytes per agent step, time to store and to sample.

    python -m scripts.benchmarks.bench_replay                                       random play in four games
    python -m scripts.benchmarks.bench_replay --games Boxing --agent-steps 50000
    python -m scripts.benchmarks.bench_replay --games Pong --agent runs/Pong/<run>  what a trained agent sees

Plays each game once, puts the same frames into every storage that this machine has, makes sure that they sample
the same minibatches, and prints a table. Minibatches are taken from the storages in turn; times are medians.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
import yaml

from wn_rl.acting.collector import Collector
from wn_rl.acting.policies import Policy
from wn_rl.app.command_line import CONFIG_DIRECTORY
from wn_rl.envs.atari import OBSERVATION, AtariEnvironments
from wn_rl.envs.protocols import Protocol
from wn_rl.replay.columns import BYTES_PER_ROW
from wn_rl.replay.compressed_storage import CompressedFrameStorage
from wn_rl.replay.replay import Replay
from wn_rl.replay.replay_settings import ReplaySettings
from wn_rl.replay.samplers import UniformSampler
from wn_rl.replay.storage import FrameStorage, RamFrameStorage
from wn_rl.runs.agent import load_agent

GAMES = ("Pong", "Breakout", "Seaquest", "SpaceInvaders")
NUM_ENVS = 8
STACK_SIZE = 4
EPSILON = 0.05
BATCH_SIZES = (32, 128)
NUM_MINIBATCHES = 200
CHUNK_FRAMES = 8
"""Frames that are written at once, as many as a round of training brings."""
CPU = torch.device("cpu")
COLUMNS = ("game", "storage", "bytes per agent step", "GB per 1 M", "write us", "minibatch of 32 ms", "of 128 ms")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the replay's storages on real frames.")
    parser.add_argument("--games", nargs="+", default=list(GAMES))
    parser.add_argument("--agent-steps", type=int, default=20_000)
    parser.add_argument("--agent", type=Path, help="a run folder: its agent plays instead of chance")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(" | ".join(COLUMNS))
    for game in arguments.games:
        measure(game, arguments.agent_steps, arguments.agent)


def measure(game: str, agent_steps: int, agent: Path | None) -> None:
    """Print the rows of one game."""
    played = make_replay(RamFrameStorage(device=CPU), agent_steps)
    play(game, played, agent_steps, agent)
    compressed = CompressedFrameStorage()
    storages: dict[str, FrameStorage] = {"ram": RamFrameStorage(device=CPU), "compressed": compressed}
    if torch.cuda.is_available():
        storages["device"] = RamFrameStorage(device=torch.device("cuda"))
    replays = {name: make_replay(storage, agent_steps) for name, storage in storages.items()}
    write_us = {name: copy_frames(played, replay) for name, replay in replays.items()}
    times = [measure_sampling(replays, batch_size) for batch_size in BATCH_SIZES]
    plain_bytes = float(OBSERVATION.num_bytes)
    for name in storages:
        frame_bytes = compressed.compute_bytes_per_frame(played.lanes.num_rows) if name == "compressed" else plain_bytes
        num_bytes = frame_bytes + BYTES_PER_ROW
        milliseconds = " | ".join(f"{found[name]:.2f}" for found in times)
        print(f"{game} | {name} | {num_bytes:.0f} | {num_bytes / 1000:.2f} | {write_us[name]:.1f} | {milliseconds}")


def make_replay(storage: FrameStorage, capacity: int) -> Replay:
    settings = ReplaySettings(
        capacity=capacity, num_lanes=NUM_ENVS, observation=OBSERVATION, stack_size=STACK_SIZE, n_step=1, gamma=0.99,
        reward_clip=1.0, life_loss_ends_discount=False,
    )  # fmt: skip
    return Replay(settings, storage=storage, sampler=UniformSampler(), device=storage.device)


def play(game: str, replay: Replay, agent_steps: int, agent: Path | None) -> None:
    """Fill the replay with random play, or with a trained agent's."""
    protocol = Protocol.from_values(yaml.safe_load((CONFIG_DIRECTORY / "protocol" / "machado.yaml").read_text()))
    environments = AtariEnvironments(game=game, protocol=protocol, num_envs=NUM_ENVS, num_threads=NUM_ENVS)
    collector = Collector(
        environments=environments, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    policy = (
        Policy(lambda stacks: stacks, stack_size=STACK_SIZE, observation=OBSERVATION, device=CPU)
        if agent is None else load_agent(agent).make_policy(CPU)
    )  # fmt: skip
    replay.start(collector.begin_iteration(0, 0), collector.every_lane)
    while collector.agent_steps < agent_steps:
        if agent is None:
            collector.begin_random_round(policy)
        else:
            collector.begin_round(policy, EPSILON)
        _, actions, step, first_frames = collector.end_round()
        replay.add(step, actions)
        if first_frames is not None:
            replay.start(first_frames, step.ended)
    environments.close()


def copy_frames(source: Replay, target: Replay) -> float:
    """Give one replay all that the other holds; microseconds per frame."""
    target.load_state_dict(source.state_dict())
    seconds, num_frames = 0.0, 0
    for first in range(int(source.lanes.tails.min()), int(source.lanes.heads.max()), CHUNK_FRAMES):
        for lane in range(NUM_ENVS):
            start = max(first, int(source.lanes.tails[lane]))
            stop = min(first + CHUNK_FRAMES, int(source.lanes.heads[lane]))
            if start >= stop:  # lanes differ in length by the first frames of their episodes
                continue
            frames = source.read_frames(lane, start, stop)
            began = time.perf_counter()
            target.restore_frames(lane, start, frames)
            seconds += time.perf_counter() - began
            num_frames += len(frames)
    return seconds / num_frames * 1e6


def measure_sampling(replays: dict[str, Replay], batch_size: int) -> dict[str, float]:
    """Median milliseconds of a minibatch from each replay; they must be the same minibatches."""
    generators = {name: torch.Generator().manual_seed(1) for name in replays}
    times: dict[str, list[float]] = {name: [] for name in replays}
    for _ in range(NUM_MINIBATCHES):
        batches = []
        for name, replay in replays.items():
            began = time.perf_counter()
            batch = replay.sample(batch_size, generators[name])
            if replay_is_on_gpu := batch.s_t.is_cuda:
                torch.cuda.synchronize()
            times[name].append((time.perf_counter() - began) * 1000)
            batches.append(batch.s_t.cpu() if replay_is_on_gpu else batch.s_t)
        assert all(torch.equal(batches[0], other) for other in batches[1:]), "storages sample differently"
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()

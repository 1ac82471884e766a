"""Put an agent of a run, the newest or that of a checkpoint, among the trained agents that come with the project.

    python -m scripts.publishing.publish_agent runs/Pong/<run>  100 whole games, into checkpoints/Pong
    python -m scripts.publishing.publish_agent runs/Pong/<run>/checkpoints/000650000-19.4.ckpt
    python -m scripts.publishing.publish_agent runs/Pong/<run> --episodes 30 --into elsewhere

The folder checkpoints/<Game> gets the folded weights (float16, unless that moves the mean return out of the interval
that float32 gives), their description with how they were trained and evaluated, the learning curve, and a video of
the start of the median game. The table in checkpoints/README.md is written anew from all the folders.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch

from scripts.publishing.list_agents import write_table
from scripts.studies.learning_curves import read_learning_curve, write_learning_curve
from wn_rl.app.composition import compose_settings
from wn_rl.app.player import evaluate_player, load_player
from wn_rl.envs.rendering import EpisodeRecord
from wn_rl.interop.portable import describe_for_others
from wn_rl.runs.agent import Agent, load_agent, save_agent
from wn_rl.viewing.recorder import record_episode

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
VIDEO_SECONDS, VIDEO_SCALE = 20, 2


def evaluate(folder: Path, episodes: int) -> tuple[dict[str, Any], list[EpisodeRecord]]:
    """What ``python -m wn_rl.evaluate agent=<folder> episodes=<episodes>`` finds, and the games."""
    config, _ = compose_settings("evaluate", [f"agent='{folder}'", f"episodes={episodes}"])
    return evaluate_player(load_player(config), config)


def describe(agent: Agent, **more: Any) -> dict[str, Any]:
    """The agent's description, without the paths of the machine that trained it, and with ``more``."""
    return {**describe_for_others(agent), **more}


def write_video(agent: Agent, records: list[EpisodeRecord], path: Path) -> None:
    """The start of the game whose return is the median, in the game's own colors."""
    median = sorted(records, key=lambda record: record.episode_return)[len(records) // 2]
    record_episode(median, path, scale=VIDEO_SCALE, view=None, max_seconds=VIDEO_SECONDS)


def publish(source: Path, into: Path, episodes: int) -> Path:
    """Make the folder of the agent and return it; one that was there is replaced when the new one is complete."""
    agent = load_agent(source)
    run = source.parents[1] if source.suffix == ".ckpt" else source
    folder = into / agent.description["game"]
    unfinished = into / f".{folder.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    curve = [point for point in read_learning_curve(run) if point.agent_steps <= agent.description["agent_steps"]]
    full, records = evaluate(source, episodes)
    save_agent(unfinished, agent.network, describe(agent), dtype=torch.float16)
    half, half_records = evaluate(unfinished, episodes)
    is_same = full["ci95_low"] <= half["mean"] <= full["ci95_high"]
    row, records, dtype = (half, half_records, torch.float16) if is_same else (full, records, torch.float32)
    print(f"mean return in float32 {full['mean']:.2f}, in float16 {half['mean']:.2f}: kept in {dtype}")
    description = describe(agent, training_minutes=round(curve[-1].minutes, 1), evaluation=row)
    save_agent(unfinished, agent.network, description, dtype=dtype)
    write_learning_curve(unfinished / "learning_curve.csv", curve)
    write_video(agent, records, unfinished / "video.mp4")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a run folder, or a .ckpt file in its checkpoints")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--into", type=Path, default=CHECKPOINTS)
    options = parser.parse_args()
    print(publish(options.source, options.into, options.episodes))
    write_table(options.into)


if __name__ == "__main__":
    main()

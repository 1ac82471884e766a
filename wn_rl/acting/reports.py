"""What an evaluation leaves behind: a line that says everything about the number, and the games themselves."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wn_rl.acting.evaluator import EvaluationSummary
from wn_rl.envs.rendering import EpisodeRecord, save_episode
from wn_rl.files import write_whole
from wn_rl.scores import compute_human_normalized_score


def make_evaluation_row(
    *,
    summary: EvaluationSummary,
    game: str,
    protocol: str,
    epsilon: float,
    seed: int,
    agent_steps: int,
    source: str,
) -> dict[str, Any]:
    """One evaluation as plain values: the score is never without its protocol, episodes, epsilon and training.

    Args:
        agent_steps: that the agent was trained for.
        source: "training" or "evaluate", which command played.
    """
    return {
        "game": game,
        "protocol": protocol,
        "epsilon": epsilon,
        "seed": seed,
        "agent_steps": agent_steps,
        **asdict(summary),
        "human_normalized": compute_human_normalized_score(game, summary.mean),
        "source": source,
    }


def append_json_line(path: Path, row: dict[str, Any]) -> None:
    """Append one JSON object on a line of its own, and force it to disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())


def drop_later_json_lines(path: Path, agent_steps: int) -> None:
    """Remove the lines of evaluations beyond ``agent_steps``: a resumed run plays and writes them again."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if _is_until(line, agent_steps)]
    write_whole(path, "".join(line + "\n" for line in kept).encode())


def _is_until(line: str, agent_steps: int) -> bool:
    try:
        return int(json.loads(line)["agent_steps"]) <= agent_steps
    except (ValueError, KeyError, TypeError):
        return False  # the last line of a run that was killed while writing it


def save_episodes(folder: Path, records: list[EpisodeRecord]) -> None:
    """Write each game as its seed and actions, some kilobytes, under its number in the evaluation."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, record in enumerate(records):
        save_episode(folder / f"{number:03d}.npz", record)

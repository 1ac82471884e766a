"""What an evaluation leaves behind: a line that says everything about the number, and the games themselves."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wn_rl.acting.evaluator import EvaluationSummary
from wn_rl.envs.rendering import EpisodeRecord, save_episode
from wn_rl.errors import ConfigurationError
from wn_rl.runs.scores import compute_human_normalized_score
from wn_rl.system.files import append_line, read_limited, write_whole

MAX_BYTES = 2**26


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
    """Append one JSON object on a line of its own, and force it to disk.

    Raises:
        ConfigurationError: the disk is full, or the file cannot be written to.
    """
    try:
        append_line(path, (json.dumps(row) + "\n").encode())
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}; name another folder with output_dir=..., or make room"
        ) from error


def keep_training_rows(path: Path, num_rows: int) -> None:
    """Remove training's evaluations beyond the first ``num_rows``; those of other commands stay.

    The last line of a run that was killed while writing it is no JSON, and is removed too.

    Raises:
        ConfigurationError: the file is larger than any run's.
    """
    if not path.is_file():
        return
    kept, num_kept = [], 0
    for line in _read_lines(path):
        source = _read_source(line)
        num_kept += source == "training"
        if source is not None and (source != "training" or num_kept <= num_rows):
            kept.append(line)
    write_whole(path, "".join(line + "\n" for line in kept).encode())


def find_evaluation(path: Path, agent_steps: int) -> dict[str, Any] | None:
    """The newest evaluation of the agent of so many agent steps, None where there is none."""
    rows = [json.loads(line) for line in _read_lines(path) if _read_source(line)] if path.is_file() else []
    return next((row for row in reversed(rows) if row.get("agent_steps") == agent_steps), None)


def _read_lines(path: Path) -> list[str]:
    try:
        return read_limited(path, MAX_BYTES, follow_links=False).decode("utf-8", "replace").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be gone on with: {error}; move it away") from error


def _read_source(line: str) -> str | None:
    """Which command wrote a line; None for what is no row of an evaluation."""
    try:
        return str(json.loads(line)["source"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def save_episodes(folder: Path, records: list[EpisodeRecord]) -> None:
    """Write each game as its seed and actions, some kilobytes, under its number in the evaluation."""
    folder.parent.mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    for number, record in enumerate(records):
        save_episode(folder / f"{number:03d}.npz", record)

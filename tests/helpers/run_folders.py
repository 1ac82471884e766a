"""Run folders as training leaves them, made in no time: numbers that are all different, videos of a moving square."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from wn_rl.viewing.video import write_poster, write_video

ITERATION = 250_000
SETTINGS: dict[str, Any] = {
    "game": "Pong", "seed": 0, "preset": "quick", "normalizer": "weight_norm", "name": "${normalizer}",
    "total_agent_steps": 4 * ITERATION, "learning_rate": 0.0002, "protocol": {"name": "machado", "frame_skip": 4},
    "replay": {"n_step": 3, "gamma": 0.99}, "optimizer": {"lr": "${learning_rate}", "betas": [0.9, 0.999]},
    "video": {"max_seconds": 60},
}  # fmt: skip


def make_evaluation(number: int, *, shift: float = 0.0, **changes: Any) -> dict[str, Any]:
    """The evaluation at the end of iteration ``number``, from 1."""
    mean = -20.0 + 8 * number + shift
    return {
        "game": "Pong", "protocol": "machado", "epsilon": 0.001, "seed": 12345, "agent_steps": number * ITERATION,
        "episodes": 10, "mean": mean, "ci95_low": mean - 1.5, "ci95_high": mean + 1.25, "median": mean + 0.5,
        "min": mean - 4, "max": mean + 3, "mean_agent_steps": 900.5 + number,
        "human_normalized": (mean + 20.7) / 35.3, "source": "training", **changes,
    }  # fmt: skip


def make_metrics(num_rows: int, *, shift: float = 0.0) -> list[dict[str, float]]:
    """Rows of metrics.csv, one per chunk of 10,000 agent steps at 1,000 per second."""
    return [
        {
            "agent_steps": 10_000 * number, "speed/agent_steps_per_second": 1000, "train/loss": 1 / number,
            "train/max_q_value": 0.02 * number, "train/mean_return": -20 + 0.3 * number + shift,
            "train/epsilon": 1 / number, "train/updates": 100 * number,
            "weights/conv1/v_norm_mean": 1 + 0.01 * number, "weights/output/v_norm_mean": 2 + 0.02 * number,
        }
        for number in range(1, num_rows + 1)
    ]  # fmt: skip


def make_run_folder(
    folder: Path, *, num_rows: int = 100, num_evaluations: int = 4, shift: float = 0.0, **settings: Any
) -> Path:
    """A folder with settings, metrics and evaluations, without videos."""
    folder.mkdir(parents=True)
    values = {**SETTINGS, "run_dir": str(folder), "logger": {"run_dir": "${run_dir}"}, **settings}
    (folder / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (folder / "provenance.json").write_text(json.dumps({"versions": {"torch": "2.13.0"}, "commit": "abc"}))
    rows = make_metrics(num_rows, shift=shift)
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    lines = [json.dumps(make_evaluation(number + 1, shift=shift)) + "\n" for number in range(num_evaluations)]
    (folder / "evaluations.jsonl").write_text("".join(lines))
    return folder


def add_video(folder: Path, name: str, *, num_frames: int = 120) -> Path:
    """A square that wanders through a picture of a game's shape, with its poster."""
    frames = []
    for number in range(num_frames):
        frame = np.full((210, 160, 3), 30, dtype=np.uint8)
        frame[90:110, number : number + 20] = (236, 120, 90)
        frames.append(frame)
    path = folder / "videos" / name
    write_video(path, frames, frames_per_second=60)
    write_poster(path.with_suffix(".png"), frames[num_frames // 3])
    return path

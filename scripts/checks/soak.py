"""Does a long run grow? Trains for an hour with an iteration every few seconds and watches the process.

    python -m scripts.checks.soak                     an hour
    python -m scripts.checks.soak --minutes 4

Everything that a run does takes part: training, evaluation, episodes, videos, checkpoints, logs, agents; every few
minutes the run is stopped and gone on with in the same process. After each iteration it notes the memory of the
process, its threads, its open descriptors, and the files and bytes of the run folder that are not meant to grow (an
evaluation's games, videos and rows of logs are: one set for each). At the end it prints the table and exits with 1 if
any of them grew from the second quarter of the run to the last.
"""

import argparse
import gc
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch.callbacks import Callback

from wn_rl.app import training as run
from wn_rl.app.composition import compose_settings

SETTINGS = [
    "game=Pong", "preset=quick", "iteration_agent_steps=600", "chunk_agent_steps=100", "warmup_agent_steps=200",
    "total_agent_steps=1000000000", "replay.capacity=2000", "batch_size=8", "samples_per_agent_step=1",
    "initialization_batch_size=32", "network.torso=mlp", "network.hidden_units=16", "num_envs=4", "num_threads=1",
    "num_env_threads=1", "protocol.max_episode_frames=400", "evaluation.episodes=2", "evaluation.num_envs=2",
    "video.period_iterations=10", "video.max_seconds=1", "video.scale=1", "progress=false",
]  # fmt: skip
ALLOWED_GROWTH = {"memory_mb": 8.0, "threads": 0.0, "descriptors": 0.0, "kept_files": 3.0, "kept_mb": 0.2}
"""Between the medians of the second and the last quarter; memory moves by some MB as the allocator likes."""


class Sample(NamedTuple):
    """What the process holds after an iteration."""

    seconds: float
    iteration: int
    memory_mb: float
    threads: int
    descriptors: int
    kept_files: int
    kept_mb: float


def take_sample(folder: Path, began: float, iteration: int) -> Sample:
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    # metrics.csv is one row per chunk, meant to grow; so are TensorBoard's events, evaluations and their games
    kept = [path for name in ("checkpoints", "replay", "agent") for path in (folder / name).rglob("*")]
    return Sample(
        seconds=time.monotonic() - began,
        iteration=iteration,
        memory_mb=int(status["VmRSS"].split()[0]) / 1024,
        threads=int(status["Threads"]),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        kept_files=len(kept),
        kept_mb=sum(path.stat().st_size for path in kept) / 1e6,
    )


class Watch(Callback):
    """Takes a sample after each iteration, and stops the run when its time is over."""

    def __init__(self, folder: Path, samples: list[Sample], *, began: float, seconds: float) -> None:
        self._folder, self._samples, self._began, self._end = folder, samples, began, time.monotonic() + seconds

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch > 0:
            self._samples.append(take_sample(self._folder, self._began, trainer.current_epoch))
        if time.monotonic() > self._end:
            trainer.should_stop = True
            pl_module.write_ahead()
            next(c for c in trainer.callbacks if isinstance(c, run.Interruption)).is_requested = True


def find_growth(samples: list[Sample]) -> list[str]:
    """What grew from the second quarter to the last, more than is allowed."""
    quarter = len(samples) // 4
    grown = []
    for name, allowed in ALLOWED_GROWTH.items():
        before = statistics.median(getattr(sample, name) for sample in samples[quarter : 2 * quarter])
        after = statistics.median(getattr(sample, name) for sample in samples[-quarter:])
        if after - before > allowed:
            grown.append(f"{name} grew from {before:.1f} to {after:.1f}")
    return grown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, default=None, help="on whose disk to write")
    arguments = parser.parse_args()
    temporary = Path(tempfile.mkdtemp(dir=arguments.folder))
    folder, began = temporary / "run", time.monotonic()
    end = began + 60 * arguments.minutes
    samples: list[Sample] = []
    try:
        while time.monotonic() < end:
            words = [f"resume={folder}"] if folder.exists() else [*SETTINGS, f"run_dir={folder}"]
            config, _ = compose_settings("train", words)
            if folder.exists():
                made = run.resume_run(config, overrides=[], folder=folder)
            else:
                made = run.start_run(config, preset="quick")
            seconds = min(max(60 * arguments.minutes / 8, 20), 300)
            made.trainer.callbacks.insert(1, Watch(folder, samples, began=began, seconds=seconds))
            made.train()
    finally:
        shutil.rmtree(temporary)
    print("\n".join(["  ".join(f"{name:>11}" for name in Sample._fields)] + [
        "  ".join(f"{value:>11.1f}" for value in sample) for sample in samples[:: max(len(samples) // 25, 1)]
    ]))  # fmt: skip
    grown = find_growth(samples)
    print("\n".join(grown) or f"{len(samples)} iterations in {arguments.minutes:g} minutes: nothing grew")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())

"""How many minutes until an agent plays well? What a user waits for, from nothing, with several seeds.

    python -m scripts.benchmarks.bench_time_to_score game=Pong score=18
    python -m scripts.benchmarks.bench_time_to_score game=Breakout score=30 seeds=0,1 minutes=60 protocol=nature

Trains with ``preset=quick`` and evaluates 20 whole games at the end of each iteration, until their mean return reaches
the score. The minutes are those of the clock, from the start of the command, evaluations included. ``minutes`` is when
a seed counts as not having reached it, ``runs`` a new folder that the run folders stay in. Everything but these two,
``score`` and ``seeds`` goes to the training as it is.
"""

import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

DEFAULTS = {"score": "18", "seeds": "0,1,2", "minutes": "90", "runs": ""}
POLL_SECONDS = 2


class Outcome(NamedTuple):
    """When a seed's evaluation reached the score; ``minutes`` is infinite if it did not."""

    seed: int
    minutes: float
    agent_steps: int
    best: float


def read_evaluations(run: Path) -> list[dict[str, Any]]:
    """The evaluations so far; a line that is still being written is left out."""
    path = run / "evaluations.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def train(seed: int, words: list[str], *, score: float, minutes: float, run: Path) -> Outcome:
    """Train one seed until it reaches the score, ends, or has had its minutes."""
    command = [
        sys.executable, "-m", "wn_rl.train", "preset=quick", "evaluation.episodes=20", "evaluation.num_envs=20",
        "video.period_iterations=0", *words, f"seed={seed}", f"run_dir={run}",
    ]  # fmt: skip
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None and time.monotonic() - begin < 60 * minutes:
            if any(row["mean"] >= score for row in read_evaluations(run)):
                break
            time.sleep(POLL_SECONDS)
        spent = (time.monotonic() - begin) / 60
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait()
    if process.returncode != 0:
        sys.exit(f"training failed with exit status {process.returncode}: {' '.join(command)}")
    rows = read_evaluations(run)
    reached = next((row for row in rows if row["mean"] >= score), None)
    best = max((row["mean"] for row in rows), default=float("nan"))
    steps = reached["agent_steps"] if reached else max((row["agent_steps"] for row in rows), default=0)
    return Outcome(seed, spent if reached else float("inf"), steps, best)


def main() -> None:
    given = dict(word.partition("=")[::2] for word in sys.argv[1:])
    own = {key: given.pop(key, value) for key, value in DEFAULTS.items()}
    if "game" not in given:
        sys.exit(__doc__)
    score, minutes = float(own["score"]), float(own["minutes"])
    words = [f"{key}={value}" for key, value in given.items()]
    outcomes = []
    print("| seed | minutes | agent steps | best evaluation |\n|---|---|---|---|")
    for seed in map(int, own["seeds"].split(",")):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(own["runs"] or folder) / f"seed{seed}"
            outcomes.append(train(seed, words, score=score, minutes=minutes, run=run))
        one = outcomes[-1]
        waited = f"{one.minutes:.1f}" if one.minutes < float("inf") else f"not within {minutes:g}"
        print(f"| {seed} | {waited} | {one.agent_steps:,} | {one.best:.1f} |", flush=True)
    median = statistics.median(one.minutes for one in outcomes)
    print(f"\nmedian: {median:.1f} minutes to a mean of {score:g} over 20 games; {' '.join(words)}")


if __name__ == "__main__":
    main()

"""All that waits for a GPU, in one command of eight minutes: tests, speed and learning, as one JSON file and a table.

    python -m scripts.checks.gpu --output results              on a machine with a GPU
    python -m scripts.checks.gpu --output results --device cpu  a try of every step, within some minutes

Each step is a process of its own that is cut off when its time is up, and one that fails does not end the others: its
last line is in the table. ``results.json`` is written anew after every step, so that being cut short loses one.
"""

import argparse
import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from wn_rl.envs.atari import AtariEnvironments
from wn_rl.envs.protocols import Protocol
from wn_rl.runs.layout import AGENT_FOLDER, METRICS_FILE, WEIGHTS_FILE
from wn_rl.runs.provenance import describe_provenance
from wn_rl.system.cpu import count_cores

ROOT = Path(__file__).resolve().parents[2]
Result = dict[str, Any]
SMALL = {
    "network.torso": "small", "network.hidden_units": 16, "batch_size": 16, "num_envs": 4,
    "initialization_batch_size": 16,
}  # fmt: skip
"""What makes a training a try."""
SMALL_REPLAY = {"replay.capacity": 2000, "warmup_agent_steps": 64}


class Check:
    """What every step needs to know.

    Args:
        device: "cuda" or "cpu".
        scale: by which the seconds of every step are multiplied.
        folder: where the trainings write.
    """

    def __init__(self, *, device: str, scale: float, folder: Path) -> None:
        self.is_try, self._scale, self._folder = device == "cpu", scale, folder
        self._accelerator = {"cuda": "gpu", "cpu": "cpu"}[device]
        self._num_runs = 0

    def run(self, module: str, words: list[str], *, seconds: float) -> str:
        """Output of ``python -m module``, which is asked to end when its time is up.

        Raises RuntimeError with the last line of one that fails.
        """
        command = [sys.executable, "-m", module, *words]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        try:
            output, _ = process.communicate(timeout=seconds * self._scale)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            try:
                output, _ = process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise RuntimeError(f"does not end {30} s after SIGTERM") from None
        if process.returncode not in (0, -signal.SIGTERM):
            raise RuntimeError(f"exit status {process.returncode}: {' '.join(output.splitlines()[-1:])[:300]}")
        return output

    def train(self, settings: Result, *, seconds: float) -> Result:
        """Speed, agent steps and return of a training of Breakout that is stopped after so many seconds."""
        self._num_runs += 1
        folder = self._folder / f"run{self._num_runs}"
        settings = {
            "game": "Breakout", "accelerator": self._accelerator, "progress": "false", "logger": "none",
            "evaluation.episodes": 0, "video.period_iterations": 0, "run_dir": folder, **settings,
        }  # fmt: skip
        if self.is_try:
            settings |= SMALL | (SMALL_REPLAY if "replay.capacity" in settings else {})
        began = time.perf_counter()
        self.run("wn_rl.train", [f"{key}={value}" for key, value in settings.items()], seconds=seconds)
        with (folder / METRICS_FILE).open(newline="") as file:
            rows = list(csv.DictReader(file))
        speeds = [float(row["speed/agent_steps_per_second"]) for row in rows if row.get("speed/updates_per_second")]
        returns = [float(row["train/mean_return"]) for row in rows if row.get("train/mean_return")]
        if not speeds:
            raise RuntimeError("it learned nothing in its time")
        return {
            "agent_steps_per_second": statistics.median(speeds[len(speeds) // 2 :]),  # the later ones: warm
            "agent_steps": int(rows[-1]["agent_steps"]),
            "mean_return": returns[-1] if returns else None,
            "seconds": time.perf_counter() - began,
            "run": str(folder),
        }


def run_tests(check: Check) -> Result:
    """The tests that are marked ``gpu``, or, where a GPU is only tried, those beside them."""
    words = ["-n", "0", "tests/app/test_training.py", "tests/replay/test_replay.py", "tests/learning/test_gradients.py"]
    output = check.run("pytest", [*words, "-m", "gpu"] if not check.is_try else words[:2] + words[-1:], seconds=90)
    if " passed" not in output:
        raise RuntimeError("they did not end in their time")
    return {"summary": output.splitlines()[-1]}


def repeat_deterministically(check: Check) -> Result:
    """Two trainings with ``deterministic=true`` end with the same weights."""
    settings = {
        "deterministic": "true", "total_agent_steps": 3000, "iteration_agent_steps": 3000, "warmup_agent_steps": 1000,
        "replay.capacity": 10_000, "seed": 3,
    }  # fmt: skip
    runs = [Path(check.train(settings, seconds=60)["run"]) for _ in range(2)]
    first, second = ((run / AGENT_FOLDER / WEIGHTS_FILE).read_bytes() for run in runs)
    if first != second:
        raise RuntimeError("two runs with one seed end with other weights")
    return {"same": True}


def time_dqn(samples: int, compiled: bool) -> Callable[[Check], Result]:
    """``preset=dopamine``'s network and minibatch at so many samples per agent step."""

    def step(check: Check) -> Result:
        settings = {
            "preset": "dopamine", "samples_per_agent_step": samples, "compile": str(compiled).lower(),
            "warmup_agent_steps": 2000, "chunk_agent_steps": 1000, "replay.capacity": 200_000,
        }  # fmt: skip
        return check.train(settings, seconds=50 if compiled else 25)

    return step


def train_btr(check: Check) -> Result:
    """Beyond The Rainbow's settings, with a warm-up that does not fill the time."""
    settings = {
        "preset": "btr", "warmup_agent_steps": 10_000, "chunk_agent_steps": 4000, "replay.capacity": 200_000
    }  # fmt: skip
    return check.train(settings, seconds=70)


def train_pqn(check: Check) -> Result:
    """PQN, and the share of what the environments alone would do with the same threads."""
    threads, num_envs = count_cores(), 4 if check.is_try else 128
    result = check.train({"preset": "pqn", "protocol": "nature", "total_agent_steps": 2_000_000}, seconds=120)
    alone = time_environments(num_envs=num_envs, num_threads=threads, seconds=3)
    share = result["agent_steps_per_second"] / alone
    return {**result, "environments_alone": alone, "share_of_environments": share, "cores": threads}


def time_environments(*, num_envs: int, num_threads: int, seconds: float) -> float:
    """Agent steps/s of random play."""
    rules = OmegaConf.load(ROOT / "configs" / "protocol" / "nature.yaml")
    protocol = Protocol.from_values(dict(rules))
    environments = AtariEnvironments(game="Breakout", protocol=protocol, num_envs=num_envs, num_threads=num_threads)
    rng = np.random.default_rng(0)
    environments.reset(seeds=np.arange(num_envs))
    began, rounds = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        environments.send(rng.integers(environments.num_actions, size=num_envs))
        step = environments.receive()
        if step.ended.any():
            environments.reset(mask=step.ended)
        rounds += 1
    environments.close()
    return rounds * num_envs / (time.perf_counter() - began)


STEPS: dict[str, Callable[[Check], Result]] = {
    "tests": run_tests,
    "deterministic=true, twice": repeat_deterministically,
    **{
        f"DQN, {samples} samples per agent step{', compiled' if compiled else ''}": time_dqn(samples, compiled)
        for samples in (1, 4, 8)
        for compiled in (False, True)
    },
    "preset=btr": train_btr,
    "preset=pqn": train_pqn,
}


def describe(result: Result) -> str:
    """One row's text."""
    shown = {key: value for key, value in result.items() if key not in ("run", "seconds") and value is not None}
    return ", ".join(
        f"{key} {value:,.2f}" if isinstance(value, float) else f"{key} {value}" for key, value in shown.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of results.json and table.md")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--scale", type=float, default=1.0, help="of the seconds of every step")
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    machine = describe_provenance()
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        check = Check(device=options.device, scale=options.scale, folder=Path(folder))
        for name in options.steps:
            began = time.perf_counter()
            try:
                results[name] = STEPS[name](check)
            except Exception as error:
                results[name] = {"failed": f"{type(error).__name__}: {error}"}
            results[name]["seconds"] = time.perf_counter() - began
            print(f"{name}: {describe(results[name])} ({results[name]['seconds']:.0f} s)", flush=True)
            (options.output / "results.json").write_text(json.dumps({"machine": machine, "steps": results}, indent=1))
    rows = [f"| {name} | {describe(result)} | {result['seconds']:.0f} |" for name, result in results.items()]
    (options.output / "table.md").write_text("\n".join(["| step | result | s |", "|---|---|---|", *rows, ""]))
    sys.exit(any("failed" in result for result in results.values()))


if __name__ == "__main__":
    main()

"""Whole training loops side by side: this project, Stable-Baselines3's DQN, and a plain PyTorch loop.

    python -m scripts.benchmarks.bench_training  all modes, three repetitions, into docs/performance.md
    python -m scripts.benchmarks.bench_training --modes same --precisions float32 --repetitions 1 --timed 2000

Modes: ``same`` is a minibatch of 32 every 4 agent steps, ``large_batch`` one of 128 every 16: as many samples learned
per agent step. The loops take turns, each in a process of its own, on the same game, protocol, network, samples per
agent step and replay size; ratios are within a repetition, so that a machine that slows down slows all.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scripts.benchmarks.training_loops import LOOPS, Work
from scripts.publishing.marked_sections import replace_section
from wn_rl.runs.provenance import describe_provenance

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"
BATCH_SIZES = {"same": 32, "large_batch": 128}
REFERENCE = "Stable-Baselines3"


def measure(loop: str, work: Work) -> dict[str, Any]:
    """Run one loop in a process of its own."""
    command = [sys.executable, "-m", "scripts.benchmarks.training_loops", loop, json.dumps(work._asdict())]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if finished.returncode != 0:
        sys.exit(f"{loop} failed:\n{finished.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return result


def spread(values: Iterable[float], digits: int) -> str:
    """Median, and the least and the greatest where there are several."""
    ordered = sorted(values)
    text = f"{statistics.median(ordered):.{digits}f}"
    return text if len(ordered) == 1 else f"{text} ({ordered[0]:.{digits}f} to {ordered[-1]:.{digits}f})"


def make_tables(title: str, results: dict[str, list[dict[str, Any]]], work: Work) -> str:
    """One comparison as Markdown: speed and memory of all loops, then where our time goes."""
    speeds = {loop: [one["agent_steps_per_second"] for one in runs] for loop, runs in results.items()}
    lines = [
        f"### {title}", "",
        f"| loop | agent steps/s | samples/s | ratio to {REFERENCE} | peak memory, GB | replay, bytes per agent step |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for loop, runs in results.items():
        ratios = [ours / theirs for ours, theirs in zip(speeds[loop], speeds[REFERENCE], strict=True)]
        samples = [speed * work.samples_per_agent_step for speed in speeds[loop]]
        peak = max(one["peak_bytes"] for one in runs) / 1e9
        lines.append(
            f"| {loop} | {spread(speeds[loop], 0)} | {spread(samples, 0)} | {spread(ratios, 2)} | {peak:.2f} |"
            f" {runs[0]['replay_bytes_per_agent_step']:,.0f} |"
        )
    for loop, runs in results.items():
        if runs[0]["shares"]:
            shares = {name: statistics.median(one["shares"][name] for one in runs) for name in runs[0]["shares"]}
            parts = ", ".join(
                f"{name} {share:.1%}" for name, share in sorted(shares.items(), key=lambda item: -item[1])
            )
            lines += ["", f"Time of {loop}: {parts}."]
    return "\n".join([*lines, ""])


SPREAD = "Median of the repetitions, with the least and the greatest."


def describe_machine(script: str) -> str:
    """Hardware and versions in a sentence."""
    provenance = describe_provenance()
    hardware, versions = (
        provenance["hardware"],
        {**provenance["versions"], "stable-baselines3": version("stable-baselines3")},
    )
    named = ", ".join(f"{name} {number}" for name, number in versions.items())
    command = shlex.join(["python", "-m", f"scripts.benchmarks.{script}", *sys.argv[1:]])
    return f"On {hardware['cores']} cores of {hardware['processor']}, by `{command}`, with {named}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--game", default="Breakout")
    parser.add_argument("--modes", nargs="+", default=list(BATCH_SIZES), choices=list(BATCH_SIZES))
    parser.add_argument("--precisions", nargs="+", default=["float32", "bf16"], choices=["float32", "bf16"])
    parser.add_argument("--loops", nargs="+", default=list(LOOPS), choices=list(LOOPS))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--timed", type=int, default=6000, help="agent steps that are timed")
    parser.add_argument("--settling", type=int, default=2000, help="agent steps of learning before that")
    parser.add_argument("--replay-capacity", type=int, default=20_000)
    parser.add_argument("--no-page", action="store_true", help="print only")
    options = parser.parse_args()
    if REFERENCE not in options.loops:
        parser.error(f"--loops needs {REFERENCE}, to which ratios are taken")

    sections = [f"{describe_machine('bench_training')} {SPREAD}", ""]
    for mode in options.modes:
        for precision in options.precisions:
            results: dict[str, list[dict[str, Any]]] = {loop: [] for loop in options.loops}
            for repetition in range(options.repetitions):
                work = Work(
                    game=options.game, precision=precision, batch_size=BATCH_SIZES[mode], samples_per_agent_step=8,
                    replay_capacity=options.replay_capacity, warmup=2000, settling=options.settling,
                    timed=options.timed, seed=repetition,
                )  # fmt: skip
                for loop in options.loops:
                    results[loop].append(measure(loop, work))
                    speed = results[loop][-1]["agent_steps_per_second"]
                    print(f"{mode} {precision} {repetition + 1}: {loop} {speed:.0f} agent steps/s", file=sys.stderr)
            sections.append(make_tables(f"{options.game}, {mode}, {precision}", results, work))
    text = "\n".join(sections)
    print(text)
    if not options.no_page:
        replace_section(PAGE, "bench_training", text)


if __name__ == "__main__":
    main()

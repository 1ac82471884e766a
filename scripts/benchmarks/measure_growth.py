"""How memory, disk and what a browser loads grow with environments, replay, and the number and length of runs.

    python -m scripts.benchmarks.measure_growth                    prints the tables
    python -m scripts.benchmarks.measure_growth --times --write    with seconds, into docs/scale.md

Each row is of a process of its own, forked from one that has loaded what training loads: what it holds more in the end
than before, and what it wrote. Games are played by chance.
"""

import argparse
import csv
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import torch
import yaml

from scripts.benchmarks.bench_replay import make_replay, play
from scripts.publishing.marked_sections import replace_section
from wn_rl.acting.collector import Collector
from wn_rl.app import training
from wn_rl.app.configured import CONFIG_DIRECTORY
from wn_rl.envs.atari import AtariEnvironments
from wn_rl.envs.protocols import Protocol
from wn_rl.replay.compressed_storage import CompressedFrameStorage
from wn_rl.replay.persistence import ReplayArchive
from wn_rl.replay.storage import FrameStorage, RamFrameStorage
from wn_rl.viewing.pages.gallery import write_gallery
from wn_rl.viewing.pages.run_page import write_run_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
GAME = "Pong"
FORKS = multiprocessing.get_context("fork")
NUM_METRICS = 30
"""Columns of metrics.csv: about as many as those of a run with weight statistics."""
ROWS_OF_A_RUN = 1000


class Held(NamedTuple):
    """What a row is about: objects that stay in memory while it is measured, and bytes that were written."""

    objects: object
    disk_bytes: int


class Growth(NamedTuple):
    """A row of numbers."""

    memory_bytes: int
    disk_bytes: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", action="store_true", help="a column of seconds, for a machine that is idle")
    parser.add_argument("--write", action="store_true", help=f"write the tables into {PAGE.name}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    measures: list[tuple[str, Callable[[int, Path], Held], tuple[int, ...]]] = [
        ("environments", hold_environments, (8, 32, 64)),
        ("agent steps in the replay, 8 environments, `ram`", hold_ram, (5_000, 20_000)),
        ("agent steps in the replay, 8 environments, `compressed`", hold_compressed, (5_000, 20_000)),
        ("rows of metrics on the page of a run", hold_page, (100, 1_000, 10_000)),
        (f"runs of {ROWS_OF_A_RUN:,} rows on one page", hold_gallery, (1, 10, 100)),
    ]
    loaded = (
        f"A process that has loaded what training loads holds {read_memory() / 1e6:.0f} MB (`{training.__name__}`)."
    )
    print(loaded, flush=True)
    sections = [loaded]
    for unit, hold, sizes in measures:
        sections.append(tabulate(unit, hold, sizes, times=arguments.times))
        print(sections[-1], flush=True)
    if arguments.write:
        replace_section(PAGE, "measure_growth", "\n\n".join(sections))


def tabulate(unit: str, hold: Callable[[int, Path], Held], sizes: tuple[int, ...], *, times: bool) -> str:
    """A row for each size."""
    columns = [unit, "memory, MB", "written, MB", *(["seconds"] if times else [])]
    rows = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for size in sizes:
        growth = measure_alone(hold, size)
        numbers = [f"{size:,}", f"{growth.memory_bytes / 1e6:,.1f}", f"{growth.disk_bytes / 1e6:,.2f}"]
        rows.append(f"| {' | '.join([*numbers, *([f'{growth.seconds:.2f}'] if times else [])])} |")
    return "\n".join(rows)


def measure_alone(hold: Callable[[int, Path], Held], size: int) -> Growth:
    """Call ``hold`` in a fork, with a folder to write to."""
    ours, theirs = FORKS.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        process = FORKS.Process(target=send_growth, args=(hold, size, Path(folder), theirs))
        process.start()
        theirs.close()
        growth: Growth = ours.recv()
        process.join()
    return growth


def send_growth(hold: Callable[[int, Path], Held], size: int, folder: Path, pipe: Connection) -> None:
    """What the fork does; it ends without closing, since what it holds is to stay until it is measured."""
    before, began = read_memory(), time.perf_counter()
    held = hold(size, folder)
    pipe.send(Growth(read_memory() - before, held.disk_bytes, time.perf_counter() - began))
    os._exit(0)


def read_memory() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def hold_environments(num_envs: int, folder: Path) -> Held:
    """ALE's environments, begun."""
    protocol = Protocol.from_values(yaml.safe_load((CONFIG_DIRECTORY / "protocol" / "machado.yaml").read_text()))
    environments = AtariEnvironments(game=GAME, protocol=protocol, num_envs=num_envs, num_threads=1)
    collector = Collector(environments=environments, generator=torch.Generator().manual_seed(0))
    return Held([environments, collector, collector.begin_iteration(0, 0)], 0)


def hold_ram(agent_steps: int, folder: Path) -> Held:
    """A full replay of plain frames, and its files."""
    return hold_replay(RamFrameStorage(device=torch.device("cpu")), agent_steps, folder)


def hold_compressed(agent_steps: int, folder: Path) -> Held:
    """A full replay of packed frames, and its files."""
    return hold_replay(CompressedFrameStorage(), agent_steps, folder)


def hold_replay(storage: FrameStorage, agent_steps: int, folder: Path) -> Held:
    """A replay that is as large as what was played, with the environments that played it."""
    replay = make_replay(storage, agent_steps)
    play(GAME, replay, agent_steps, None)
    archive = ReplayArchive(replay, folder)
    archive.state_dict()
    return Held([replay, archive], sum(path.stat().st_size for path in folder.iterdir()))


def hold_page(num_rows: int, folder: Path) -> Held:
    """The page of a run without videos: what a browser loads."""
    return Held(None, write_run_page(make_run(folder / "run", num_rows)).stat().st_size)


def hold_gallery(num_runs: int, folder: Path) -> Held:
    """The page of several runs: what a browser loads."""
    for seed in range(num_runs):
        make_run(folder / f"seed={seed}", ROWS_OF_A_RUN)
    written = write_gallery(folder, with_pages=False)
    return Held(written, (folder / "index.html").stat().st_size)


def make_run(folder: Path, num_rows: int) -> Path:
    """A run folder with as many rows of metrics, in which all numbers differ, and an evaluation every hundred."""
    folder.mkdir()
    settings = {"game": GAME, "seed": 0, "total_agent_steps": 400 * num_rows, "protocol": {"name": "machado"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    names = [f"train/metric_{number}" for number in range(NUM_METRICS)]
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["agent_steps", *names])
        for row in range(1, num_rows + 1):
            writer.writerow([400 * row, *(f"{(row * 0.731 + number) % 1:.6g}" for number in range(NUM_METRICS))])
    evaluations = [
        {"mean": row / 7, "agent_steps": 400 * row, "protocol": "machado", "episodes": 10, "epsilon": 0.001,
         "source": "training"}
        for row in range(100, num_rows + 1, 100)
    ]  # fmt: skip
    (folder / "evaluations.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in evaluations))
    return folder


if __name__ == "__main__":
    main()

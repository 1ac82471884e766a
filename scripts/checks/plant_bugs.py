"""Plants every bug of tests/planted/, one at a time, and reports those that no test catches.

    python -m scripts.checks.plant_bugs              all of them
    python -m scripts.checks.plant_bugs nn replay    those of tests/planted/nn.py and tests/planted/replay.py

Each plant is one edit of one source line in a temporary copy of the working tree; the named test must fail there, and
must pass without the edit. Writes these rooms' tables in tests/planted_bugs.md. Exit status 1 if a bug survives.

Tests run two at a time, each in a copy of its own and in a fork of a server that has imported what takes long and is
the same for all: nothing of the tree, and nothing that has computed, since threads do not survive a fork.
"""

import importlib
import multiprocessing
import os
import queue
import re
import shutil
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "tests" / "planted_bugs.md"
COPIED = ("wn_rl", "configs", "scripts", "tests", "checkpoints", "pyproject.toml")
NUM_COPIES = 2
MAX_SECONDS = 300.0  # of a test with a bug: a loop without an end is one way to be caught

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["torch", "lightning.pytorch", "gymnasium", "ale_py", "cv2", "av", "hydra", "rich.console",
     "hypothesis.extra.numpy", "beartype", "jaxtyping", "pytest", "matplotlib", "torch.utils.tensorboard"]
)  # fmt: skip

OUTCOMES = {0: "**survives**", 1: "caught", None: "caught by the time that it takes"}
"""What pytest's exit status means; None: it was cut short."""


@dataclass(frozen=True)
class Plant:
    """One bug: replace ``old`` (which occurs once in ``file``) by ``new``, and ``test`` fails."""

    number: int
    file: str
    old: str
    new: str
    test: str
    room: str


def load_plants(rooms: list[str]) -> list[Plant]:
    """Of these rooms, or of all."""
    known = sorted(path.stem for path in (ROOT / "tests" / "planted").glob("[a-z]*.py"))
    if not set(rooms) <= set(known):
        raise SystemExit(f"rooms are {', '.join(known)}")
    modules = {room: importlib.import_module(f"tests.planted.{room}") for room in rooms or known}
    plants = [Plant(room=room, **entry) for room, module in modules.items() for entry in module.PLANTED]
    if stale := [plant for plant in plants if (ROOT / plant.file).read_text().count(plant.old) != 1]:
        raise SystemExit(f"the code has moved on; these have no place, or several: {stale}")
    return sorted(plants, key=lambda plant: (plant.room, plant.number, plant.file))


def make_copies(folder: Path) -> "queue.SimpleQueue[Path]":
    copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for number in range(NUM_COPIES):
        copy = folder / str(number)
        copy.mkdir()
        for item in COPIED:
            (shutil.copytree if (ROOT / item).is_dir() else shutil.copy2)(ROOT / item, copy / item)
        copies.put(copy)
    return copies


def run_pytest(folder: Path, tests: list[str], writes_bytecode: bool) -> None:
    """In a fork: exit with pytest's status; what it says is kept in the copy."""
    os.setsid()  # what it starts will end with it
    output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.chdir(folder)
    sys.path = [str(folder), *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "scripts"]:
        del sys.modules[name]  # the program itself, of the tree without a bug
    os.environ.update(PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1")
    sys.dont_write_bytecode = not writes_bytecode
    import pytest

    # Plain assertions fail as well, and are not compiled a second time.
    options = ["-x", "-q", "-n", "0", "-m", "", "-p", "no:cacheprovider", "--assert=plain", "--timeout=0"]
    sys.exit(int(pytest.main([*options, *tests])))


def run_tests(copies: "queue.SimpleQueue[Path]", tests: list[str], plant: Plant | None = None) -> str:
    """Run tests in a free copy of the tree, with a bug or with none; the outcome."""
    copy = copies.get()
    if plant:
        (copy / plant.file).write_text((ROOT / plant.file).read_text().replace(plant.old, plant.new))
    process = FORKS.Process(target=run_pytest, args=(copy, tests, plant is None))
    process.start()
    process.join(MAX_SECONDS if plant else None)
    status = process.exitcode
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    outcome = OUTCOMES.get(status, f"**pytest ended with {status}**")
    if status not in (OUTCOMES if plant else (0,)):
        print((copy / "output.txt").read_text()[-4000:])
    if plant:
        shutil.copy2(ROOT / plant.file, copy / plant.file)  # with its time, by which its bytecode is known
        print(f"{outcome}: {plant.number} {plant.file} {plant.test}", flush=True)
    copies.put(copy)
    return outcome


def write_tables(outcomes: dict[Plant, str]) -> None:
    """One table a room; those of other rooms stay."""
    from tests.planted import BUGS

    text = TABLES.read_text() if TABLES.exists() else ""
    rooms = dict(re.findall(r"^## (\w+)\n\n(.*?\n)(?=\n##|\Z)", text, re.MULTILINE | re.DOTALL))
    for room in {plant.room for plant in outcomes}:
        rooms[room] = "| bug | planted in | test | outcome |\n|---|---|---|---|\n" + "".join(
            f"| {plant.number}: {BUGS[plant.number]} | `{plant.file}` | `{plant.test}` | {outcome} |\n"
            for plant, outcome in outcomes.items() if plant.room == room
        )  # fmt: skip
    head = "# Planted bugs and the tests that catch them\n\nWritten by `python -m scripts.checks.plant_bugs`.\n"
    TABLES.write_text(head + "".join(f"\n## {room}\n\n{rooms[room]}" for room in sorted(rooms)))


def main(rooms: list[str]) -> int:
    plants = load_plants(rooms)
    tests = sorted({plant.test for plant in plants})
    halves = [half for half in (tests[: len(tests) // 2], tests[len(tests) // 2 :]) if half]
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(NUM_COPIES) as threads:
        copies = make_copies(Path(name))
        if any(threads.map(lambda half: run_tests(copies, half) != OUTCOMES[0], halves)):
            raise SystemExit("some of the tests fail without any planted bug")
        outcomes = dict(zip(plants, threads.map(lambda p: run_tests(copies, [p.test], p), plants), strict=True))
    write_tables(outcomes)
    num_left = sum(not outcome.startswith("caught") for outcome in outcomes.values())
    print(f"{len(plants) - num_left} of {len(plants)} planted bugs are caught")
    return min(num_left, 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when PyTorch is imported
    sys.exit(main(sys.argv[1:]))

"""Plants every bug of tests/planted/, one at a time, and reports those that no test catches.

    python scripts/plant_bugs.py            all of them
    python scripts/plant_bugs.py 18 nn      those with number 18, and those of tests/planted/nn.py

Each plant is one edit of one source line in a temporary copy of the working tree; the named test must fail there,
and must pass without the edit. Writes tests/planted_bugs.md. Exit status 1 if a bug survives.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("wn_rl", "configs", "scripts", "tests", "pyproject.toml")


@dataclass(frozen=True)
class Plant:
    """One bug: replace ``old`` (which occurs once in ``file``) by ``new``, and ``test`` fails."""

    number: int
    file: str
    old: str
    new: str
    test: str
    room: str

    @property
    def label(self) -> str:
        return f"{self.number:>2} {self.file}: {self.test}"


def load_plants() -> list[Plant]:
    plants = []
    for path in sorted((ROOT / "tests" / "planted").glob("[a-z]*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        plants += [Plant(room=path.stem, **entry) for entry in module.PLANTED]
    return sorted(plants, key=lambda plant: (plant.number, plant.file))


def run_tests(folder: Path, tests: list[str]) -> bool:
    """Whether the tests pass in a copy of the tree."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "", *tests]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 1):
        print(result.stdout[-2000:], result.stderr[-2000:])
        raise SystemExit(f"pytest could not run {tests}")
    return result.returncode == 0


def survives(plant: Plant, folder: Path) -> bool:
    """Plant the bug in the copy, run its test, and take it out again."""
    path = folder / plant.file
    source = path.read_text()
    if source.count(plant.old) != 1:
        raise SystemExit(f"{plant.label}: its old text occurs {source.count(plant.old)} times in {plant.file}")
    path.write_text(source.replace(plant.old, plant.new))
    try:
        return run_tests(folder, [plant.test])
    finally:
        path.write_text(source)


def write_table(plants: list[Plant], survivors: set[Plant]) -> None:
    lines = [
        "# Planted bugs and the tests that catch them",
        "",
        "Written by `python scripts/plant_bugs.py`, which plants each bug again and runs its test.",
        "",
        "| bug | planted in | caught by |",
        "|---|---|---|",
    ]
    for plant in plants:
        verdict = "**nothing**" if plant in survivors else f"`{plant.test}`"
        lines.append(f"| {plant.number} | `{plant.file}` | {verdict} |")
    (ROOT / "tests" / "planted_bugs.md").write_text("\n".join(lines) + "\n")


def main(words: list[str]) -> int:
    plants = [p for p in load_plants() if not words or str(p.number) in words or p.room in words]
    survivors: set[Plant] = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for item in COPIED:
            copy = shutil.copytree if (ROOT / item).is_dir() else shutil.copy
            copy(ROOT / item, folder / item)
        if not run_tests(folder, sorted({plant.test for plant in plants})):
            raise SystemExit("some of the tests fail without any planted bug")
        for plant in plants:
            if survives(plant, folder):
                survivors.add(plant)
            print(f"{'SURVIVES' if plant in survivors else 'caught  '} {plant.label}", flush=True)
    print(f"{len(plants) - len(survivors)} of {len(plants)} planted bugs caught")
    if not words:
        write_table(plants, survivors)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs that differ in their normalizer are set side by side, and no others."""

import csv
import sys
from pathlib import Path

import pytest
import yaml

from scripts.studies import compare_normalizers

COLUMNS = (
    "agent_steps", "speed/agent_steps_per_second", "train/mean_return", "evaluation/mean", "evaluation/ci95_low",
    "evaluation/ci95_high",
)  # fmt: skip


def make_run(folder: Path, *, normalizer: str, seed: int, final: float, iterations: int = 2, **settings: float) -> Path:
    """A run folder, which has or would have a return of ``final`` after two iterations."""
    folder.mkdir()
    config = {"game": "Pong", "normalizer": normalizer, "seed": seed, "learning_rate": 1e-4, **settings}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with (folder / "metrics.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS)
        rows = [[100, 10.0, final / 2, final / 4, 0, final], [200, 10.0, final, final + 1, 0, final]]
        lines.writerows(rows[:iterations])
    return folder


def compare(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["compare_normalizers.py", *map(str, words)])
    compare_normalizers.main()


def test_seeds_are_averaged_with_their_interval_and_may_come_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_run(tmp_path / "a", normalizer="weight_norm", seed=0, final=4.0)
    plain = make_run(tmp_path / "b", normalizer="none", seed=0, final=3.0)
    compare(monkeypatch, first, plain, "--into", tmp_path)
    assert "| 200 | weight_norm | 1 | 4.0 | 5.0 |" in capsys.readouterr().out
    second = make_run(tmp_path / "c", normalizer="weight_norm", seed=1, final=8.0)
    compare(monkeypatch, second, "--into", tmp_path)
    output = capsys.readouterr().out
    assert "| 200 | none | 1 | 3.0 | 4.0 |" in output
    assert "| 200 | weight_norm | 2 | 6.0 [4.0, 8.0] | 7.0 [5.0, 9.0] |" in output
    compare(monkeypatch, second, "--into", tmp_path)  # again: its rows are in the place of the old ones
    assert len((tmp_path / "normalizers_Pong.csv").read_text().splitlines()) == 1 + 3 * 2
    assert (tmp_path / "normalizers_Pong.svg").stat().st_size > 0


def test_the_table_counts_the_seeds_that_have_come_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        make_run(tmp_path / "a", normalizer="weight_norm", seed=0, final=4.0),
        make_run(tmp_path / "b", normalizer="weight_norm", seed=1, final=8.0, iterations=1),
        make_run(tmp_path / "c", normalizer="none", seed=0, final=3.0),
    ]
    compare(monkeypatch, *runs, "--into", tmp_path)
    rows = [line for line in capsys.readouterr().out.splitlines() if "| weight_norm |" in line]
    assert rows == [
        "| 100 | weight_norm | 2 | 3.0 [2.0, 4.0] | 1.5 [1.0, 2.0] |",
        "| 200 | weight_norm | 1 | 4.0 | 5.0 |",
    ]


def test_runs_that_differ_in_anything_else_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [
        make_run(tmp_path / "a", normalizer="weight_norm", seed=0, final=4.0),
        make_run(tmp_path / "b", normalizer="none", seed=0, final=4.0, learning_rate=1e-3),
    ]
    with pytest.raises(SystemExit, match=r"b has learning_rate=0.001 and .*a has 0.0001: give runs that differ in"):
        compare(monkeypatch, *runs, "--into", tmp_path)
    assert not list(tmp_path.glob("*.csv"))

"""Declared comparisons: their runs, the choice of learning rates on other seeds, and the report."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from wn_rl.app.configured import CONFIG_DIRECTORY, read_command
from wn_rl.app.studies import (
    COMPARISON,
    SELECTION,
    choose_rates,
    group_scores,
    list_sweeps,
    read_all_runs,
    read_runs,
    summarize_study,
)
from wn_rl.app.study_settings import read_study
from wn_rl.app.words import translate_words
from wn_rl.errors import ConfigurationError
from wn_rl.viewing.study_report import make_tables, write_report

VALUES: dict[str, Any] = {
    "name": "small", "question": "Is <b> better?", "settings": {"preset": "quick", "optimizer": {"eps": 1e-5}},
    "problems": {"Pong": {"game": "Pong"}, "Cart": {"env.id": "CartPole-v1"}}, "score_ranges": {"Cart": [20, 500]},
    "arms": {"plain": {"normalizer": "none"}, "weight norm": {"normalizer": "weight_norm", "double": True}},
    "learning_rates": [1e-4, 1e-3], "selection": {"seeds": [7], "total_agent_steps": 100}, "seeds": [0, 1, 2],
}  # fmt: skip


def make_run(folder: Path, *, learning_rate: float, seed: int, final: float | None, points: list[tuple[int, float]]):
    folder.mkdir(parents=True)
    settings = {"learning_rate": learning_rate, "seed": seed, "total_agent_steps": 100}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "metrics.csv").write_text("agent_steps,train/mean_return\n" + "".join(f"{x},{y}\n" for x, y in points))
    row = {"agent_steps": 100, "mean": final, "source": "training", "protocol": "nature"}
    (folder / "evaluations.jsonl").write_text(json.dumps(row) + "\n")


def make_runs(folder: Path) -> None:
    """Both stages: plain is better at 1e-4, weight norm at 1e-3, where it is better still."""
    for arm, best in (("plain", 1e-4), ("weight_norm", 1e-3)):
        for problem, low, high in (("Pong", -20.7, 14.6), ("Cart", 20, 500)):
            for rate in (1e-4, 1e-3):
                level = low + (high - low) * (0.5 if rate == best else 0.2)
                path = folder / SELECTION / arm / problem / f"learning_rate={rate},seed=7"
                make_run(path, learning_rate=rate, seed=7, final=level, points=[(0, level), (100, level)])
            for seed in range(3):
                level = low + (high - low) * ((0.4 if arm == "plain" else 0.8) + 0.01 * seed)
                path = folder / COMPARISON / arm / problem / f"seed={seed}"
                make_run(path, learning_rate=best, seed=seed, final=level, points=[(0, level), (100, level)])


def test_a_sweep_has_the_words_of_its_arm_and_problem_and_selection_seeds_of_its_own(tmp_path: Path):
    study = read_study(VALUES)
    first, *_ = sweeps = list_sweeps(study, tmp_path, SELECTION, {})
    assert [sweep.folder.relative_to(tmp_path / "selection").as_posix() for sweep in sweeps] == [
        "plain/Pong", "weight_norm/Pong", "plain/Cart", "weight_norm/Cart"
    ]  # fmt: skip
    assert first.words == [
        "preset=quick", "optimizer.eps=1e-05", "game=Pong", "normalizer=none", "total_agent_steps=100",
        "learning_rate=0.0001,0.001", "seed=7",
    ]  # fmt: skip
    last = list_sweeps(study, tmp_path, COMPARISON, {"plain": 1e-4, "weight norm": 1e-3})[-1]
    assert last.words[2:] == [
        "env.id=CartPole-v1",
        "normalizer=weight_norm",
        "double=true",
        "learning_rate=0.001",
        "seed=0,1,2",
    ]


def test_each_arm_gets_the_rate_that_was_best_for_it_and_none_before_its_runs_are_there(tmp_path: Path):
    study = read_study(VALUES)
    assert choose_rates(study, read_runs(study, tmp_path, SELECTION)) == {}
    make_runs(tmp_path)
    runs = read_runs(study, tmp_path, SELECTION)
    assert choose_rates(study, runs) == {"plain": 1e-4, "weight norm": 1e-3}
    left = [run for run in runs if (run.arm, run.problem, run.learning_rate) != ("plain", "Cart", 1e-3)]
    assert choose_rates(study, left) == {"weight norm": 1e-3}


def test_a_report_says_better_where_the_interval_excludes_one_half_and_escapes_what_it_is_told(tmp_path: Path):
    study = read_study(VALUES)
    make_runs(tmp_path)
    runs = read_all_runs(study, tmp_path)
    result = summarize_study(study, runs)
    rates, arms, problems = make_tables(result)
    assert rates.rows == [["plain", "0.500", "0.200", "1 times"], ["weight norm", "0.200", "0.500", "1 times"]]
    assert arms.rows[1][:4] == ["weight norm", "0.001", "6", "0"]
    assert arms.rows[1][-1] == "1.00 [1.00, 1.00], better"
    assert arms.rows[1][4].startswith("0.810 [")
    assert problems.rows[0][2] == "216.8 [204.9, 228.7]"  # 20 + 480 (0.40, 0.41, 0.42)
    report, table, page = write_report(tmp_path, result, [run._asdict() for run in runs])
    assert "all runs are there" in report.read_text()
    assert len(table.read_text().splitlines()) == 1 + len(runs) == 21
    assert "Is &lt;b&gt; better?" in page.read_text()


def test_a_run_that_failed_counts_as_random_play_and_is_told(tmp_path: Path):
    study = read_study(VALUES)
    make_runs(tmp_path)
    (tmp_path / COMPARISON / "weight_norm" / "Pong" / "seed=0" / "failure.txt").write_text("the loss is infinite\n")
    runs = read_all_runs(study, tmp_path)
    result = summarize_study(study, runs)
    assert (result.arms[1].num_failed, result.arms[1].area[0][0]) == (1, 0.0)
    assert result.arms[1].raw["Pong"].num_seeds == 2


def test_the_area_is_that_under_the_curve_whatever_the_spacing_of_its_points(tmp_path: Path):
    study = read_study(VALUES)
    make_run(tmp_path / SELECTION / "plain" / "Pong" / "seed=7", learning_rate=1e-4, seed=7, final=1.0,
             points=[(0, 0.0), (10, 10.0), (100, 10.0)])  # fmt: skip
    [run] = read_runs(study, tmp_path, SELECTION)
    assert run.area == pytest.approx((50 + 900) / 100)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seeds": [0, 7]}, r"seeds=\[0, 7\] and selection.seeds=\[7\] share \[7\]"),
        ({"seeds": [1, 1]}, "needs a list of different values"),
        ({"arms": {"a, b": {}, "a b": {}}}, "a b in Pong and a, b in Pong would have one folder"),
        ({"score_ranges": {}}, "Cart has no human tester's score"),
        ({"score_ranges": {"Cart": [5, 5]}}, r"score_ranges.Cart=\[5, 5\]"),
        ({"arms": {}}, "arms={}: needs names"),
        ({"learning_rates": [0.0]}, "needs a number above 0"),
        ({"extra": 1}, "extra: there is no such setting"),
    ],
)
def test_a_study_that_cannot_work_is_refused_in_a_line(change: dict[str, Any], told: str):
    with pytest.raises(ConfigurationError, match=told):
        read_study(VALUES | change)


@pytest.mark.parametrize("path", sorted((CONFIG_DIRECTORY / "study").glob("*.yaml")), ids=lambda path: path.stem)
def test_no_name_of_a_declared_study_is_one_that_a_command_line_would_take_apart(path: Path):
    """Hydra takes a comma in ``sweep=`` for several folders."""
    study = read_study(OmegaConf.to_container(OmegaConf.load(path)))  # type: ignore[arg-type]
    for sweep in list_sweeps(study, Path("there"), COMPARISON, dict.fromkeys(study.arms, 1e-3)):
        _, word = translate_words("train", read_command("train"), ["-m", f"sweep={sweep.folder.as_posix()}"])
        assert not OverridesParser.create().parse_override(word).is_sweep_override()


def test_a_run_without_a_finished_game_of_training_counts_as_random_play(tmp_path: Path) -> None:
    study = read_study({**VALUES, "learning_rates": [1e-3]})
    path = tmp_path / COMPARISON / "plain" / "Cart" / "seed=0"
    make_run(path, learning_rate=1e-3, seed=0, final=20.0, points=[])
    (path / "metrics.csv").write_text("agent_steps,train/loss\n100,1.5\n")
    [run] = read_runs(study, tmp_path, COMPARISON)
    assert math.isnan(run.area or 0.0)
    assert [scores.tolist() for scores in group_scores(study, [run], "area")] == [[], [0.0]]


def test_any_setting_of_a_run_may_be_said_of_a_study() -> None:
    """``train`` checks them."""
    assert translate_words("study", read_command("study"), ["+settings.batch_size=8", "arms.mine.double=true"]) == [
        "++settings.batch_size=8", "++arms.mine.double=true"
    ]  # fmt: skip
    with pytest.raises(ConfigurationError, match="there is no such setting of train"):
        translate_words("train", read_command("train"), ["settings.batch_size=8"])


@pytest.mark.parametrize("path", sorted((CONFIG_DIRECTORY / "study").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_declared_studies_can_be_read(path: Path):
    values: Any = OmegaConf.to_container(OmegaConf.load(path))
    study = read_study(values)
    assert study.name == path.stem
    assert all(math.isfinite(study.compute_normalized(problem, 1.0)) for problem in study.problems)


def run(*words: str) -> str:
    """What the command prints."""
    command = [sys.executable, "-m", "wn_rl.study", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_a_small_study_runs_goes_on_and_reports(tmp_path: Path):
    words = [
        "study=cartpole", f"output_dir={tmp_path}", "learning_rates=[1e-3,1e-4]", "seeds=[0]", "selection.seeds=[5]",
        "selection.total_agent_steps=64", "settings.total_agent_steps=64", "settings.iteration_agent_steps=64",
        "settings.warmup_agent_steps=48", "settings.evaluation.episodes=1", "+settings.batch_size=8",
    ]  # fmt: skip
    told = run(*words)
    assert "## Over all problems" in told
    assert len(list((tmp_path / COMPARISON).glob("*/CartPole/*/config.yaml"))) == 3
    again = run(*words)
    assert again.count("is finished") == 3 * 2 + 3

"""Several runs of one command: checked before the first, named by what is swept, gone on with, and told together."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from omegaconf import DictConfig, OmegaConf

from tests.helpers.configurations import compose_config
from tests.helpers.signals import SendSignal
from wn_rl import watch
from wn_rl.app import training
from wn_rl.app.command_line import run_command
from wn_rl.app.configuration import (
    load_configuration,
    resolve_configuration,
    resume_configuration,
    save_configuration,
)
from wn_rl.app.sweeps import name_run, tell_sweep
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.train import main

TINY = [
    "env=gymnasium", "env.id=CartPole-v1", "total_agent_steps=120", "iteration_agent_steps=60", "chunk_agent_steps=20",
    "warmup_agent_steps=40", "batch_size=4", "samples_per_agent_step=1", "initialization_batch_size=16",
    "target_period_updates=15", "replay.capacity=200", "network.hidden_units=4", "num_envs=2", "num_threads=1",
    "num_env_threads=1", "evaluation.episodes=2", "evaluation.num_envs=2", "evaluation.epsilon=0.5",
    "video.period_iterations=0", "progress=false", "logger=none", "weight_statistics.period_agent_steps=0",
]  # fmt: skip


class Ended(NamedTuple):
    """How a command ended, what it printed, and what its runs returned."""

    status: int
    output: str
    errors: str
    scores: list[float | None]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def command(here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """``python -m wn_rl.train`` with some words, in this process."""

    def run(*words: str) -> Ended:
        scores: list[float | None] = []

        def train(config: DictConfig) -> float | None:
            scores.append(main(config))
            return scores[-1]

        monkeypatch.setattr(sys, "argv", ["train", *words])
        status = 0
        try:
            run_command("train", train, tell_all=tell_sweep)
        except SystemExit as ended:
            status = int(ended.code or 0)
        output, errors = capfd.readouterr()
        return Ended(status, output, errors, scores)

    return run


def read_weights(folder: Path) -> list[bytes]:
    weights = read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]
    return [value.float().numpy().tobytes() for value in weights.values()]


def read_last_score(folder: Path) -> float:
    return float(json.loads((folder / "evaluations.jsonl").read_text().splitlines()[-1])["mean"])


def go_back_to_the_iteration_before(folder: Path) -> None:
    """As a run that was killed in its second iteration leaves its folder."""
    (folder / "checkpoints" / "last.ckpt").unlink()
    shutil.rmtree(folder / "agent")


def test_a_failed_run_is_told_the_others_go_on_and_the_same_command_finishes_what_is_left(
    command: Any, here: Path
) -> None:
    words = ["-m", "sweep=mine", "seed=0,1", *TINY]
    sweep = here / "mine"
    (sweep / "seed=0").mkdir(parents=True)
    (sweep / "seed=0" / "checkpoints").symlink_to("no/folder")
    first = command(*words)
    assert first.status == 2
    assert "error: seed=0: training stopped after 60 agent steps: a file cannot be written or read" in first.errors
    assert "training stopped after 60" in (sweep / "seed=0" / "failure.txt").read_text()
    assert first.scores == [read_last_score(sweep / "seed=1")]
    assert [line.split()[:2] for line in first.output.splitlines() if line.startswith("seed=")] == [
        ["seed=0", "failed"], ["seed=1", "finished"]
    ]  # fmt: skip
    assert "the same command with sweep=" in first.output
    assert not (here / "runs").exists()
    assert load_configuration(sweep / "seed=1").run_dir == str(sweep / "seed=1")

    (sweep / "seed=0" / "checkpoints").unlink()
    weights = read_weights(sweep / "seed=1")
    go_back_to_the_iteration_before(sweep / "seed=1")
    second = command(*words)
    assert second.status == 0
    assert not (sweep / "seed=0" / "failure.txt").exists()
    assert second.scores == [read_last_score(sweep / f"seed={seed}") for seed in (0, 1)]
    assert "was stopped before its first checkpoint" in second.output
    assert "the same command" not in second.output
    assert read_weights(sweep / "seed=1") == weights
    assert read_weights(sweep / "seed=0") != weights
    assert "over training seeds" in second.output

    before = (sweep / "seed=1" / "metrics.csv").stat().st_mtime_ns
    third = command(*words)
    assert third.scores == second.scores
    assert "run 1: seed=0\nseed=0 is finished\nrun 2: seed=1\n" in third.output
    assert (sweep / "seed=1" / "metrics.csv").stat().st_mtime_ns == before

    watch.main(compose_config("watch", f"run={sweep}"))
    refused = command(*words, "learning_rate=0.5")
    assert refused.status == 2
    assert "learning_rate was 6.25e-05 when this run began and cannot become 0.5" in refused.errors


def test_watch_tells_what_came_of_a_sweep(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, (mean, total) in enumerate(((1.0, 10), (3.0, 10), (50.0, 20))):
        folder = here / "mine" / f"game=Pong,seed={seed}"
        (folder / "agent").mkdir(parents=True)
        (folder / "config.yaml").write_text(f"game: Pong\ntotal_agent_steps: {total}\nevaluation: {{episodes: 2}}\n")
        row = {
            "mean": mean,
            "agent_steps": 10,
            "protocol": "machado",
            "episodes": 2,
            "epsilon": 0.1,
            "source": "training",
        }
        (folder / "evaluations.jsonl").write_text(json.dumps(row) + "\n")
        (folder / "agent" / "agent.json").write_text(json.dumps({"agent_steps": 10, "mean_return": mean}))
    (here / "mine" / "game=Pong,seed=10").mkdir()
    (here / "mine" / "game=Pong,seed=9").mkdir()
    (here / "mine" / "game=Pong,seed=9" / "failure.txt").write_text("the disk is full\n")
    watch.main(compose_config("watch", f"run={here / 'mine'}", "record=false"))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["game=Pong,seed=0", "finished", "10", "1.0", "2", "games,", "machado,", "epsilon", "0.1"] in lines
    assert ["game=Pong,seed=9", "failed", "0", "-", "the", "disk", "is", "full"] in lines
    assert ["game=Pong,seed=10", "waiting", "0", "-"] in lines
    names = [line[0] for line in lines if line and line[0].startswith("game=Pong,")]
    assert names == [f"game=Pong,seed={seed}" for seed in (0, 1, 2, 9, 10)]
    assert ["game=Pong", "2", "2.0", "[-10.7,", "14.7]"] in lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["seed=0,1", "batch_size=4,20000"],
            "batch_size=20000,seed=0: replay.capacity=200",
        ),
        (["env.id=CartPole-v1,CartPoll-v1"], "env.id=CartPoll-v1: "),
        (["preset=dopamine,dopamin"], "preset=dopamin: "),
        (["seed=0,0"], "seed=0: its folder "),
        (["seed=0,1", "run_dir=mine"], "seed=1: its folder "),
        (["sweep=a,b"], "sweep= names several folders"),
    ],
)
def test_every_run_is_checked_before_the_first_begins(command: Any, here: Path, words: list[str], message: str) -> None:
    keys = {word.partition("=")[0] for word in words}
    ended = command("-m", *(word for word in TINY if word.partition("=")[0] not in keys), *words)
    assert ended.status == 2
    assert ended.errors.startswith("error: ")
    assert len(ended.errors.splitlines()) == 1
    assert message in ended.errors
    assert ended.scores == []
    assert list(here.iterdir()) == []


def test_the_folder_of_a_sweep_asks_for_several_runs(command: Any, here: Path) -> None:
    ended = command("sweep=mine", *TINY)
    assert ended.status == 2
    assert "error: sweep=mine is the folder of several runs; say -m too" in ended.errors
    assert list(here.iterdir()) == []


def test_a_task_of_a_cluster_goes_on_in_the_folder_that_it_names(command: Any, here: Path) -> None:
    words = ["-m", "run_dir=mine", "seed=3", *TINY]
    (here / "mine").mkdir()
    (here / "mine" / "checkpoints").symlink_to("no/folder")
    assert command(*words).status == 2
    (here / "mine" / "checkpoints").unlink()
    first, second = command(*words), command(*words)
    assert first.scores == second.scores == [read_last_score(here / "mine")]
    assert "mine is finished" in second.output


def test_stopping_a_run_stops_the_sweep_and_the_same_command_goes_on(
    command: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_run(*args: Any, **kwargs: Any) -> training.Run:
        made = start(*args, **kwargs)
        made.trainer.callbacks.insert(0, SendSignal(60))
        return made

    start = training.start_run
    monkeypatch.setattr(training, "start_run", start_run)
    stopped = command("-m", "sweep=mine", "seed=0,1", *TINY)
    assert (stopped.status, stopped.scores) == (0, [])
    assert [path.name for path in (here / "mine").iterdir() if path.is_dir()] == ["seed=0"]
    assert "goes on with those that are not finished" in stopped.output
    monkeypatch.undo()


def test_a_run_whose_time_is_over_leaves_the_others_theirs(command: Any, here: Path) -> None:
    ended = command("-m", "sweep=mine", "seed=0,1", "max_minutes=1e-9", *TINY)
    assert (ended.status, ended.output.count("a checkpoint is written")) == (0, 2)
    assert all((here / "mine" / f"seed={seed}" / "checkpoints" / "last.ckpt").exists() for seed in (0, 1))


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["seed=1", "game=Pong", "batch_size=8"], "batch_size=8,game=Pong,seed=1"),
        (["x=1", "game=Pong"], "game=Pong"),
        (["x=1"], "run"),
        (["env.id=ALE/Pong-v5"], "env.id=ALE_Pong-v5-cfff2031"),
        (["name='../../up'"], "name=_.._.._up_-"),
    ],
)
def test_a_run_is_named_by_what_is_swept(words: list[str], name: str) -> None:
    made = name_run(words, ["x"])
    assert made == name if not name.endswith("-") else made.startswith(name)
    assert "/" not in made


def test_long_names_stay_apart_and_short_enough_for_a_file_system() -> None:
    names = {name_run(["replay.storage=" + "ä" * 300 + last], []) for last in "ab"}
    assert len(names) == 2
    assert max(len(name.encode()) for name in names) < 200


def test_what_was_found_by_itself_may_be_asked_for_in_the_same_words(tmp_path: Path) -> None:
    """A sweep goes on with the words that it began with, some of which say auto."""
    words = ["game=Pong", "network=dueling", "num_envs=auto", "precision=auto", "preset=quick"]
    given = compose_config("train", *words)
    saved = resolve_configuration(given)
    saved.preset, saved.num_envs = "quick", 24
    save_configuration(saved, tmp_path)
    assert resume_configuration(given, words, tmp_path).num_envs == 24


def is_missing(*packages: str) -> bool:
    return any(importlib.util.find_spec(package) is None for package in packages)


@pytest.fixture
def environment(here: Path) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@pytest.mark.slow
@pytest.mark.skipif(is_missing("joblib", "hydra_plugins.hydra_joblib_launcher"), reason="needs .[sweeps]")
def test_joblib_trains_runs_side_by_side_and_one_that_fails_leaves_the_others(
    here: Path, environment: dict[str, str]
) -> None:
    (here / "mine" / "seed=1").mkdir(parents=True)
    (here / "mine" / "seed=1" / "checkpoints").write_text("where a folder is needed")
    line = [sys.executable, "-m", "wn_rl.train", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "sweep=mine"]
    first = subprocess.run([*line, "seed=0,1", *TINY], capture_output=True, text=True, timeout=500, env=environment)
    assert first.returncode == 2, first.stderr
    assert "error: seed=1: training stopped after 60 agent steps" in first.stderr
    assert "Traceback" not in first.stderr
    states = [line.split()[:2] for line in first.stdout.splitlines() if line.startswith("seed=")]
    assert states == [["seed=0", "finished"], ["seed=1", "failed"]]
    (here / "mine" / "seed=1" / "checkpoints").unlink()
    second = subprocess.run([*line, "seed=0,1", *TINY], capture_output=True, text=True, timeout=500, env=environment)
    assert second.returncode == 0, second.stderr
    assert "[seed=0] seed=0 is finished" in second.stdout
    assert "[seed=1] iteration 2/2: mean " in second.stdout
    assert "over training seeds" in second.stdout


@pytest.mark.slow
@pytest.mark.skipif(is_missing("optuna", "hydra_plugins.hydra_optuna_sweeper"), reason="needs .[optuna]")
def test_optuna_is_given_the_score_of_each_run(here: Path, environment: dict[str, str]) -> None:
    line = [
        sys.executable, "-m", "wn_rl.train", "-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2",
        "hydra.sweeper.n_jobs=1", "hydra.sweeper.sampler.seed=1", "hydra.sweeper.direction=maximize", "sweep=mine",
        "learning_rate=interval(1e-5,1e-3)", *TINY,
    ]  # fmt: skip
    ended = subprocess.run(line, capture_output=True, text=True, timeout=500, env=environment)
    assert ended.returncode == 0, ended.stderr
    runs = list((here / "mine").glob("learning_rate=*"))
    assert len(runs) == 2
    best = OmegaConf.load(here / "mine" / "optimization_results.yaml")
    assert best.best_value == max(read_last_score(run) for run in runs)

"""Several learners of one run: what is averaged, what is written once, and that all stop, fail and go on together."""

import csv
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import Callback

import wn_rl
from tests.helpers.killed_runs import assert_equal
from tests.helpers.learner_runs import (
    DQN,
    PQN,
    Fail,
    SendSignalInEvaluation,
    SendSignalInWarmUp,
    by_slurm,
    by_torchrun,
    run_together,
    train_together,
)
from tests.helpers.signals import SendSignal
from wn_rl.errors import ConfigurationError
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.system.seeding import compute_training_seeds

ROOT = Path(__file__).resolve().parent.parent.parent


def read_end(folder: Path) -> dict[str, Any]:
    """All that is learned, played and logged; where a stop left frames early, segments have other borders."""
    checkpoint = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    learners = [checkpoint["wn_rl"], *checkpoint["other_learners"]]
    for learner in learners:
        if "replay" in learner:
            learner["replay"] = learner["replay"]["replay"]
    with (folder / "metrics.csv").open() as file:
        rows = [{k: v for k, v in row.items() if not k.startswith("speed/")} for row in csv.DictReader(file)]
    return {
        "weights": checkpoint["state_dict"], "optimizer": checkpoint["optimizer_states"], "learners": learners,
        "callbacks": checkpoint["callbacks"], "agent steps": checkpoint["agent"]["agent_steps"], "metrics": rows,
        "evaluations": (folder / "evaluations.jsonl").read_text(),
    }  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Started by one command, which starts the other learner."""
    folder = tmp_path_factory.mktemp("learners") / "whole"
    hidden = {"OMP_NUM_THREADS", "LOCAL_RANK", "RANK", "WORLD_SIZE", "SLURM_NTASKS"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, "-m", "wn_rl.train", *DQN, f"run_dir={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=500)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return folder, done.stdout


def test_one_command_trains_several_learners_and_writes_one_set_of_files(whole: tuple[Path, str]) -> None:
    folder, printed = whole
    assert printed.count("done: 480 agent steps") == 1
    assert printed.count("| 240 agent steps |") == 1
    names = sorted(path.name for path in folder.iterdir() if path.name not in (".lock", "index.html"))
    assert names == [
        "agent", "checkpoints", "config.yaml", "episodes", "evaluations.jsonl", "metrics.csv", "provenance.json",
        "replay", "replay_rank1",
    ]  # fmt: skip
    checkpoints = [read_checkpoint(path) for path in (folder / "checkpoints").glob("*.ckpt")]
    for name, states in (
        ("replay", [checkpoint["wn_rl"] for checkpoint in checkpoints]),
        ("replay_rank1", [checkpoint["other_learners"][0] for checkpoint in checkpoints]),
    ):
        needed = {segment["name"] for state in states for segment in state["replay"]["segments"]}
        assert sorted(path.name for path in (folder / name).iterdir()) == sorted(needed)
        assert len(states) == 2
    end = read_end(folder)
    logged = [int(row["agent_steps"]) for row in end["metrics"] if row["train/loss"]]
    assert logged == [112, 144, 176, 208, 240, 288, 336, 384, 432, 480]
    assert len(end["evaluations"].splitlines()) == 2


def test_each_learner_plays_games_of_its_own_and_the_first_those_of_a_single_run(whole: tuple[Path, str]) -> None:
    first, second = read_end(whole[0])["learners"]
    assert first["collector"]["seeds"].tolist() == compute_training_seeds(0, 1, 2).tolist()
    assert not set(first["collector"]["seeds"].tolist()) & set(second["collector"]["seeds"].tolist())
    assert first["generator"].tolist() != second["generator"].tolist()
    for learner in (first, second):
        assert learner["collector"]["agent_steps"] == 240  # of 480
        assert learner["num_updates"] == (476 - 80) // (8 * 2)  # by the last round's beginning, of 8 samples of each


def test_a_signal_to_one_stops_all_and_they_go_on_bit_for_bit_whoever_starts_them(
    whole: tuple[Path, str], tmp_path: Path
) -> None:
    parts = tmp_path / "parts"
    stopped = train_together(
        tmp_path / "logs", [*DQN, f"run_dir={parts}"], by_torchrun, disturbances={1: SendSignal(300)}
    )
    assert [status for status, _ in stopped] == [0, 0], stopped
    assert "stopped after 336 agent steps" in stopped[0][1]
    assert stopped[1][1] == ""
    assert read_end(parts)["agent steps"] == 336
    ended = train_together(tmp_path / "logs", [f"resume={parts}"], by_slurm)
    assert [status for status, _ in ended] == [0, 0], ended
    assert_equal(read_end(parts), read_end(whole[0]))


@pytest.mark.parametrize(
    ("disturbances", "agent_steps"),
    [({0: SendSignalInEvaluation()}, 240), ({1: SendSignalInWarmUp(40)}, 40)],
    ids=["evaluation", "warm-up"],
)
def test_a_signal_where_no_chunk_is_under_way_stops_all_too(
    disturbances: dict[int, Callback], agent_steps: int, whole: tuple[Path, str], tmp_path: Path
) -> None:
    """An evaluation that was cut short is done when the run goes on."""
    parts, logs = tmp_path / "parts", tmp_path / "logs"
    stopped = train_together(logs, [*DQN, f"run_dir={parts}"], disturbances=disturbances)
    assert [status for status, _ in stopped] == [0, 0], stopped
    assert f"stopped after {agent_steps} agent steps" in stopped[0][1]
    assert not (parts / "evaluations.jsonl").exists()
    ended = train_together(logs, [f"resume={parts}"])
    assert [status for status, _ in ended] == [0, 0], ended
    assert_equal(read_end(parts), read_end(whole[0]))


def test_what_one_learner_cannot_go_on_from_nobody_does(whole: tuple[Path, str], tmp_path: Path) -> None:
    """All take the checkpoint before, and come to the same end."""
    damaged = tmp_path / "damaged"
    shutil.copytree(whole[0], damaged)
    newest = read_checkpoint(damaged / "checkpoints" / "last.ckpt")["other_learners"][0]["replay"]["segments"][-1]
    (damaged / "replay_rank1" / newest["name"]).write_bytes(b"")
    ended = train_together(tmp_path / "logs", [f"resume={damaged}"])
    assert [status for status, _ in ended] == [0, 0], ended
    assert ended[0][1].count("last.ckpt cannot be gone on from") == 1
    assert ended[1][1] == ""
    assert_equal(read_end(damaged), read_end(whole[0]))


def test_learners_of_rollouts_stop_together_and_go_on_bit_for_bit(tmp_path: Path) -> None:
    whole, parts, logs = (tmp_path / name for name in ("whole", "parts", "logs"))
    assert [status for status, _ in train_together(logs, [*PQN, f"run_dir={whole}"])] == [0, 0]
    stopped = train_together(logs, [*PQN, f"run_dir={parts}"], disturbances={0: SendSignal(150)})
    assert "stopped after 160 agent steps" in stopped[0][1]
    assert [status for status, _ in train_together(logs, [f"resume={parts}"])] == [0, 0]
    assert_equal(read_end(parts), read_end(whole))


def test_a_learner_that_is_gone_ends_the_others(tmp_path: Path) -> None:
    run, disturbance = tmp_path / "run", SendSignal(300, signal.SIGKILL)
    killed = train_together(tmp_path / "logs", [*DQN, f"run_dir={run}"], disturbances={1: disturbance})
    assert [status for status, _ in killed] == [2, -signal.SIGKILL]
    assert "error: learner 0 of 2 does not hear from the others: " in killed[0][1]
    assert "its checkpoint of 240 agent steps is whole; go on from there" in killed[0][1]
    assert killed[0][1].count("error: ") == 1
    failed = train_together(tmp_path / "logs", [f"resume={run}"], disturbances={1: Fail(300)})
    assert [status for status, _ in failed] == [2, 2]
    assert "RuntimeError: an environment is broken (the traceback is in" in failed[1][1]
    assert failed[1][1].count("\n") == failed[0][1].count("error: ") == 1
    assert train_together(tmp_path / "logs", [f"resume={run}"])[0][0] == 0
    assert read_end(run)["agent steps"] == 480


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compile=true"], "compile=true has not been tried with 2 learners; say compile=false, or devices=1"),
        (["normalizer=batch_norm"], "normalizer=batch_norm keeps statistics of minibatches"),
        (
            ["num_nodes=2"],
            "devices=2 num_nodes=2: torchrun has started 2 processes for 4 learners; make them as many",
        ),
        (["strategy=fsdp"], "strategy=fsdp: unknown; known: ddp"),
    ],
    ids=["compile", "batch statistics", "processes", "strategy"],
)
def test_what_several_learners_cannot_do_is_refused_by_the_first_in_a_line(
    words: list[str], message: str, tmp_path: Path
) -> None:
    refused = train_together(tmp_path / "logs", [*DQN, f"run_dir={tmp_path / 'run'}", *words], by_torchrun)
    assert [status for status, _ in refused] == [2, 2]
    assert refused[0][1].startswith(f"error: {message}"), refused
    assert (len(refused[0][1].splitlines()), refused[1][1]) == (1, "")
    assert not (tmp_path / "run").exists()


def test_neither_several_runs_at_once_nor_a_call_in_python_start_several_learners(tmp_path: Path) -> None:
    [(status, told)] = train_together(tmp_path, ["-m", *DQN, "seed=0,1", f"sweep={tmp_path / 'runs'}"], number=1)
    assert (status, told.count("\n")) == (2, 1)
    assert "several learners are started by `python -m wn_rl.train` for one run" in told
    run_together(call_in_python, 1, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def call_in_python(rank: int, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nor by wn_rl.train\(\) in Python"):
        wn_rl.train(env={"id": "CartPole-v1"}, preset="cartpole", devices=2, run_dir=folder)

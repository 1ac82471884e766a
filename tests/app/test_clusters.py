"""What a cluster says of a process is not believed: each is one whole run, whatever number it has."""

import os
import signal
import threading
from pathlib import Path

import pytest
from lightning import Trainer
from lightning.fabric.utilities.rank_zero import rank_zero_only
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.app.test_training import SMALL
from tests.helpers.configurations import compose_config
from tests.helpers.signals import SendSignal
from wn_rl.app.one_process import OneProcess
from wn_rl.app.training import Run, start_run
from wn_rl.runs.folder import lock_run_folder

TINY = [*SMALL, "total_agent_steps=200", "iteration_agent_steps=200", "evaluation.episodes=0"]
SLURM = {
    "SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "2", "SLURM_NODEID": "1", "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "sweep", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "1",
}  # fmt: skip
TORCHRUN = {
    "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "GROUP_RANK": "0", "LOCAL_WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "none", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",
}  # fmt: skip
MPI = {"PMI_RANK": "1", "PMI_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}
LSF = {"LSB_JOBID": "7", "LSB_DJOB_RANKFILE": "/nowhere", "JSM_NAMESPACE_LOCAL_RANK": "1", "JSM_NAMESPACE_SIZE": "2",
       "JSM_NAMESPACE_RANK": "1"}  # fmt: skip


def start(folder: Path, *words: str) -> Run:
    return start_run(compose_config("train", *TINY, f"run_dir={folder}", *words), preset="quick")


def test_a_process_that_a_cluster_counts_trains_and_logs_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**SLURM, "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # as Lightning finds it when it is imported
    run = start(tmp_path / "run", "logger=tensorboard")
    assert isinstance(run.trainer._accelerator_connector.cluster_environment, OneProcess)  # Slurm's would requeue it
    assert run.train()
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert events.Scalars("train/loss")[-1].step == 200
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(
    "variables", [{"RANK": "1"}, TORCHRUN, SLURM, MPI, LSF], ids=["rank", "torchrun", "Slurm", "MPI", "LSF"]
)
def test_whatever_counts_processes_each_is_the_only_one(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, plugins=[OneProcess()])
    assert (trainer.world_size, trainer.global_rank, trainer.local_rank, trainer.node_rank) == (1, 0, 0, 0)
    assert rank_zero_only.rank == 0
    assert isinstance(trainer._accelerator_connector.cluster_environment, OneProcess)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signals")
@pytest.mark.parametrize("name", ["SIGUSR1", "SIGUSR2"])
def test_the_signal_that_announces_the_end_of_a_job_leaves_a_checkpoint_and_then_reaches_who_listened_before(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``sbatch --signal=USR1@90``, for which Lightning would call ``scontrol requeue``; submitit sends USR2."""
    for key, value in SLURM.items():
        monkeypatch.setenv(key, value)
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\ntouch '{tmp_path}/was called'")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    received: list[int] = []

    def requeue(signal_number: int, frame: object) -> None:
        received.append(signal_number)
        assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
        lock_run_folder(tmp_path / "run").release()  # another process can go on at once

    number = getattr(signal, name)
    before = signal.signal(number, requeue)
    try:
        made = start(tmp_path / "run")
        made.trainer.callbacks.insert(0, SendSignal(100, number))
        assert not made.train()
    finally:
        signal.signal(number, before)
    assert received == [number]
    assert not (tmp_path / "was called").exists()


def test_training_works_in_a_thread_that_no_signal_reaches(tmp_path: Path) -> None:
    ends: list[bool] = []
    thread = threading.Thread(target=lambda: ends.append(start(tmp_path / "run").train()))
    thread.start()
    thread.join()
    assert ends == [True]

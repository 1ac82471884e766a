"""Runs of several learners by the command line, each in a process of its own, as torchrun or Slurm starts it."""

import multiprocessing
import os
import runpy
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from wn_rl.app import training

Starter = Callable[[int, int, int], dict[str, str]]
"""The variables that a process of a rank, of so many processes, sees, which find each other at a port."""

SMALL = [
    "env=gymnasium", "env.id=CartPole-v1", "accelerator=cpu", "devices=2", "total_agent_steps=480",
    "iteration_agent_steps=240", "chunk_agent_steps=48", "num_envs=2", "network.hidden_units=4", "network.torso=mlp",
    "num_threads=1", "num_env_threads=1", "minibatch_parts=1", "evaluation.episodes=2", "evaluation.num_envs=2",
    "video.period_iterations=0", "progress=false", "logger=none", "weight_statistics.period_agent_steps=120",
    "weight_statistics.num_states=8", "initialization_batch_size=16", "precision=32-true",
]  # fmt: skip
DQN = [
    *SMALL, "preset=cartpole", "warmup_agent_steps=80", "batch_size=8", "samples_per_agent_step=1",
    "target_period_updates=5", "replay.capacity=100",
]  # fmt: skip
PQN = [*SMALL, "preset=pqn_quick", "rollout.num_rounds=10", "batch_size=10"]


def by_hand(rank: int, number: int, port: int) -> dict[str, str]:
    """What Lightning's launcher tells those that it starts."""
    return {"LOCAL_RANK": f"{rank}", "NODE_RANK": "0", "WORLD_SIZE": f"{number}", **_meet(port)}


def by_torchrun(rank: int, number: int, port: int) -> dict[str, str]:
    """What ``torchrun --nproc-per-node`` tells."""
    return {
        "RANK": f"{rank}", "LOCAL_RANK": f"{rank}", "GROUP_RANK": "0", "WORLD_SIZE": f"{number}",
        "LOCAL_WORLD_SIZE": f"{number}", "TORCHELASTIC_RUN_ID": "none", **_meet(port),
    }  # fmt: skip


def by_slurm(rank: int, number: int, port: int) -> dict[str, str]:
    """What ``srun --ntasks=2`` tells on one machine, as far as Slurm's documentation goes; the port is a job's."""
    return {
        "SLURM_NTASKS": f"{number}", "SLURM_PROCID": f"{rank}", "SLURM_LOCALID": f"{rank}", "SLURM_NODEID": "0",
        "SLURM_NNODES": "1", "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "learners", "SLURM_NODELIST": "localhost",
        "MASTER_PORT": f"{port}",
    }  # fmt: skip


def _meet(port: int) -> dict[str, str]:
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}"}


# A server that loads PyTorch once, and computes nothing, forks the learners.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])


def run_together(function: Callable[..., None], number: int, *arguments: Any) -> None:
    """Call ``function(rank, *arguments)`` in as many processes; each must return."""
    children = [_PROCESSES.Process(target=function, args=(rank, *arguments), daemon=True) for rank in range(number)]
    for child in children:
        child.start()
    for child in children:
        child.join(300)
        child.kill()
        child.join()
    assert [child.exitcode for child in children] == [0] * number


class SendSignalInEvaluation(Callback):
    """Sends SIGTERM to this process when an iteration has ended, and games are evaluated."""

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


class Fail(Callback):
    """Raises an error in the chunk that reaches a number of agent steps."""

    def __init__(self, agent_steps: int) -> None:
        self._agent_steps = agent_steps

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if pl_module.agent_steps >= self._agent_steps:
            raise RuntimeError("an environment is broken")


class SendSignalInWarmUp(Callback):
    """Sends SIGTERM to this process when the warm-up has come to a number of agent steps."""

    def __init__(self, agent_steps: int) -> None:
        self._agent_steps = agent_steps

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        def on_warmup_round() -> None:
            if pl_module.agent_steps == self._agent_steps:
                os.kill(os.getpid(), signal.SIGTERM)

        pl_module.on_warmup_round = on_warmup_round


def train_together(
    folder: Path, words: Sequence[str], start: Starter = by_hand, *, number: int = 2,
    disturbances: dict[int, Callback] | None = None,
) -> list[tuple[int, str]]:  # fmt: skip
    """Train in as many processes, and return the exit status of each, and what it wrote.

    Args:
        folder: where they write what they would have printed.
        words: of the command line.
        start: who starts them.
        number: of processes.
        disturbances: what disturbs a learner, by its rank.
    """
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    logs = [folder / f"learner{rank}.txt" for rank in range(number)]
    children = [
        _PROCESSES.Process(
            target=_train,
            args=(list(words), start(rank, number, port), log, (disturbances or {}).get(rank)),
            daemon=True,
        )
        for rank, log in enumerate(logs)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(500)
        child.kill()
        child.join()
    return [(child.exitcode or 0, log.read_text()) for child, log in zip(children, logs, strict=True)]


def _train(words: list[str], variables: dict[str, str], log: Path, disturbance: Callback | None) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.environ.update(variables)
    sys.argv[1:] = words
    if disturbance is not None:
        _disturb(disturbance)
    runpy.run_module("wn_rl.train", run_name="__main__", alter_sys=True)


def _disturb(disturbance: Callback) -> None:
    train = training.Run.train

    def train_disturbed(run: training.Run) -> bool:
        callbacks: list[Callback] = run.trainer.callbacks  # type: ignore[attr-defined]
        callbacks.insert(1, disturbance)  # behind the one that listens to signals
        return train(run)

    training.Run.train = train_disturbed  # type: ignore[method-assign]

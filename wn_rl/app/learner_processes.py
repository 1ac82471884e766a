"""Several learners of one run: each a process, started here, by torchrun or by Slurm, and joined into one group."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.fabric.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import DictConfig
from torch import distributed

from wn_rl.app.command_line import EXIT_MISUSE, import_typed_modules
from wn_rl.app.one_process import OneProcess
from wn_rl.callbacks.checkpoint import DurableCheckpointIO
from wn_rl.errors import ConfigurationError
from wn_rl.runs.folder import lock_run_folder
from wn_rl.runs.layout import LOCK_FILE
from wn_rl.system.cpu import count_cores
from wn_rl.system.fields import whole
from wn_rl.system.learners import ALONE, Learners

ONE_RUN = (
    "several learners are started by `python -m wn_rl.train` for one run, not with -m, nor by wn_rl.train() in Python"
)

_PATIENCE = timedelta(days=1)
"""After which silent learners are given up: the first may be evaluating long games. One that is gone is noticed."""

_COUNT = whole(1, 64)

Prepared = TypeVar("Prepared")


class LearnersStrategy(DDPStrategy):
    """Lightning's DDP for an algorithm that averages its gradients itself, once an update, whatever computes them.

    PyTorch's wrapper would do so as each microbatch's gradients come, and calls ``training_step`` a forward pass.
    """

    def __init__(self, learners: Learners) -> None:
        super().__init__()
        self._learners = learners

    def configure_ddp(self) -> None:
        """Nothing is wrapped."""

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        """Wait for all, with patience."""
        self._learners.is_any(False)


def join_learners(config: DictConfig, given: DictConfig, prepare: Callable[[], Prepared]) -> tuple[Learners, Prepared]:
    """The learners of a run, of which this process is one, and what the first of them has prepared for all.

    Where no cluster has started the others, they are, by the same command; what they print is not shown.

    Args:
        config: what says how many there are.
        given: what the user typed, whose modules are imported.
        prepare: looks for mistakes, and is called by the first learner, before it waits for the others.

    Raises:
        ConfigurationError: there are not as many processes as learners; or what ``prepare`` raises.
        SystemExit: the first learner could not prepare, and told why.
    """
    devices, num_nodes = (int(_COUNT(key, config.get(key, 1))) for key in ("devices", "num_nodes"))
    if (devices, num_nodes) == (1, 1):
        return ALONE, prepare()
    if not HydraConfig.initialized() or HydraConfig.get().mode == RunMode.MULTIRUN:
        raise ConfigurationError(ONE_RUN)
    is_on_gpu = config.get("accelerator") != "cpu" and torch.cuda.is_available()
    if is_on_gpu and devices > torch.cuda.device_count():
        raise ConfigurationError(f"devices={devices}, but PyTorch sees {torch.cuda.device_count()} GPUs; say no more")
    cluster = _find_cluster(devices, num_nodes)
    is_started = cluster.creates_processes_externally
    _share_cores(1 if is_started else devices)
    prepared, failure = None, None
    if cluster.global_rank() == 0:
        try:
            prepared = prepare()
        except Exception as error:  # the others wait
            if not is_started:
                raise
            failure = error
    else:
        import_typed_modules(given)
    if not is_started:
        _SubprocessScriptLauncher(cluster, devices, num_nodes).launch(lambda: None)
    learners = _join(cluster, devices * num_nodes, is_on_gpu=is_on_gpu)
    prepared = learners.tell(prepared)
    if failure is not None:
        raise failure
    if prepared is None:
        raise SystemExit(EXIT_MISUSE)
    return learners, prepared


def lock_for_all(folder: Path, learners: Learners) -> FileLock:
    """The lock of a run folder, which the first learner holds for all."""
    return lock_run_folder(folder) if learners.is_first else FileLock(folder / LOCK_FILE)


def choose_processes(config: DictConfig, learners: Learners) -> dict[str, Any]:
    """What Lightning's trainer is told of them; to be called before any logger is made."""
    if learners.number == 1:
        return {"devices": 1, "plugins": [OneProcess(), DurableCheckpointIO()]}
    cluster = _find_cluster(config.devices, config.num_nodes)
    return {
        "devices": config.devices, "num_nodes": config.num_nodes, "strategy": LearnersStrategy(learners),
        "plugins": [cluster, DurableCheckpointIO()], "use_distributed_sampler": False,
    }  # fmt: skip


def _find_cluster(devices: int, num_nodes: int) -> ClusterEnvironment:
    """Who counts the processes: torchrun, Slurm, or Lightning, which starts the others of its machine.

    Raises:
        ConfigurationError: they are not as many as there are learners.
    """
    cluster: ClusterEnvironment
    num_tasks = os.environ.get("SLURM_NTASKS", "1")
    if TorchElasticEnvironment.detect():
        cluster, starter, found = TorchElasticEnvironment(), "torchrun", os.environ["WORLD_SIZE"]
    elif SLURMEnvironment.detect() and num_tasks != "1":
        os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(devices))  # Lightning wants to see it
        cluster, starter, found = SLURMEnvironment(auto_requeue=False), "srun", num_tasks
    else:
        cluster, starter = LightningEnvironment(), "somebody (LOCAL_RANK)"
        found = os.environ.get("WORLD_SIZE", "1") if cluster.creates_processes_externally else str(devices * num_nodes)
        cluster.set_global_rank(cluster.node_rank() * devices + cluster.local_rank())
    try:
        if found != str(devices * num_nodes):
            raise ValueError(f"{starter} has started {found} processes for {devices * num_nodes} learners")
        cluster.validate_settings(devices, num_nodes)
    except ValueError as error:
        if cluster.global_rank() > 0:
            raise SystemExit(EXIT_MISUSE) from error  # the first tells it
        raise ConfigurationError(f"devices={devices} num_nodes={num_nodes}: {error}; make them as many") from error
    return cluster


def _share_cores(num_sharing: int) -> None:
    """Count as this process's own what is left to it of the machine's cores, where nobody has said how many."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, count_cores() // num_sharing)))


def _join(cluster: ClusterEnvironment, number: int, *, is_on_gpu: bool) -> Learners:
    """Wait for the others, and be one of them; all but the first are silent from here on, but for errors."""
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = cluster.main_address, str(cluster.main_port)
    rank, backend = cluster.global_rank(), "gloo"
    if is_on_gpu:
        torch.cuda.set_device(cluster.local_rank())
        backend = "cpu:gloo,cuda:nccl"
    try:
        distributed.init_process_group(backend, rank=rank, world_size=number)
        group = distributed.new_group(backend=backend, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"learner {rank} of {number} does not find the others: {reason}") from error
    if rank > 0:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.close(nothing)
    return Learners(rank, number, group)

"""Toy runs with everything that a real one writes, in processes of their own that can be killed."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from tests.helpers.chain import ChainEnvironments
from tests.helpers.toy_runs import make_chain, make_policy_for, make_toy_module, make_toy_pqn, make_trainer
from wn_rl.algorithms.dqn import DQN
from wn_rl.algorithms.pqn import PQN
from wn_rl.app.resume import find_checkpoint
from wn_rl.app.training import Run
from wn_rl.callbacks.checkpoint import RunCheckpoint
from wn_rl.callbacks.evaluation import Evaluation
from wn_rl.callbacks.interruption import Interruption
from wn_rl.callbacks.metrics_logging import MetricsLogging
from wn_rl.envs.protocols import Protocol
from wn_rl.replay.prioritized_sampler import PrioritizedSampler
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.runs.evaluations import keep_training_rows
from wn_rl.runs.folder import lock_run_folder, make_run_folder, remove_leftovers
from wn_rl.runs.layout import AGENT_FOLDER, EVALUATIONS_FILE, LAST_CHECKPOINT, METRICS_FILE
from wn_rl.runs.metrics_csv import MetricsCSV

TOTAL, ITERATION = 500, 100

PROTOCOL = Protocol(
    name="toy", repeat_action_probability=0.0, noop_max=0, use_fire_reset=False, life_loss_ends_discount=False,
    full_action_space=False, max_episode_frames=48, frame_skip=4,
)  # fmt: skip
DESCRIPTION = {"game": "Pong", "protocol": PROTOCOL.__dict__, "network": {}}


def make_module(
    folder: Path, environments: ChainEnvironments | None = None, *, storage: str = "ram", memory: str | None = None
) -> DQN:
    """Small enough that frames are overwritten, and segments superseded, within a second."""
    return make_toy_module(
        folder, total_agent_steps=TOTAL, iteration_agent_steps=ITERATION, n_step=3, capacity=160,
        environments=environments, warmup_agent_steps=40, initialization_batch_size=32, batch_size=8,
        samples_per_agent_step=2, learning_rate=1e-3, storage=storage, memory=memory,
        chunk_agent_steps=20 if memory else 100,
        sampler=PrioritizedSampler(priority_exponent=0.9, importance_exponent=0.6) if memory else None,
    )  # fmt: skip


def make_pqn(memory: str | None = None) -> PQN:
    """Two whole rollouts and a part of a third in every iteration."""
    return make_toy_pqn(
        total_agent_steps=TOTAL, iteration_agent_steps=ITERATION, chunk_agent_steps=20, num_rounds=11,
        batch_size=8 if memory is None else 22,
        learning_rate=1e-3, environments=make_chain(max_episode_agent_steps=5), memory=memory,
    )  # fmt: skip


def make_run(
    folder: Path, *, environments: ChainEnvironments | None = None, callbacks: Sequence[Callback] = (),
    storage: str = "ram", algorithm: str = "dqn",
) -> Run:  # fmt: skip
    """A run that goes on from the newest good checkpoint, or begins, as ``wn_rl.app.training`` makes it of Atari games.

    Args:
        folder: the run folder.
        environments: to train in; None: the chain.
        callbacks: that disturb it, after the metrics are logged and before anything is saved.
        storage: of the replay.
        algorithm: dqn, or in the chain dqn_lstm, pqn or pqn_lstm.
    """
    make_run_folder(folder)
    lock = lock_run_folder(folder)
    remove_leftovers(folder)
    name, _, memory_name = algorithm.partition("_")
    memory = memory_name or None
    is_dqn = name == "dqn"
    module = make_module(folder, environments, storage=storage, memory=memory) if is_dqn else make_pqn(memory)
    found = find_checkpoint(folder, module)
    metrics_csv = MetricsCSV(folder)
    if found is None:
        metrics_csv.keep_rows(0)
        keep_training_rows(folder / EVALUATIONS_FILE, 0)
    interruption = Interruption()
    saving = RunCheckpoint(
        run_dir=folder, agent_description=DESCRIPTION, interruption=interruption, keep_last=2, keep_best=1
    )
    evaluation = Evaluation(
        make_environments=make_chain, game="Pong", protocol=PROTOCOL, num_episodes=3, epsilon=0.1, seed=5,
        make_policy=make_policy_for(memory), run_dir=folder, listeners=[saving.on_evaluation],
        on_round=lambda done, total: None,
    )  # fmt: skip
    trainer = make_trainer(module, folder, [interruption, MetricsLogging(metrics_csv), *callbacks, evaluation, saving])
    trainer.loggers = [metrics_csv]
    return Run(folder, trainer, module, interruption, saving, None if found is None else found[0], lock)


# A server that loads PyTorch once, and computes nothing, forks the children: forked from a process in which PyTorch's
# threads have worked, they could wait for one of those for ever.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])


def run_in_child(
    folder: Path, *, kill_at_operation: int | None = None, kill_after_s: float | None = None, storage: str = "ram",
    algorithm: str = "dqn",
) -> int:  # fmt: skip
    """Train in a child process until it ends or is killed.

    Args:
        folder: the run folder.
        kill_at_operation: SIGKILL just before the child's n-th change in the folder (open for writing, rename,
            remove, make a folder), counted from 1.
        kill_after_s: SIGKILL after so many seconds.
        storage: of the replay.
        algorithm: dqn, dqn_lstm, pqn or pqn_lstm.

    Returns:
        The changes that the child made, if it came to its end; 0 if it was killed.
    """
    counter = _PROCESSES.Value("q", 0)
    arguments = (folder, counter, kill_at_operation, storage, algorithm)
    child = _PROCESSES.Process(target=_train_and_count, args=arguments, daemon=True)
    child.start()
    child.join(kill_after_s)
    child.kill()
    child.join()
    if child.exitcode == -signal.SIGKILL:
        return 0
    assert child.exitcode == 0, (folder / "child.txt").read_text()
    return int(counter.value)


def _train_and_count(folder: Path, counter: Any, kill_at_operation: int | None, storage: str, algorithm: str) -> None:
    def on_event(event: str, arguments: tuple[Any, ...]) -> None:
        if _changes_a_file_of(folder, event, arguments):
            counter.value += 1
            if counter.value == kill_at_operation:
                os.kill(os.getpid(), signal.SIGKILL)

    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / "child.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, sys.stdout.fileno() if sys.stdout is sys.__stdout__ else 1)
    os.dup2(log, 2)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    sys.addaudithook(on_event)
    make_run(folder, storage=storage, algorithm=algorithm).train()


def _changes_a_file_of(folder: Path, event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        path, mode, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR) if mode is None else set(mode) & set("wax+")
        return bool(writes) and str(path).startswith(str(folder))
    return event in ("os.rename", "os.remove", "os.mkdir") and str(arguments[0]).startswith(str(folder))


def describe_folder(folder: Path) -> dict[str, Any]:
    """Everything in a run folder that must be the same, whatever happened on the way; clocks apart."""
    state = read_checkpoint(folder / LAST_CHECKPOINT)
    header, *rows = [line.split(",") for line in (folder / METRICS_FILE).read_text().splitlines()]
    clocks = {number for number, name in enumerate(header) if name.startswith("speed/")}
    return {
        "weights": state["state_dict"],
        "optimizer": state["optimizer_states"],
        "counters": (state["epoch"], state["global_step"]),
        "callbacks": state["callbacks"],
        "algorithm": state["wn_rl"],
        "frames": _read_frames(folder, state["wn_rl"]["replay"]) if "replay" in state["wn_rl"] else [],
        "metrics": [[value for number, value in enumerate(row) if number not in clocks] for row in [header, *rows]],
        "evaluations": (folder / EVALUATIONS_FILE).read_text(),
        "files": sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != "child.txt"),
        "agent": (folder / AGENT_FOLDER / "agent.json").read_text(),
        "agent weights": (folder / AGENT_FOLDER / "weights.safetensors").read_bytes(),
        "episodes": [path.read_bytes() for path in sorted(folder.glob("episodes/*/*.npz"))],
    }


def _read_frames(folder: Path, saved: dict[str, Any]) -> list[bytes]:
    module = make_module(folder, memory="lstm" if "sequences" in saved["replay"] else None)
    module.replay.allocate()
    module.archive.load_state_dict(saved)
    lanes = module.replay.lanes
    return [
        module.replay.read_frames(lane, int(tail), int(head)).tobytes()
        for lane, (tail, head) in enumerate(zip(lanes.tails, lanes.heads, strict=True))
    ]


def assert_equal(one: Any, other: Any, path: str = "") -> None:
    """Bit for bit, with the place of the first difference."""
    assert type(one) is type(other), path
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_equal(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{path}/{number}")
    elif isinstance(one, torch.Tensor):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), path
        assert torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8)), path
    else:
        assert one == other, path

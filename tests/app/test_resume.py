"""A run that was stopped or killed, and resumed, ends bit for bit as the run that was never touched."""

import os
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from tests.helpers.killed_runs import assert_equal
from tests.helpers.networks import HEADS_OF_A_RUN, NORMALIZERS_OF_A_RUN
from tests.helpers.toy_runs import make_toy_module, make_trainer
from wn_rl.algorithms.dqn import DQN
from wn_rl.app.resume import _check_tensors
from wn_rl.callbacks.checkpoint import RunCheckpoint
from wn_rl.callbacks.interruption import Interruption
from wn_rl.callbacks.metrics_logging import MetricsLogging
from wn_rl.callbacks.weight_statistics import WeightStatistics
from wn_rl.replay.prioritized_sampler import PrioritizedSampler
from wn_rl.replay.samplers import Sampler
from wn_rl.runs.layout import LAST_CHECKPOINT, METRICS_FILE
from wn_rl.runs.metrics_csv import MetricsCSV

TOTAL = 800


class KilledError(Exception):
    """Stands for SIGKILL: nothing more is written."""


class At(Callback):
    """Does something once, at a number of agent steps: in the chunk that reaches it, or within the warm-up."""

    def __init__(self, agent_steps: int, action: Any) -> None:
        self._agent_steps, self._action = agent_steps, action

    def on_train_start(self, trainer: Any, pl_module: DQN) -> None:
        pl_module.on_warmup_round = partial(self._look, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: DQN, *args: Any) -> None:
        self._look(pl_module)

    def _look(self, module: DQN) -> None:
        if self._agent_steps is not None and module.agent_steps >= self._agent_steps:
            self._agent_steps = None
            self._action()


def kill() -> None:
    raise KilledError


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


def train(
    folder: Path,
    disturbance: Callback | None = None,
    normalizer: str = "weight_norm",
    total: int = TOTAL,
    storage: str = "ram",
    sampler: Sampler | None = None,
    head: str = "linear",
) -> DQN:
    """Train from the last checkpoint in the folder, if there is one."""
    folder.mkdir(exist_ok=True)
    module = make_toy_module(
        folder, total_agent_steps=total, iteration_agent_steps=total // 2, normalizer=normalizer, n_step=3,
        capacity=600, samples_per_agent_step=2, learning_rate=1e-3, storage=storage, sampler=sampler, max_repeats=30,
        head=head,
    )  # fmt: skip
    checkpoint = folder / LAST_CHECKPOINT if (folder / LAST_CHECKPOINT).exists() else None
    interruption = Interruption()
    metrics_csv = MetricsCSV(folder)
    callbacks = [
        *([disturbance] if disturbance is not None else []),
        interruption,
        MetricsLogging(metrics_csv),
        WeightStatistics(period_agent_steps=150, num_states=20, dormant_threshold=0.025, rank_threshold=0.01, seed=0),
        RunCheckpoint(
            run_dir=folder, agent_description={"game": "Chain"}, interruption=interruption, keep_last=2, keep_best=0
        ),
    ]
    trainer = make_trainer(module, folder, callbacks)
    trainer.loggers = [metrics_csv]
    trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
    return module


def describe(module: DQN, folder: Path) -> dict[str, Any]:
    """Everything that must be equal, of the checkpoint at the end."""
    state = torch.load(folder / LAST_CHECKPOINT, weights_only=True)
    replay = state["wn_rl"].pop("replay")
    clocks = {name for name in read_header(folder) if name.startswith("speed/")}
    frames = [module.replay.read_frames(lane, int(tail), int(head)).tobytes() for lane, (tail, head) in
              enumerate(zip(module.replay.lanes.tails, module.replay.lanes.heads, strict=True))]  # fmt: skip
    return {
        "weights": state["state_dict"],
        "optimizer": state["optimizer_states"],
        "counters": state["wn_rl"],
        "replay": replay["replay"],
        "frames": frames,
        "metrics": [[v for k, v in row.items() if k not in clocks] for row in read_rows(folder)],
        "global_step": state["global_step"],
    }


def read_header(folder: Path) -> list[str]:
    return (folder / METRICS_FILE).read_text().splitlines()[0].split(",")


def read_rows(folder: Path) -> list[dict[str, str]]:
    header, *lines = (folder / METRICS_FILE).read_text().splitlines()
    return [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


def test_chunks_that_no_round_is_left_for_log_nothing(tmp_path: Path) -> None:
    """After the warm-up, 2 rounds are left of an iteration of 10 chunks."""
    module = make_toy_module(tmp_path, total_agent_steps=1000, warmup_agent_steps=992, iteration_agent_steps=1000)
    metrics_csv = MetricsCSV(tmp_path)
    trainer = make_trainer(module, tmp_path, [MetricsLogging(metrics_csv)])
    trainer.loggers = [metrics_csv]
    trainer.fit(module)
    assert [row["agent_steps"] for row in read_rows(tmp_path)] == ["996", "1000"]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("untouched")
    return describe(train(folder), folder)


@pytest.mark.parametrize("agent_steps", [500, 700])
def test_a_killed_run_goes_back_to_its_last_iteration_and_ends_the_same(
    tmp_path: Path, untouched: dict[str, Any], agent_steps: int
) -> None:
    with pytest.raises(KilledError):
        train(tmp_path, At(agent_steps, kill))
    assert torch.load(tmp_path / LAST_CHECKPOINT, weights_only=True)["wn_rl"]["collector"]["agent_steps"] == TOTAL // 2
    module = train(tmp_path)
    assert_equal(describe(module, tmp_path), untouched)


@pytest.mark.parametrize(
    ("agent_steps", "stop"),
    [(40, interrupt), (300, terminate), (400, interrupt), (500, hang_up), (600, interrupt)],
)
def test_an_interrupted_run_goes_on_where_it_was_and_ends_the_same(
    tmp_path: Path, untouched: dict[str, Any], agent_steps: int, stop: Any
) -> None:
    stopped = train(tmp_path, At(agent_steps, stop))
    assert agent_steps <= stopped.agent_steps <= agent_steps + 110  # within a chunk
    module = train(tmp_path)
    assert_equal(describe(module, tmp_path), untouched)


def test_a_run_may_be_interrupted_again_and_again(tmp_path: Path, untouched: dict[str, Any]) -> None:
    for agent_steps in (100, 300, 400, 500, 600, 700):
        train(tmp_path, At(agent_steps, interrupt))
    assert_equal(describe(train(tmp_path), tmp_path), untouched)


def test_a_run_may_go_on_with_another_storage_and_ends_the_same(tmp_path: Path, untouched: dict[str, Any]) -> None:
    train(tmp_path, At(300, interrupt), storage="compressed")
    train(tmp_path, At(600, interrupt), storage="compressed")
    assert_equal(describe(train(tmp_path, storage="ram"), tmp_path), untouched)


def make_prioritized() -> PrioritizedSampler:
    return PrioritizedSampler(priority_exponent=0.6, importance_exponent=0.5)


def test_a_prioritized_replay_resumes_exactly(tmp_path: Path, untouched: dict[str, Any]) -> None:
    expected = describe(train(tmp_path / "whole", sampler=make_prioritized()), tmp_path / "whole")
    for agent_steps in (300, 500, 700):
        train(tmp_path / "parts", At(agent_steps, interrupt), sampler=make_prioritized())
    assert_equal(describe(train(tmp_path / "parts", sampler=make_prioritized()), tmp_path / "parts"), expected)
    assert not torch.equal(*(d["weights"]["network.head.output.g"] for d in (expected, untouched)))  # not uniform


@pytest.mark.parametrize("normalizer", NORMALIZERS_OF_A_RUN)
def test_every_normalizer_resumes_exactly(tmp_path: Path, normalizer: str) -> None:
    """From the checkpoint of the first iteration, to the second's."""
    whole = tmp_path / "whole"
    expected = describe(train(whole, normalizer=normalizer, total=600), whole)
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    next(parts.glob("checkpoints/000000300*")).replace(parts / LAST_CHECKPOINT)
    assert_equal(describe(train(parts, normalizer=normalizer, total=600), parts), expected)


@pytest.mark.parametrize("head", HEADS_OF_A_RUN)
def test_every_head_resumes_exactly(tmp_path: Path, head: str) -> None:
    """What is drawn to learn, and noise, come from the run's own stream."""
    whole = tmp_path / "whole"
    module = train(whole, head=head, total=600)
    expected = describe(module, whole)
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    next(parts.glob("checkpoints/000000300*")).replace(parts / LAST_CHECKPOINT)
    torch.manual_seed(123)  # of PyTorch's own stream, which nothing may come from
    assert_equal(describe(train(parts, head=head, total=600), parts), expected)
    assert all(torch.isfinite(parameter).all() for parameter in module.network.parameters())


def test_a_checkpoint_whose_output_layers_were_bfloat16_goes_on(tmp_path: Path) -> None:
    """As they were in the network that acts and in the target; but numbers may not be rounded."""
    module = make_toy_module(tmp_path, precision="bf16-mixed")
    own = module.state_dict()
    name = "acting.network.head.output.weight"
    assert own[name].dtype == torch.float32
    _check_tensors({**own, name: own[name].bfloat16()}, own)
    module.load_state_dict({**own, name: own[name].bfloat16()})
    assert module.state_dict()[name].dtype == torch.float32
    with pytest.raises(ValueError, match=f"its {name} is torch.float64"):
        _check_tensors({**own, name: own[name].double()}, own)

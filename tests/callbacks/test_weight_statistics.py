"""Are the statistics logged when they are due, and only read?"""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from tests.helpers.networks import NORMALIZERS_OF_A_RUN
from tests.helpers.toy_runs import make_toy_module, make_trainer
from wn_rl.algorithms.dqn import DQN
from wn_rl.callbacks.weight_statistics import WeightStatistics
from wn_rl.runs.metrics_csv import MetricsCSV


def make_statistics(period_agent_steps: int = 150) -> WeightStatistics:
    return WeightStatistics(
        period_agent_steps=period_agent_steps, num_states=20, dormant_threshold=0.025, rank_threshold=0.01, seed=0
    )


def train(folder: Path, callbacks: list[Callback], *, total_agent_steps: int = 600, **changes: Any) -> DQN:
    torch.manual_seed(0)
    module = make_toy_module(
        folder, total_agent_steps=total_agent_steps, iteration_agent_steps=600, samples_per_agent_step=2, **changes
    )
    trainer = make_trainer(module, folder, callbacks)
    trainer.loggers = [MetricsCSV(folder)]
    trainer.fit(module)
    return module


def read_rows(folder: Path) -> list[dict[str, float]]:
    header, *lines = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    return [{k: float(v) for k, v in zip(header, line, strict=True) if v} for line in lines]


class EveryAngle(Callback):
    """An oracle: the weights before every update, kept whole."""

    def __init__(self) -> None:
        self.weights: list[torch.Tensor] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.weights.append(pl_module.network.head.output.layer.v.detach().clone())


def test_a_row_is_logged_after_the_first_updates_and_then_once_a_period(tmp_path: Path) -> None:
    train(tmp_path, [make_statistics()])
    rows = read_rows(tmp_path)
    assert [row["agent_steps"] for row in rows] == [268, 336, 472, 600]  # the warm-up is 200
    for name in ("w_norm_mean", "v_norm_max", "g_mean", "gradient_norm", "g_gradient_norm", "update_angle",
                 "effective_learning_rate"):  # fmt: skip
        assert all(row[f"weights/output/{name}"] != 0 for row in rows)
    assert all(1 <= row["weights/linear2/effective_rank"] <= 20 for row in rows)
    assert all(0 <= row["weights/dormant_share"] <= 1 for row in rows)


def test_no_period_means_no_row(tmp_path: Path) -> None:
    train(tmp_path, [make_statistics(0)])
    assert read_rows(tmp_path) == []


def test_the_angle_is_that_of_the_first_update_of_the_chunk(tmp_path: Path) -> None:
    oracle = EveryAngle()
    module = train(tmp_path, [oracle, make_statistics(10_000)], normalizer="weight_norm_projected_v")
    assert module.num_updates > 2
    before, after = (torch.nn.functional.normalize(weights.double()) for weights in oracle.weights[:2])
    expected = torch.arccos((before * after).sum(1)).mean()
    assert read_rows(tmp_path)[0]["weights/output/update_angle"] == pytest.approx(expected.item(), rel=1e-3)


@pytest.mark.parametrize("normalizer", NORMALIZERS_OF_A_RUN)
def test_it_only_reads_whatever_the_normalizer(tmp_path: Path, normalizer: str) -> None:
    states = []
    for name, callbacks in (("with", [make_statistics(50)]), ("without", [])):
        (tmp_path / name).mkdir()
        module = train(tmp_path / name, callbacks, total_agent_steps=400, normalizer=normalizer)
        generators = (module.generator, module.collector.exploration.generator, torch.default_generator)
        states.append((module.state_dict(), [generator.get_state() for generator in generators]))
    for key, value in states[0][0].items():
        assert torch.equal(value, states[1][0][key]), key
    for one, other in zip(states[0][1], states[1][1], strict=True):
        assert torch.equal(one, other)
    assert len(read_rows(tmp_path / "with")) >= 3

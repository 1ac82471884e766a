"""The metrics of a chunk, worked by hand."""

import pytest
import torch

from wn_rl.learning.metrics import ChunkMetrics


def test_every_metric_is_the_mean_of_what_it_is_named_after() -> None:
    metrics = ChunkMetrics()
    metrics.start(100, 5)
    metrics.add(loss=torch.tensor(2.0), absolute_td_error=torch.tensor(2.5), max_q_value=torch.tensor(8.5))
    metrics.add(loss=torch.tensor(5.0), absolute_td_error=torch.tensor(0.5), max_q_value=torch.tensor(0.5))
    row = metrics.compute_and_reset(108, 7)
    assert row["train/loss"] == 3.5
    assert row["train/absolute_td_error"] == pytest.approx(1.5)
    assert row["train/max_q_value"] == pytest.approx((8.5 + 0.5) / 2)


def test_speeds_count_what_was_done_since_the_last_chunk() -> None:
    metrics = ChunkMetrics()
    metrics.start(1000, 50)
    row = metrics.compute_and_reset(1800, 150)
    assert row["speed/agent_steps_per_second"] / row["speed/updates_per_second"] == pytest.approx(8)
    assert metrics.compute_and_reset(1800, 150)["speed/updates_per_second"] == 0


def test_a_chunk_without_updates_has_no_loss() -> None:
    metrics = ChunkMetrics()
    metrics.start(0, 0)
    assert "train/loss" not in metrics.compute_and_reset(100, 0)

"""An update on a device without float64, as Apple's GPU is: nothing makes float64 tensors, or tensors elsewhere."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.no_float64 import DEVICE, without_float64
from tests.helpers.toy_runs import FRAME_SHAPE, STACK_SIZE, make_toy_module, make_toy_pqn
from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.learning.optimizers import FusedRAdam
from wn_rl.nn.noisy_linear import resample_noise_
from wn_rl.nn.normalizers import project_weights
from wn_rl.types import Batch, RolloutBatch

BATCH_SIZE = 8


def make_batch() -> Batch:
    frames = torch.zeros(BATCH_SIZE, STACK_SIZE, *FRAME_SHAPE, dtype=torch.uint8, device=DEVICE)
    numbers, places = torch.zeros(3, BATCH_SIZE, device=DEVICE), torch.zeros(2, BATCH_SIZE, dtype=int, device=DEVICE)
    return Batch(frames, places[0], numbers[0], numbers[1], frames, numbers[2], places[1])


def update(module: Algorithm, batch: Any) -> None:
    """What an algorithm does with a minibatch, without its environments."""
    optimizer = FusedRAdam(module.network.parameters())
    resample_noise_(torch.Generator(), module.network, module.acting)
    loss, priority, q_tm1 = module.compute_gradient(batch)
    torch.nn.utils.clip_grad_norm_(module.network.parameters(), 1.0)
    optimizer.step()
    project_weights(module.network)
    module.acting.expire()
    module.acting.sync(module.network)
    module.metrics.add(loss=loss.mean(), priority=priority.mean(), max_q_value=q_tm1.amax(dim=1).mean())


@pytest.mark.parametrize(
    ("head", "changes"),
    [
        ("linear", {"double": True, "advantage_learning": 0.5}),
        ("dueling_quantile", {"munchausen": True, "error_function": "huber"}),
        ("noisy_dueling_categorical", {"error_function": "cross_entropy", "double": True}),
        ("noisy_implicit_quantile", {"error_function": "huber"}),
    ],
)
@pytest.mark.parametrize("normalizer", ["weight_norm", "batch_norm", "weight_norm_projected_v"])
def test_dqn_updates(tmp_path: Path, normalizer: str, head: str, changes: dict[str, Any]) -> None:
    module = make_toy_module(tmp_path, head=head, normalizer=normalizer, **changes).to(DEVICE)
    batch = make_batch()
    taus = module.network.head.distribution.draw_taus(BATCH_SIZE, torch.Generator())
    if taus is not None:
        batch = batch._replace(taus_tm1=taus[0].to(DEVICE), taus_t=taus[1].to(DEVICE))
    with without_float64():
        update(module, batch)
        module.target.expire()
        module.target.sync(module.network)


@pytest.mark.parametrize("normalizer", ["none", "weight_norm"])
def test_pqn_updates(normalizer: str) -> None:
    module = make_toy_pqn(normalizer=normalizer).to(DEVICE)
    batch = make_batch()
    with without_float64():
        update(module, RolloutBatch(batch.s_tm1, batch.a_tm1, batch.r_t))

"""An update's gradient is clipped, whatever the precision and however the optimizer is computed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers.toy_runs import make_toy_module, make_toy_pqn, make_trainer
from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.learning.optimizers import FusedRAdam


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("make_fused", [lambda p: torch.optim.Adam(p, fused=True), FusedRAdam], ids=["Adam", "RAdam"])
@pytest.mark.parametrize("max_norm", [1e-4, None])
@pytest.mark.parametrize("algorithm", ["dqn", "pqn"])
def test_an_update_by_a_fused_optimizer_has_a_clipped_gradient(
    tmp_path: Path, algorithm: str, max_norm: float | None, make_fused: Callable[[Any], torch.optim.Optimizer],
    precision: str,
) -> None:  # fmt: skip
    """As in the presets btr, strong and pqn on hardware that has bfloat16."""
    norms: list[float] = []

    def make_optimizer(network: nn.Module) -> torch.optim.Optimizer:
        optimizer = make_fused(network.parameters())
        optimizer.register_step_pre_hook(
            lambda *_: norms.append(float(nn.utils.get_total_norm([p.grad for p in network.parameters()])))
        )
        return optimizer

    settings: dict[str, Any] = {
        "total_agent_steps": 400, "iteration_agent_steps": 400, "precision": precision, "max_gradient_norm": max_norm,
    }  # fmt: skip
    module: Algorithm = make_toy_module(tmp_path, **settings) if algorithm == "dqn" else make_toy_pqn(**settings)
    module.make_optimizer = make_optimizer
    make_trainer(module, tmp_path, [], precision=precision).fit(module)
    assert len(norms) == module.num_updates > 10
    largest = max(norms)
    assert largest == pytest.approx(max_norm, rel=1e-3) if max_norm else largest > 1e-3

"""DQN's loss of values that are given, in the place of what networks would compute."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from wn_rl.algorithms.dqn import DQN
from wn_rl.types import Batch, BatchLoss, QOutput


class Given(nn.Module):
    """A network whose output is given."""

    def __init__(self, output: QOutput) -> None:
        super().__init__()
        self.output = output

    def forward(self, observations: Tensor, taus: Tensor | None = None) -> QOutput:
        return self.output

    compute = forward


def compute_dqn_loss(
    values_tm1: Tensor, a_tm1: Tensor, r_t: Tensor, discount_t: Tensor, values_t: Tensor, selector: Tensor, *,
    error_function: str = "huber", advantage_learning: float = 0.0,
) -> BatchLoss:  # fmt: skip
    """With values [B, A] or quantiles [B, A, Z]; double Q-learning selects by ``selector`` [B, A]."""
    online, target = (
        Given(QOutput(values) if values.dim() == 2 else QOutput(values.mean(dim=2), values))
        for values in (values_tm1, values_t)
    )
    size = len(a_tm1)
    frames = torch.zeros(size, 1, 1, 1, dtype=torch.uint8)
    batch = Batch(frames, a_tm1, r_t, discount_t, frames, torch.ones(size), torch.arange(size))
    settings = SimpleNamespace(double=True, advantage_learning=advantage_learning, error_function=error_function)
    algorithm: Any = SimpleNamespace(settings=settings, target=target, acting=Given(QOutput(selector)))
    return DQN.compute_loss(algorithm, online, batch)

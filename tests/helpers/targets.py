"""DQN's loss of values that are given, in the place of what networks would compute."""

from functools import partial
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
    error_function: str = "huber", advantage_learning: float = 0.0, value_rescaling: bool = False,
) -> BatchLoss:  # fmt: skip
    """With values [B, A] or quantiles [B, A, Z]; double Q-learning selects by ``selector`` [B, A]."""
    settings = SimpleNamespace(
        double=True, advantage_learning=advantage_learning, munchausen=False, error_function=error_function,
        value_rescaling=value_rescaling,
    )  # fmt: skip
    online, target = (Given(_make_output(values)) for values in (values_tm1, values_t))
    algorithm: Any = SimpleNamespace(settings=settings, target=target, acting=Given(QOutput(selector)))
    algorithm.apply_networks = partial(DQN.apply_networks, algorithm)
    return DQN.compute_loss(algorithm, online, _make_batch(a_tm1, r_t, discount_t))


class GivenPair(nn.Module):
    """A target network whose outputs for s_tm1, frames of 0, and for s_t, frames of 1, are given."""

    def __init__(self, output_tm1: QOutput, output_t: QOutput) -> None:
        super().__init__()
        self.outputs = output_tm1, output_t

    def compute(self, observations: Tensor, taus: Tensor | None = None) -> QOutput:
        return self.outputs[int(observations.flatten()[0])]


def compute_munchausen_loss(
    values_tm1: Tensor, a_tm1: Tensor, r_t: Tensor, discount_t: Tensor, *, target_tm1: Tensor, target_t: Tensor,
    scale: float, temperature: float, floor: float, error_function: str = "huber",
) -> BatchLoss:  # fmt: skip
    """Munchausen's, of values [B, A] or quantiles [B, A, Z] that the online and the target network are given."""
    settings = SimpleNamespace(
        double=False, advantage_learning=0.0, munchausen=True, munchausen_scale=scale,
        munchausen_temperature=temperature, munchausen_floor=floor, error_function=error_function,
        value_rescaling=False,
    )  # fmt: skip
    target = GivenPair(_make_output(target_tm1), _make_output(target_t))
    algorithm: Any = SimpleNamespace(settings=settings, target=target)
    algorithm.apply_networks = partial(DQN.apply_networks, algorithm)
    return DQN.compute_loss(algorithm, Given(_make_output(values_tm1)), _make_batch(a_tm1, r_t, discount_t))


def _make_output(values: Tensor) -> QOutput:
    return QOutput(values) if values.dim() == 2 else QOutput(values.mean(dim=2), values)


def _make_batch(a_tm1: Tensor, r_t: Tensor, discount_t: Tensor) -> Batch:
    size = len(a_tm1)
    frames = torch.zeros(size, 1, 1, 1, dtype=torch.uint8)
    return Batch(frames, a_tm1, r_t, discount_t, frames + 1, torch.ones(size), torch.arange(size))

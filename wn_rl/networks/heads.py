"""Heads, by name: what turns features into Q-values.

The linear layer of Mnih et al. 2015 or the dueling streams of Wang et al. 2016, for Q-values themselves or for the
quantiles of Dabney et al. 2018. Output layers compute in float32, whatever the rest does: bfloat16 knows 128 numbers
between 1 and 2, and the values of two actions often differ by less than that.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.networks.layers import make_linear
from wn_rl.nn.normalizers import Normalizer
from wn_rl.types import QOutput

NUM_QUANTILES = 32
"""Of the return of an action, unless it is said; Dabney et al. have 200, and each is compared with each."""


def apply_in_float32(layer: nn.Module, features: Float[Tensor, "B F"]) -> Float[Tensor, "B O"]:
    """``layer(features)``, where the layer's weights are float32 (or better), and the features in any precision."""
    with torch.autocast(features.device.type, enabled=False):
        return layer(features.to(torch.promote_types(features.dtype, torch.float32))).float()


def make_stream(
    num_features: int,
    num_outputs: int,
    *,
    hidden_units: int | None,
    normalizer: Normalizer,
    generator: torch.Generator | None,
) -> nn.Module:
    """An output layer on the features, or on a hidden layer of ``hidden_units`` with a ReLU where that is given."""
    if hidden_units is None:
        return normalizer(make_linear(num_features, num_outputs, generator=generator), is_output=True)
    hidden = make_linear(num_features, hidden_units, generator=generator)
    output = make_linear(hidden_units, num_outputs, generator=generator)
    return nn.Sequential(normalizer(hidden, is_output=False), nn.ReLU(), normalizer(output, is_output=True))


class Head(nn.Module):
    """Z outputs of each action: its Q-value, or the quantiles of its return, whose mean is that (QR-DQN).

    Args:
        num_quantiles: Z, or None for Q-values themselves (Z = 1).
    """

    has_hidden_layer = False
    """Whether the torso leaves the last hidden layer to the head."""

    def __init__(self, num_quantiles: int | None) -> None:
        super().__init__()
        if num_quantiles is not None and (not isinstance(num_quantiles, int) or num_quantiles < 1):
            raise ConfigurationError(f"network.num_quantiles={num_quantiles}: needs a whole number of at least 1")
        self.is_distributional, self.num_outputs = num_quantiles is not None, num_quantiles or 1

    @property
    @abstractmethod
    def output_layers(self) -> list[nn.Module]:
        """The layers whose outputs are, or sum to, Q-values."""

    @abstractmethod
    def compute_outputs(self, features: Float[Tensor, "B F"]) -> Float32[Tensor, "B A Z"]:
        """What the output layers say of each action."""

    def forward(self, features: Float[Tensor, "B F"]) -> QOutput:
        outputs = self.compute_outputs(features)
        if self.is_distributional:
            return QOutput(q_values=outputs.mean(dim=2), quantiles=outputs)
        return QOutput(q_values=outputs.squeeze(2))


class LinearHead(Head):
    """q(s, ·) = W features + b; unit a Z + z is output z of action a."""

    def __init__(self, *, num_actions: int, num_quantiles: int | None, make_stream: Callable[[int], nn.Module]) -> None:
        super().__init__(num_quantiles)
        self.output = make_stream(num_actions * self.num_outputs)

    @property
    def output_layers(self) -> list[nn.Module]:
        return [self.output]

    def compute_outputs(self, features: Float[Tensor, "B F"]) -> Float32[Tensor, "B A Z"]:
        return apply_in_float32(self.output, features).unflatten(1, (-1, self.num_outputs))


class DuelingHead(Head):
    """q(s, a) = value(s) + advantage(s, a) − mean over a' of advantage(s, a')   (Eq. 9, Wang et al. 2016).

    Value and advantage have a hidden layer each, on the features that they share. Of quantiles each is such a sum.
    """

    has_hidden_layer = True

    def __init__(self, *, num_actions: int, num_quantiles: int | None, make_stream: Callable[[int], nn.Module]) -> None:
        super().__init__(num_quantiles)
        self.value = cast(nn.Sequential, make_stream(self.num_outputs))
        self.advantage = cast(nn.Sequential, make_stream(num_actions * self.num_outputs))

    @property
    def output_layers(self) -> list[nn.Module]:
        return [self.value[-1], self.advantage[-1]]

    def compute_outputs(self, features: Float[Tensor, "B F"]) -> Float32[Tensor, "B A Z"]:
        value, advantage = (
            apply_in_float32(stream[-1], stream[:-1](features)).unflatten(1, (-1, self.num_outputs))
            for stream in (self.value, self.advantage)
        )
        return value + advantage - advantage.mean(dim=1, keepdim=True)


class HeadEntry(NamedTuple):
    """A head by its name: how its outputs are computed, and whether they are quantiles."""

    make: type[LinearHead] | type[DuelingHead]
    is_distributional: bool


HEADS: dict[str, HeadEntry] = {
    "linear": HeadEntry(LinearHead, is_distributional=False),
    "dueling": HeadEntry(DuelingHead, is_distributional=False),
    "quantile": HeadEntry(LinearHead, is_distributional=True),
    "dueling_quantile": HeadEntry(DuelingHead, is_distributional=True),
}

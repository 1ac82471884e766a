"""What turns features into Q-values? Heads, by name.

The linear layer of Mnih et al. 2015, the dueling streams of Wang et al. 2016, the quantiles of Dabney et al. 2018.
Output layers compute in float32, whatever the rest does: bfloat16 knows 128 numbers between 1 and 2, and the values of
two actions often differ by less than that.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wn_rl.networks.layers import make_linear
from wn_rl.nn.normalizers import Normalizer
from wn_rl.types import QOutput

NUM_QUANTILES = 32
"""Of the return of an action; Dabney et al. have 200, and each is compared with each."""


def apply_in_float32(layer: nn.Module, features: Float[Tensor, "B F"]) -> Float[Tensor, "B O"]:
    """``layer(features)``, where the layer's weights are float32 (or better), and the features in any precision."""
    with torch.autocast(features.device.type, enabled=False):
        return layer(features.to(torch.promote_types(features.dtype, torch.float32))).float()


class LinearHead(nn.Module):
    """q(s, ·) = W features + b, one output unit per action."""

    def __init__(
        self,
        *,
        num_features: int,
        num_actions: int,
        hidden_units: int,
        normalizer: Normalizer,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.output = normalizer(make_linear(num_features, num_actions, generator=generator), is_output=True)

    @property
    def output_layers(self) -> list[nn.Module]:
        """The layers whose outputs are, or sum to, Q-values."""
        return [self.output]

    def forward(self, features: Float[Tensor, "B F"]) -> QOutput:
        return QOutput(q_values=apply_in_float32(self.output, features))


class DuelingHead(nn.Module):
    """q(s, a) = value(s) + advantage(s, a) − mean over a' of advantage(s, a')   (Eq. 9, Wang et al. 2016).

    Value and advantage have a hidden layer of ``hidden_units`` with a ReLU each, on the features that they
    share.
    """

    def __init__(
        self,
        *,
        num_features: int,
        num_actions: int,
        hidden_units: int,
        normalizer: Normalizer,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()

        def make_stream(num_outputs: int) -> nn.Sequential:
            hidden = make_linear(num_features, hidden_units, generator=generator)
            output = make_linear(hidden_units, num_outputs, generator=generator)
            return nn.Sequential(normalizer(hidden, is_output=False), nn.ReLU(), normalizer(output, is_output=True))

        self.value = make_stream(1)
        self.advantage = make_stream(num_actions)

    @property
    def output_layers(self) -> list[nn.Module]:
        """The layers whose outputs are, or sum to, Q-values."""
        return [self.value[-1], self.advantage[-1]]

    def forward(self, features: Float[Tensor, "B F"]) -> QOutput:
        value, advantage = (
            apply_in_float32(stream[-1], stream[:-1](features)) for stream in (self.value, self.advantage)
        )
        return QOutput(q_values=value + advantage - advantage.mean(dim=1, keepdim=True))


class QuantileHead(nn.Module):
    """Quantiles of the return of each action, whose mean is its Q-value (QR-DQN, Dabney et al. 2018).

    One linear layer; unit a Z + z is quantile z of action a.
    """

    def __init__(
        self,
        *,
        num_features: int,
        num_actions: int,
        hidden_units: int,
        normalizer: Normalizer,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        output = make_linear(num_features, num_actions * NUM_QUANTILES, generator=generator)
        self.output = normalizer(output, is_output=True)

    @property
    def output_layers(self) -> list[nn.Module]:
        """The layers whose outputs are, or sum to, Q-values."""
        return [self.output]

    def forward(self, features: Float[Tensor, "B F"]) -> QOutput:
        quantiles = apply_in_float32(self.output, features).unflatten(1, (-1, NUM_QUANTILES))
        return QOutput(q_values=quantiles.mean(dim=2), quantiles=quantiles)


Head = LinearHead | DuelingHead | QuantileHead


class HeadEntry(NamedTuple):
    """A head by its name; ``has_hidden_layer`` where the torso leaves the last hidden layer to the head."""

    make: Callable[..., Head]
    has_hidden_layer: bool


HEADS: dict[str, HeadEntry] = {
    "linear": HeadEntry(LinearHead, has_hidden_layer=False),
    "dueling": HeadEntry(DuelingHead, has_hidden_layer=True),
    "quantile": HeadEntry(QuantileHead, has_hidden_layer=False),
}

"""Heads, by name: what turns features into Q-values.

The linear layer of Mnih et al. 2015 or the dueling streams of Wang et al. 2016, each for Q-values themselves and for
any kind of distribution (distributions.py). Output layers compute in float32, whatever the rest does: bfloat16 knows
128 numbers between 1 and 2, and the values of two actions often differ by less than that.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from wn_rl.networks.distributions import (
    CategoricalDistribution,
    Distribution,
    ImplicitQuantileDistribution,
    QuantileDistribution,
)
from wn_rl.networks.layers import make_hidden_layer, make_linear
from wn_rl.nn.normalizers import Normalizer
from wn_rl.system.registry import add
from wn_rl.types import QOutput


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
) -> nn.Sequential:
    """An output layer on the features, or on a hidden layer of ``hidden_units`` with a ReLU where that is given."""
    hidden: list[nn.Module] = []
    if hidden_units is not None:
        hidden = make_hidden_layer(num_features, hidden_units, normalizer=normalizer, generator=generator)
        num_features = hidden_units
    output = make_linear(num_features, num_outputs, generator=generator)
    return nn.Sequential(*hidden, normalizer(output, is_output=True))


def make_embedding(
    num_inputs: int, *, num_features: int, normalizer: Normalizer, generator: torch.Generator | None
) -> nn.Sequential:
    """A hidden layer with a ReLU, whose outputs features are multiplied with."""
    return nn.Sequential(*make_hidden_layer(num_inputs, num_features, normalizer=normalizer, generator=generator))


class Head(nn.Module):
    """Z outputs of each action, and what they say of its return.

    Args:
        distribution: what the outputs say, and on which features they are computed.
    """

    def __init__(self, distribution: Distribution) -> None:
        super().__init__()
        self.distribution = distribution

    @property
    @abstractmethod
    def output_layers(self) -> list[nn.Module]:
        """The layers whose outputs are, or sum to, what the distribution reads."""

    @abstractmethod
    def compute_outputs(self, features: Float[Tensor, "M F"]) -> Float32[Tensor, "M A Z"]:
        """What the output layers say of each action."""

    def forward(self, features: Float[Tensor, "B F"], taus: Float32[Tensor, "B K"] | None = None) -> QOutput:
        """``taus``: the probabilities that an implicit quantile head is asked for; None: those that it acts by."""
        outputs = self.compute_outputs(self.distribution.condition(features, taus))
        return self.distribution.read(outputs, features)


class LinearHead(Head):
    """q(s, ·) = W features + b; unit a Z + z is output z of action a."""

    def __init__(
        self, *, num_actions: int, distribution: Distribution, make_stream: Callable[[int], nn.Sequential]
    ) -> None:
        super().__init__(distribution)
        stream = make_stream(num_actions * distribution.num_outputs)
        self.hidden, self.output = stream[:-1], stream[-1]

    @property
    def output_layers(self) -> list[nn.Module]:
        return [self.output]

    def compute_outputs(self, features: Float[Tensor, "M F"]) -> Float32[Tensor, "M A Z"]:
        outputs = apply_in_float32(self.output, self.hidden(features))
        return outputs.unflatten(1, (-1, self.distribution.num_outputs))


class DuelingHead(Head):
    """q(s, a) = value(s) + advantage(s, a) − mean over a' of advantage(s, a')   (Eq. 9, Wang et al. 2016).

    Value and advantage have a hidden layer each, on the features that they share. Of quantiles each is such a sum, and
    of atoms each logit (Hessel et al. 2018).
    """

    def __init__(
        self, *, num_actions: int, distribution: Distribution, make_stream: Callable[[int], nn.Sequential]
    ) -> None:
        super().__init__(distribution)
        self.value = make_stream(distribution.num_outputs)
        self.advantage = make_stream(num_actions * distribution.num_outputs)

    @property
    def output_layers(self) -> list[nn.Module]:
        return [self.value[-1], self.advantage[-1]]

    def compute_outputs(self, features: Float[Tensor, "M F"]) -> Float32[Tensor, "M A Z"]:
        value, advantage = (
            apply_in_float32(stream[-1], stream[:-1](features)).unflatten(1, (-1, self.distribution.num_outputs))
            for stream in (self.value, self.advantage)
        )
        return value + advantage - advantage.mean(dim=1, keepdim=True)


class HeadEntry(NamedTuple):
    """A head by its name.

    Attributes:
        distribution: what its outputs say.
        error_functions: what it can be told to learn by, in ``error_function``.
        has_hidden_layer: whether the torso leaves the last hidden layer to the head, as to dueling streams.
    """

    distribution: type[Distribution]
    error_functions: tuple[str, ...]
    has_hidden_layer: bool = False


HEADS: dict[str, HeadEntry] = {
    "linear": HeadEntry(Distribution, ("mse", "huber")),
    "quantile": HeadEntry(QuantileDistribution, ("huber",)),
    "categorical": HeadEntry(CategoricalDistribution, ("cross_entropy",)),
    "implicit_quantile": HeadEntry(ImplicitQuantileDistribution, ("huber",), has_hidden_layer=True),
}
_OWN = frozenset(HEADS)

Kind = TypeVar("Kind", bound=type[Distribution])


def register_head(
    name: str, *, error_functions: tuple[str, ...], has_hidden_layer: bool = False
) -> Callable[[Kind], Kind]:
    """Make a kind of head of a user's own known as ``network.head=<name>``: a decorator of its ``Distribution``.

    Args:
        name: a word.
        error_functions, has_hidden_layer: see ``HeadEntry``.

    Raises:
        ConfigurationError: the name is taken.
    """

    def register(kind: Kind) -> Kind:
        add(name, HeadEntry(kind, error_functions, has_hidden_layer), HEADS, own=_OWN, what="network.head")
        return kind

    return register

"""The Nature network in Stable-Baselines3's layout and in ours: the same numbers at other places.

``CnnPolicy`` convolves frames as they are, and flattens channels first; our torso convolves rows whose neighbours
became channels (:class:`wn_rl.networks.reshaping.WidthToDepth`) and flattens channels last. QR-DQN's output z of action
a is unit z A + a there, and a Z + z here.
"""

from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from wn_rl.networks.q_network import QNetwork
from wn_rl.networks.torsos import NATURE_CONVOLUTIONS

_LAST_CHANNELS = NATURE_CONVOLUTIONS[-1][0]


class PolicyNetwork(NamedTuple):
    """Which of Stable-Baselines3's networks: its algorithm, and what the names of its parameters begin with."""

    algorithm: str
    prefix: str
    output: str

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of its affine layers, from the input to the output."""
        extractor = f"{self.prefix}.features_extractor"
        convolutions = (f"{extractor}.cnn.{number}" for number in (0, 2, 4))
        return (*convolutions, f"{extractor}.linear.0", f"{self.prefix}.{self.output}.0")


POLICY_NETWORKS = {
    "linear": PolicyNetwork("DQN", "q_net", "q_net"),
    "quantile": PolicyNetwork("QRDQN", "quantile_net", "quantile_net"),
}
"""By the name of our head."""


def read_weights(weights: Mapping[str, Tensor], policy: PolicyNetwork, network: QNetwork) -> dict[str, Tensor]:
    """The state of ``network``, a plain Nature network, with the function of a ``CnnPolicy`` of these weights.

    Raises:
        ValueError: they are of another network; it says which are wrong.
    """
    state: dict[str, Tensor] = {}
    for number, (name, layer) in enumerate(_name_layers(network)):
        for kind, ours in layer.named_parameters():
            source = f"{policy.layers[number]}.{kind}"
            value, shape = weights[source], _find_shape(ours, number)
            if value.shape != shape:
                raise ValueError(f"{source} is {list(value.shape)}, and would be {list(shape)} in the Nature network")
            state[f"{name}.{kind}"] = _to_ours(value.float(), number, network.head.distribution.num_outputs)
    return state


def write_weights(network: QNetwork, policy: PolicyNetwork) -> dict[str, Tensor]:
    """The weights of a ``CnnPolicy`` with the function of ``network``, a plain Nature network."""
    return {
        f"{policy.layers[number]}.{kind}": _to_theirs(ours, number, network.head.distribution.num_outputs)
        for number, (_, layer) in enumerate(_name_layers(network))
        for kind, ours in layer.named_parameters()
    }


def _name_layers(network: QNetwork) -> list[tuple[str, nn.Conv2d | nn.Linear]]:
    """The affine layers under their names, from the input to the output."""
    return [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


def _find_shape(ours: Tensor, number: int) -> tuple[int, ...]:
    """The shape that a parameter of layer ``number`` has there."""
    if ours.dim() < 4:
        return tuple(ours.shape)
    _, kernel, stride = NATURE_CONVOLUTIONS[number]
    return ours.shape[0], ours.shape[1] // stride, kernel, kernel


def _to_ours(value: Float[Tensor, "O *I"], number: int, num_outputs: int) -> Float[Tensor, "O *J"]:
    """A parameter of layer ``number``, of theirs, in our layout."""
    if number == len(NATURE_CONVOLUTIONS) + 1:
        return value.unflatten(0, (num_outputs, -1)).transpose(0, 1).flatten(0, 1)  # [Z A, F] to [A Z, F]
    if value.dim() == 4:
        stride = NATURE_CONVOLUTIONS[number][2]
        columns = value.unflatten(3, (-1, stride))  # [O, C, k, k/s, s]
        return columns.permute(0, 4, 1, 2, 3).flatten(1, 2)  # [O, s C, k, k/s]
    if value.dim() == 2:
        return value.unflatten(1, (_LAST_CHANNELS, -1)).transpose(1, 2).flatten(1)  # [U, C P] to [U, P C]
    return value


def _to_theirs(value: Float[Tensor, "O *I"], number: int, num_outputs: int) -> Float[Tensor, "O *J"]:
    """A parameter of our layer ``number`` in their layout."""
    if number == len(NATURE_CONVOLUTIONS) + 1:
        return value.unflatten(0, (-1, num_outputs)).transpose(0, 1).flatten(0, 1)
    if value.dim() == 4:
        columns = value.unflatten(1, (NATURE_CONVOLUTIONS[number][2], -1))  # [O, s, C, k, k/s]
        return columns.permute(0, 2, 3, 4, 1).flatten(3)
    if value.dim() == 2:
        return value.unflatten(1, (-1, _LAST_CHANNELS)).transpose(1, 2).flatten(1)
    return value

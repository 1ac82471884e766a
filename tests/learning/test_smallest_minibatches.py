"""Under every normalizer the smallest minibatch and network that are allowed teach every layer something."""

import pytest
import torch

from wn_rl.networks.q_network import QNetwork, make_q_network
from wn_rl.nn.normalizers import MINIBATCH_NORMALIZERS, NORMALIZERS
from wn_rl.types import ObservationSpec


def make_network(normalizer: str, hidden_units: int, seed: int) -> QNetwork:
    return make_q_network(
        torso="mlp", head="linear", normalizer=normalizer, num_actions=2, stack_size=2,
        observation=ObservationSpec((4, 4), "uint8"), hidden_units=hidden_units,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip


def find_taught(normalizer: str, *, batch_size: int, hidden_units: int) -> set[str]:
    """Parameters that get a gradient from one minibatch or another."""
    generator, taught = torch.Generator().manual_seed(0), set()
    for seed in range(20):  # in some all hidden units are dead
        network = make_network(normalizer, hidden_units, seed)
        frames = torch.randint(256, (batch_size, 2, 4, 4), generator=generator, dtype=torch.uint8)
        (network(frames).q_values * torch.randn(batch_size, 2, generator=generator)).sum().backward()
        taught |= {name for name, weights in network.named_parameters() if weights.grad is not None
                   and weights.grad.abs().max() > 1e-7}  # fmt: skip
    return taught


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_the_smallest_minibatch_teaches_every_layer(normalizer: str) -> None:
    batch_size = 2 if normalizer in MINIBATCH_NORMALIZERS else 1
    hidden_units = 2 if normalizer == "layer_norm" else 1
    parameters = make_network(normalizer, hidden_units, 0).named_parameters()
    every = {name for name, weights in parameters if weights[0].numel() != 1 or weights.dim() == 1}
    taught = find_taught(normalizer, batch_size=batch_size, hidden_units=hidden_units)
    assert taught >= every  # a direction of one dimension, as v of the output layer may be, is what it is


@pytest.mark.parametrize("normalizer", [name for name in MINIBATCH_NORMALIZERS if name != "batch_norm"])
def test_a_single_example_would_teach_the_hidden_layers_nothing(normalizer: str) -> None:
    assert not any("torso" in name and "bias" not in name for name in
                   find_taught(normalizer, batch_size=1, hidden_units=4))  # fmt: skip

"""Small Q-networks and frames for the tests of wn_rl.nn."""

import copy
from functools import cache
from typing import Any

import pytest
import torch

from wn_rl.networks.distributions import HeadSizes
from wn_rl.networks.q_network import QNetwork, make_q_network
from wn_rl.nn.initialization import initialize_from_data
from wn_rl.nn.normalizers import NORMALIZERS, project_weights
from wn_rl.types import ObservationSpec

ALL_NORMALIZERS = sorted(NORMALIZERS)
_EVERY_KIND_OF_STATE = ("none", "batch_norm", "spectral_norm", "weight_norm_mean_only_batch_norm")
NORMALIZERS_OF_A_RUN = [
    name if name in _EVERY_KIND_OF_STATE else pytest.param(name, marks=pytest.mark.slow) for name in ALL_NORMALIZERS
]
"""For tests that train: none, running statistics, singular vectors, g and v always, the others if asked for."""
HEADS: dict[str, dict[str, Any]] = {
    "linear": {"head": "linear"},
    "dueling": {"head": "linear", "dueling": True},
    "quantile": {"head": "quantile"},
    "dueling_quantile": {"head": "quantile", "dueling": True},
    "categorical": {"head": "categorical"},
    "dueling_categorical": {"head": "categorical", "dueling": True},
    "implicit_quantile": {"head": "implicit_quantile"},
    "dueling_implicit_quantile": {"head": "implicit_quantile", "dueling": True},
    "noisy": {"head": "linear", "noisy": True},
    "noisy_dueling_categorical": {"head": "categorical", "dueling": True, "noisy": True},
    "noisy_implicit_quantile": {"head": "implicit_quantile", "noisy": True},
}
"""What ``make_q_network`` is told for a head that a test calls so."""
EVERY_KIND_OF_HEAD = ("linear", "dueling_quantile", "noisy_dueling_categorical", "noisy_implicit_quantile")
"""Each part in one of them at least, for tests of every normalizer."""
_EVERY_KIND_OF_DRAW = ("noisy_dueling_categorical", "noisy_implicit_quantile")
HEADS_OF_A_RUN = [name if name in _EVERY_KIND_OF_DRAW else pytest.param(name, marks=pytest.mark.slow) for name in HEADS]
"""For tests that train: every kind of head and of chance always, the others if asked for."""
SIZES = HeadSizes(
    num_quantiles=32, num_atoms=11, v_min=-5.0, v_max=4.0, num_taus=6, num_target_taus=5, num_acting_taus=4,
    num_cosines=7,
)  # fmt: skip
FRAME_SHAPE = (37, 44)  # not square; 1 x 2 positions are left after the Nature convolutions


def make_generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_network(
    normalizer: str, *, torso: str = "nature", head: str = "linear", hidden_units: int = 24, seed: int = 0,
    center_pixels: bool = False,
) -> QNetwork:  # fmt: skip
    return make_q_network(
        torso=torso,
        **HEADS[head],
        normalizer=normalizer,
        num_actions=5,
        stack_size=3,
        observation=ObservationSpec(FRAME_SHAPE, "uint8"),
        hidden_units=hidden_units,
        generator=make_generator(seed),
        center_pixels=center_pixels,
        sizes=SIZES,
    )


def draw_frames(batch_size: int = 16, *, seed: int = 1) -> torch.Tensor:
    """Frames of large and small structures, so that no unit is constant."""
    generator = make_generator(seed)
    coarse = torch.rand(batch_size, 3, 5, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=FRAME_SHAPE, mode="bilinear")
    noise = torch.rand(batch_size, 3, *FRAME_SHAPE, generator=generator)
    return (200 * smooth + 55 * noise).to(torch.uint8)


def make_trained(normalizer: str, *, head: str = "linear") -> QNetwork:
    """Initialized from frames and trained for a few steps on random targets: no statistic and no sign is trivial."""
    return copy.deepcopy(_train(normalizer, head))


@cache  # hundreds of tests ask for the same few
def _train(normalizer: str, head: str) -> QNetwork:
    network = make_network(normalizer, head=head)
    initialize_from_data(network, draw_frames(), generator=make_generator(2))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for update in range(3):
        targets = torch.randn(16, 5, generator=make_generator(10 + update))
        optimizer.zero_grad()
        (network(draw_frames(seed=20 + update)).q_values - targets).square().mean().backward()
        optimizer.step()
        project_weights(network)
    network.zero_grad()
    return network

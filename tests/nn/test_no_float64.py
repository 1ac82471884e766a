"""Nothing of the library makes float64 tensors on a device that has none, and what it computes is on that device."""

import pytest
import torch
from torch import nn

from tests.helpers.networks import ALL_NORMALIZERS
from tests.helpers.no_float64 import DEVICE, without_float64
from wn_rl.nn import initialize_from_data, make_folded, make_normalizer, weight_normalize
from wn_rl.nn.statistics import compute_activation_statistics, compute_weight_statistics, name_layers
from wn_rl.paper.masked_linear import MaskedLinear


def test_the_stand_in_refuses_float64_and_two_devices() -> None:
    t = torch.zeros(3, device=DEVICE)
    with without_float64():
        with pytest.raises(TypeError, match="no float64"):
            t.double()
        with pytest.raises(RuntimeError, match="two devices"):
            t + torch.zeros(3)
        assert t.cpu().device.type == "cpu"


@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_a_network_is_initialized_folded_and_watched(normalizer: str) -> None:
    make = make_normalizer(normalizer)
    network = nn.Sequential(
        make(nn.Conv2d(3, 4, 3), is_output=False), nn.ReLU(), nn.Flatten(),
        make(nn.Linear(4 * 5 * 2, 7), is_output=False), nn.ReLU(), make(nn.Linear(7, 2), is_output=True),
    ).to(DEVICE)  # fmt: skip
    frames = torch.zeros(6, 3, 7, 4, device=DEVICE)
    with without_float64():
        initialize_from_data(network, frames, generator=torch.Generator())
        folded = make_folded(network).eval()
        for layer in name_layers(network).values():
            compute_weight_statistics(layer)
        statistics = compute_activation_statistics(folded, frames, dormant_threshold=0.1, rank_threshold=0.01)
    assert {value.device.type for value in statistics.values()} == {DEVICE}


@pytest.mark.parametrize("is_normalized", [False, True])
def test_a_recurrent_layer_is_initialized(is_normalized: bool) -> None:
    layer = nn.LSTM(3, 5, num_layers=2, bidirectional=True)
    layer = (weight_normalize(layer) if is_normalized else layer).to(DEVICE)
    with without_float64():
        initialize_from_data(layer, torch.zeros(4, 2, 3, device=DEVICE), generator=torch.Generator())


@pytest.mark.parametrize("normalizer", ["none", "weight_norm"])
def test_a_masked_layer_is_initialized(normalizer: str) -> None:
    layer = MaskedLinear(torch.ones(5, 3, dtype=torch.bool), normalizer=normalizer).to(DEVICE)
    with without_float64():
        layer.initialize_(torch.zeros(4, 3, device=DEVICE), torch.Generator())

"""Do the statistics of weights and units say what they are named after?"""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers.networks import ALL_NORMALIZERS, draw_frames, make_network, make_trained
from wn_rl.nn.folding import make_folded
from wn_rl.nn.statistics import (
    NORM_EXPONENTS,
    compute_activation_statistics,
    compute_dormant,
    compute_effective_learning_rate,
    compute_effective_rank,
    compute_update_angle,
    compute_weight_statistics,
    find_weight_units,
    name_layers,
)
from wn_rl.nn.weight_norm_layers import WeightNormConvTranspose2d, WeightNormLinear

NATURE = ["conv1", "conv2", "conv3", "linear", "output"]


def make_weight_norm_layer() -> WeightNormLinear:
    layer = WeightNormLinear(2, 3, bias=False)
    with torch.no_grad():
        layer.v.copy_(torch.tensor([[3.0, 4.0], [0.0, 2.0], [6.0, 8.0]]))
        layer.g.copy_(torch.tensor([1.0, -7.0, 2.0]))
    return layer


@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_layers_have_the_same_names_with_every_normalizer_and_folded(normalizer: str) -> None:
    network = make_network(normalizer)
    assert list(name_layers(network)) == NATURE
    assert list(name_layers(make_folded(network))) == NATURE


def test_the_streams_of_a_dueling_head_have_names() -> None:
    network = make_network("weight_norm", torso="mlp", head="dueling")
    assert list(name_layers(network)) == ["linear", "value1", "value2", "advantage1", "advantage2"]


def test_norms_of_a_weight_normalized_layer_are_of_v_and_of_w() -> None:
    layer = make_weight_norm_layer()
    layer.v.grad, layer.g.grad = torch.full((3, 2), 2.0), torch.tensor([1.0, 2.0, -2.0])
    statistics = {name: value.item() for name, value in compute_weight_statistics(layer).items()}
    assert statistics == {
        "v_norm_mean": pytest.approx((5 + 2 + 10) / 3), "v_norm_max": 10.0, "g_mean": pytest.approx(-4 / 3),
        "w_norm_mean": pytest.approx(10 / 3), "w_norm_max": 7.0,
        "gradient_norm": pytest.approx(math.sqrt(24)), "g_gradient_norm": 3.0,
    }  # fmt: skip


def test_norms_of_a_plain_layer_are_of_w_and_need_no_gradient() -> None:
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0], [5.0, 12.0]]))
    statistics = {name: value.item() for name, value in compute_weight_statistics(layer).items()}
    assert statistics == {"w_norm_mean": 9.0, "w_norm_max": 13.0}


@pytest.mark.parametrize("layer", [nn.ConvTranspose2d(4, 6, 3, groups=2), WeightNormConvTranspose2d(4, 6, 3, groups=2)])
def test_a_transposed_convolution_has_a_norm_for_every_output_unit(layer: nn.Module) -> None:
    assert find_weight_units(layer).units.shape == (6, 2, 3, 3)


def test_effective_learning_rate_falls_with_the_norm_and_survives_a_zero_unit() -> None:
    units = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 2.0]])
    sgd = compute_effective_learning_rate(units, learning_rate=0.3, norm_exponent=2)
    adam = compute_effective_learning_rate(units, learning_rate=0.3, norm_exponent=1)
    assert sgd.item() == pytest.approx(0.3 * (1 / 25 + 0 + 1 / 4) / 3)
    assert adam.item() == pytest.approx(0.3 * (1 / 5 + 0 + 1 / 2) / 3)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.Adamax, torch.optim.RMSprop])
def test_a_direction_turns_as_its_effective_learning_rate_says(optimizer: type[torch.optim.Optimizer]) -> None:
    """The claim behind the name: longer v, same function, smaller turns, by 1/‖v‖² or 1/‖v‖."""
    angles = []
    for length in (1.0, 3.0):
        layer, x = make_weight_norm_layer(), torch.tensor([[0.3, -0.8]])
        with torch.no_grad():
            layer.v.mul_(length / layer.v.norm(dim=1, keepdim=True))
        before = layer.v.detach().clone()
        layer(x).square().sum().backward()
        optimizer([layer.v], lr=1e-4).step()
        angles.append(compute_update_angle(before, layer.v.detach()).item())
    assert angles[0] / angles[1] == pytest.approx(3 ** NORM_EXPONENTS[optimizer], rel=1e-3)


def test_update_angle_is_the_angle_between_before_and_after() -> None:
    before = torch.tensor([[2.0, 0.0], [0.0, 5.0], [1.0, 1.0]])
    after = torch.tensor([[2 * math.cos(1e-5), 2 * math.sin(1e-5)], [3.0, 0.0], [4.0, 4.0]])
    expected = (1e-5 + math.pi / 2 + 0) / 3
    assert compute_update_angle(before, after).item() == pytest.approx(expected, rel=1e-6)
    assert compute_update_angle(before[:1], after[:1]).item() == pytest.approx(1e-5, rel=1e-3)


def test_dormant_units_are_silent_beside_their_layer() -> None:
    activations = torch.tensor([[[4.0, 0.0], [0.2, 0.0], [0.0, 0.0]], [[8.0, 4.0], [0.0, 0.0], [0.0, 0.0]]])  # B O W
    # mean activities 4, 0.05, 0: their mean is 1.35, and s = 2.96, 0.037, 0
    assert compute_dormant(activations, threshold=0.025).tolist() == [0, 0, 1]
    assert compute_dormant(activations, threshold=0.04).tolist() == [0, 1, 1]
    assert compute_dormant(torch.zeros(2, 3), threshold=0.0).tolist() == [1, 1, 1]


@pytest.mark.parametrize("shape", [(40, 9), (9, 40)])
def test_effective_rank_is_srank_of_the_singular_values(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=shape) * 3.0 ** -np.arange(shape[1])
    sigma = np.linalg.svd(features, compute_uv=False)
    expected = next(k for k in range(1, 10) if sigma[:k].sum() >= 0.99 * sigma.sum())
    assert compute_effective_rank(torch.from_numpy(features).float(), threshold=0.01).item() == expected
    assert 1 < expected < 9
    assert compute_effective_rank(torch.zeros(shape), threshold=0.01).item() == 0


@pytest.mark.parametrize("normalizer", ["none", "weight_norm_mean_only_batch_norm", "layer_norm"])
def test_units_are_those_behind_the_relus(normalizer: str) -> None:
    network, frames = make_folded(make_trained(normalizer)), draw_frames(seed=5)
    names = list(name_layers(network))
    with torch.no_grad():
        list(name_layers(network).values())[1].bias[:16] = -1e6  # 16 of conv2's 64 units never fire
    statistics = compute_activation_statistics(network, frames, dormant_threshold=0.0, rank_threshold=0.01)
    assert set(statistics) == {"dormant_share", "linear/effective_rank", *(f"{n}/dormant_share" for n in names[:-1])}
    if normalizer != "layer_norm":
        assert 0.25 <= statistics["conv2/dormant_share"].item() < 0.9
        with torch.no_grad():
            features = network.compute_features(frames)
        expected = compute_effective_rank(features, threshold=0.01)
        assert statistics["linear/effective_rank"].item() == expected.item()
    assert not any(module._forward_hooks for module in network.modules())

"""Noisy layers: the noise by its definition, its generator, what is folded, and what a normalizer normalizes."""

import copy

import pytest
import torch
from torch import nn

from tests.helpers.networks import ALL_NORMALIZERS, draw_frames, make_generator, make_network
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.nn.folding import make_folded
from wn_rl.nn.initialization import scale_
from wn_rl.nn.noisy_linear import NoisyLinear, make_noisy, resample_noise_
from wn_rl.nn.normalizers import make_normalizer
from wn_rl.nn.optimizer_groups import make_parameter_groups
from wn_rl.nn.weight_norm_layers import WeightNormLinear


def make_layer(normalizer: str = "weight_norm") -> NoisyLinear:
    torch.manual_seed(0)
    layer = make_noisy(make_normalizer(normalizer))(nn.Linear(5, 3), is_output=True)
    assert isinstance(layer, NoisyLinear)
    with torch.no_grad():
        layer.std_weight.add_(0.1 * torch.randn(3, 5))
        layer.std_bias.add_(0.1 * torch.randn(3))
    return layer


@pytest.mark.parametrize("normalizer", ["none", "weight_norm"])
def test_the_noise_is_an_outer_product_times_sigma(normalizer: str) -> None:
    layer = make_layer(normalizer)
    resample_noise_(make_generator(3), layer)
    drawn = torch.randn(5 + 3, generator=make_generator(3))
    factors = [float(torch.tensor(e).sign()) * abs(e) ** 0.5 for e in drawn.tolist()]
    mean, x = layer.layer, torch.randn(4, 5)
    weight, bias = mean.weight.detach().clone(), mean.bias.detach().clone()
    for o in range(3):
        bias[o] += layer.std_bias[o].detach() * factors[5 + o]
        for i in range(5):
            weight[o, i] += layer.std_weight[o, i].detach() * factors[5 + o] * factors[i]
    torch.testing.assert_close(layer(x), nn.functional.linear(x, weight, bias))


def test_sigma_is_half_over_the_root_of_the_inputs_at_first() -> None:
    layer = make_noisy(make_normalizer("none"))(nn.Linear(16, 3), is_output=False)
    torch.testing.assert_close(layer.std_weight.detach(), torch.full((3, 16), 0.125))
    torch.testing.assert_close(layer.std_bias.detach(), torch.full((3,), 0.125))


def test_the_mean_is_normalized_and_the_deviation_is_not() -> None:
    layer = make_layer()
    assert isinstance(layer.layer, WeightNormLinear)
    names = {name for name, _ in layer.named_parameters()}
    assert names == {"layer.v", "layer.g", "layer.bias", "std_weight", "std_bias"}
    (group,) = make_parameter_groups(layer, weight_decay=0.1)
    assert group["weight_decay"] == 0  # it would take away exploration


def test_copies_get_the_same_noise_each_layer_its_own_and_no_global_stream_is_touched() -> None:
    network = make_network("weight_norm", head="noisy_dueling_categorical")
    copy_of_it = FoldedNetwork(network, dtype=torch.float32)
    state = torch.get_rng_state()
    resample_noise_(make_generator(5), network, copy_of_it)
    assert torch.get_rng_state().equal(state)
    ours, theirs = ([m for m in n.modules() if isinstance(m, NoisyLinear)] for n in (network, copy_of_it))
    assert len(ours) == len(theirs) == 4
    for one, other in zip(ours, theirs, strict=True):
        assert one.input_noise.equal(other.input_noise)
        assert one.output_noise.equal(other.output_noise)
        assert one.output_noise.ne(0).all()
    numbers = torch.cat([noise for layer in ours for noise in (layer.input_noise, layer.output_noise)])
    assert len(numbers.unique()) == len(numbers)


def test_a_network_without_noise_draws_nothing() -> None:
    generator = make_generator(5)
    resample_noise_(generator, make_network("weight_norm"))
    assert generator.get_state().equal(make_generator(5).get_state())


def resampled(normalizer: str, head: str = "noisy_implicit_quantile") -> nn.Module:
    network = make_network(normalizer, head=head)
    network.initialize_from_data(draw_frames(), 1.0, make_generator(2))
    resample_noise_(make_generator(5), network)
    return network.eval()


@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_folding_for_evaluation_takes_the_noise_away(normalizer: str) -> None:
    network = resampled(normalizer)
    silent = copy.deepcopy(network)
    for layer in silent.modules():
        if isinstance(layer, NoisyLinear):
            layer.output_noise.zero_()
    folded = make_folded(network)
    assert not any(isinstance(module, NoisyLinear) for module in folded.modules())
    expected = silent(draw_frames()).q_values
    torch.testing.assert_close(folded(draw_frames()).q_values, expected, rtol=1e-4, atol=1e-5)
    assert (network(draw_frames()).q_values - expected).abs().max() > 0.05
    left = normalizer if normalizer == "layer_norm" else "none"
    plain = make_network(left, head="implicit_quantile", seed=7).eval()
    plain.load_state_dict(folded.state_dict())  # as a saved agent's weights are


@pytest.mark.parametrize("normalizer", ["weight_norm", "none", "layer_norm"])
def test_what_acts_keeps_noise_and_is_as_the_network_is(normalizer: str) -> None:
    network = resampled(normalizer)
    acting = FoldedNetwork(network, dtype=torch.float32)
    torch.testing.assert_close(acting(draw_frames()), network(draw_frames()).q_values, rtol=1e-4, atol=1e-5)
    resample_noise_(make_generator(6), acting)
    assert (acting(draw_frames()) - network(draw_frames()).q_values).abs().max() > 0.05
    acting.expire()
    acting.sync(network)
    torch.testing.assert_close(acting(draw_frames()), network(draw_frames()).q_values, rtol=1e-4, atol=1e-5)


def test_scaling_an_output_layer_scales_its_noise() -> None:
    layer = make_layer()
    resample_noise_(make_generator(3), layer)
    x = torch.randn(4, 5)
    before = layer(x)
    scale_(layer, 0.25)
    torch.testing.assert_close(layer(x), 0.25 * before)

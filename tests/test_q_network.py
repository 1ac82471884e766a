"""Q-networks by name: shapes, the papers' sizes, the dueling equation, and errors for what cannot be built."""

import copy

import pytest
import torch

from tests.networks import ALL_NORMALIZERS, draw_frames, make_network
from wn_rl.errors import ConfigurationError
from wn_rl.nn.q_network import make_q_network
from wn_rl.types import QOutput

ATARI = {"num_actions": 6, "stack_size": 4, "frame_shape": (84, 84), "hidden_units": 512, "generator": None}


def count_parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("torso", ["nature", "mlp"])
@pytest.mark.parametrize("head", ["linear", "dueling"])
@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_every_combination_maps_stacks_of_frames_to_one_value_per_action_and_learns(torso, head, normalizer):
    network = make_network(normalizer, torso=torso, head=head)
    output = network(draw_frames(4))
    assert isinstance(output, QOutput)
    assert output.q_values.shape == (4, 5)
    assert output.q_values.dtype == torch.float32
    output.q_values.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_nature_network_has_the_size_of_mnih_et_al_2015():
    network = make_q_network(torso="nature", head="linear", normalizer="none", **ATARI)
    convolutions = (4 * 64 + 1) * 32 + (32 * 16 + 1) * 64 + (64 * 9 + 1) * 64
    assert count_parameters(network) == convolutions + (3136 + 1) * 512 + (512 + 1) * 6


def test_dueling_network_has_a_hidden_layer_in_each_stream_as_wang_et_al_2016():
    network = make_q_network(torso="nature", head="dueling", normalizer="none", **ATARI)
    convolutions = (4 * 64 + 1) * 32 + (32 * 16 + 1) * 64 + (64 * 9 + 1) * 64
    assert count_parameters(network) == convolutions + 2 * (3136 + 1) * 512 + (512 + 1) * (6 + 1)


def test_weight_norm_adds_one_g_per_unit():
    plain = make_q_network(torso="nature", head="linear", normalizer="none", **ATARI)
    normalized = make_q_network(torso="nature", head="linear", normalizer="weight_norm", **ATARI)
    assert count_parameters(normalized) == count_parameters(plain) + 32 + 64 + 64 + 512 + 6


def test_dueling_values_are_value_plus_advantage_less_its_mean():
    network = make_network("none", head="dueling")
    features = network.compute_features(draw_frames(4))
    value, advantage = network.head.value(features), network.head.advantage(features)
    q_values = network(draw_frames(4)).q_values
    for action in range(5):
        expected = value[:, 0] + advantage[:, action] - advantage.sum(1) / 5
        torch.testing.assert_close(q_values[:, action], expected)
    torch.testing.assert_close(q_values.mean(1), value[:, 0])


def test_pixels_are_scaled_by_one_over_255():
    network = make_network("none")
    frames = draw_frames(4)
    by_hand = network.head(network.torso.layers[1:](frames.double().div(255).float())).q_values
    torch.testing.assert_close(network(frames).q_values, by_hand)


def test_features_are_the_last_hidden_layer():
    features = make_network("weight_norm", hidden_units=24).compute_features(draw_frames(4))
    assert features.shape == (4, 24)
    assert features.min() >= 0


@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_same_generator_gives_the_same_function_whatever_the_normalizer_and_the_global_generator(normalizer):
    torch.manual_seed(1)
    first = make_network(normalizer, seed=3)
    torch.manual_seed(2)
    second = make_network(normalizer, seed=3)
    assert all(tensor.equal(second.state_dict()[name]) for name, tensor in first.state_dict().items())
    if normalizer in {"weight_norm", "weight_norm_projected_v", "projection"}:
        torch.testing.assert_close(first(draw_frames()).q_values, make_network("none", seed=3)(draw_frames()).q_values)


def test_plain_parameters_follow_pytorchs_distribution():
    layer = make_network("none", hidden_units=400).torso.layers[8]
    bound = layer.in_features**-0.5
    reference = torch.nn.Linear(layer.in_features, layer.out_features)
    assert layer.weight.abs().max() <= bound
    torch.testing.assert_close(layer.weight.std(), reference.weight.std(), rtol=0.02, atol=0)
    assert layer.bias.abs().max() <= bound


@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_channels_last_and_copies_change_no_output(normalizer):
    network = make_network(normalizer).eval()
    expected = network(draw_frames()).q_values
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(draw_frames()).q_values, expected, rtol=1e-4, atol=1e-5)
    other = make_network(normalizer, seed=8).eval()
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(other(draw_frames()).q_values, expected)


@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_autocast_computes_nearly_the_same_values_in_float32_outputs(normalizer):
    network = make_network(normalizer).eval()
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(draw_frames()).q_values
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, network(draw_frames()).q_values, rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"torso": "natur"}, r"torso='natur' is unknown; did you mean 'nature'\? known: mlp, nature"),
        ({"head": "duel"}, r"head='duel' is unknown; did you mean 'dueling'\? known: dueling, linear"),
        ({"normalizer": "batchnorm"}, "normalizer='batchnorm' is unknown"),
        ({"frame_shape": (30, 84)}, "too small for torso='nature'.*torso='mlp'"),
    ],
)
def test_what_cannot_be_built_is_one_line_that_says_what_to_do(options, message):
    settings = {"torso": "nature", "head": "linear", "normalizer": "none", **ATARI, **options}
    with pytest.raises(ConfigurationError, match=message) as caught:
        make_q_network(**settings)
    assert "\n" not in str(caught.value)


def test_smallest_frames_of_the_nature_torso_are_36_by_36():
    settings = {"torso": "nature", "head": "linear", "normalizer": "none", **ATARI}
    make_q_network(**settings | {"frame_shape": (36, 36)})
    with pytest.raises(ConfigurationError):
        make_q_network(**settings | {"frame_shape": (35, 36)})

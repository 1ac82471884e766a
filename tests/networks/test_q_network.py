"""Q-networks by name: shapes, the papers' sizes, the dueling equation, and errors for what cannot be built."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.helpers.networks import ALL_NORMALIZERS, EVERY_KIND_OF_HEAD, SIZES, draw_frames, make_network
from wn_rl.envs.atari import OBSERVATION
from wn_rl.errors import ConfigurationError
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.networks.q_network import make_q_network
from wn_rl.nn.noisy_linear import NoisyLinear
from wn_rl.nn.normalizers import project_weights
from wn_rl.types import ObservationSpec, QOutput

ATARI = {"num_actions": 6, "stack_size": 4, "observation": OBSERVATION, "hidden_units": 512, "generator": None}


def count_parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("torso", ["nature", "small", "mlp"])
@pytest.mark.parametrize("head", EVERY_KIND_OF_HEAD)
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


def test_small_network_has_the_size_of_mnih_et_al_2013():
    network = make_q_network(torso="small", head="linear", normalizer="none", **{**ATARI, "hidden_units": 256})
    convolutions = (4 * 64 + 1) * 16 + (16 * 16 + 1) * 32
    assert count_parameters(network) == convolutions + (32 * 81 + 1) * 256 + (256 + 1) * 6


def canonical_kernel(conv, stride):
    """The k x k kernel of a convolution on WidthToDepth: [O, dx C + c, y, x] becomes [O, c, y, s x + dx]."""
    out_channels, depth, height, width = conv.weight.shape
    split = conv.weight.view(out_channels, stride, depth // stride, height, width)
    return split.permute(0, 2, 3, 4, 1).reshape(out_channels, depth // stride, height, width * stride)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("torso", "strides"), [("nature", [4, 2, 1]), ("small", [4, 2])])
def test_strided_convolutions_are_those_of_the_papers(torso, strides, memory_format):
    network = make_network("none", torso=torso).double()
    frames = draw_frames(4)
    x = frames.double() / 255
    for conv, stride in zip([m for m in network.modules() if isinstance(m, nn.Conv2d)], strides, strict=True):
        x = nn.functional.conv2d(x, canonical_kernel(conv, stride), conv.bias, stride).relu()
    hidden = next(module for module in network.torso.modules() if isinstance(module, nn.Linear))
    by_hand = hidden(x.permute(0, 2, 3, 1).flatten(1)).relu()
    features = network.compute_features(frames.to(memory_format=memory_format))
    torch.testing.assert_close(features, by_hand)


@pytest.mark.parametrize("head", EVERY_KIND_OF_HEAD)
@pytest.mark.parametrize("normalizer", ["none", "weight_norm", "weight_norm_projected_v", "projection", "batch_norm"])
def test_first_q_values_on_real_frames_have_mean_zero_and_the_std_asked_for(normalizer, head):
    networks = [make_network(normalizer, head=head) for _ in range(2)]
    for network, std in zip(networks, (1.0, 0.05), strict=True):
        network.initialize_from_data(draw_frames(), std, torch.Generator().manual_seed(4))
        project_weights(network)  # a projection returns to the scaled norms
    outputs = [network.eval()(draw_frames()) for network in networks]
    wide, narrow = (output.q_values if output.logits is None else output.logits for output in outputs)
    torch.testing.assert_close(narrow, 0.05 * wide, rtol=1e-4, atol=1e-5)
    if head == "linear":
        torch.testing.assert_close(narrow.std(0, correction=0), torch.full((5,), 0.05), rtol=1e-3, atol=0)
        torch.testing.assert_close(narrow.mean(0), torch.zeros(5), rtol=0, atol=1e-4)


def test_dueling_network_has_a_hidden_layer_in_each_stream_as_wang_et_al_2016():
    network = make_q_network(torso="nature", head="linear", dueling=True, normalizer="none", **ATARI)
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


def test_quantiles_lie_together_per_action_and_their_mean_is_the_value():
    network = make_network("none", head="quantile")
    outputs = network.head.output(network.compute_features(draw_frames(4)))
    output = network(draw_frames(4))
    assert outputs.shape == (4, 5 * 32)
    for action in range(5):
        of_action = outputs[:, action * 32 : (action + 1) * 32]
        torch.testing.assert_close(output.quantiles[:, action], of_action)
        torch.testing.assert_close(output.q_values[:, action], of_action.sum(1) / 32)


def test_every_dueling_quantile_is_value_plus_advantage_less_its_mean():
    network = make_network("none", head="dueling_quantile")
    features = network.compute_features(draw_frames(4))
    value, advantage = network.head.value(features), network.head.advantage(features)
    output = network(draw_frames(4))
    assert value.shape == (4, 32)
    for quantile in range(32):
        of_quantile = advantage[:, quantile::32]
        expected = value[:, [quantile]] + of_quantile - of_quantile.sum(1, keepdim=True) / 5
        torch.testing.assert_close(output.quantiles[:, :, quantile], expected)
    torch.testing.assert_close(output.q_values, output.quantiles.sum(2) / 32)


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize(
    ("head", "sizes", "shape"),
    [
        ("quantile", {"num_quantiles": 7}, (2, 6, 7)),
        ("categorical", {"num_atoms": 9}, (2, 6, 9)),
        ("implicit_quantile", {"num_acting_taus": 5}, (2, 6, 5)),
    ],
)
def test_a_head_has_as_many_quantiles_and_atoms_as_are_asked_for(head, sizes, shape, dueling):
    network = make_q_network(
        torso="mlp", head=head, dueling=dueling, normalizer="none", sizes=replace(SIZES, **sizes), **ATARI
    )
    output = network(torch.zeros(2, 4, 84, 84, dtype=torch.uint8))
    assert (output.logits if head == "categorical" else output.quantiles).shape == shape


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
    layer = make_network("none", hidden_units=400).torso.layers[11]
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


@pytest.mark.parametrize("head", ["linear", "dueling_quantile", "noisy_implicit_quantile"])
@pytest.mark.parametrize("is_folded", [True, False])
def test_values_differ_by_less_than_bfloat16_can_tell(head, is_folded):
    """Around 100 bfloat16 goes by halves."""
    network = make_network("weight_norm", head=head).eval()

    def compute() -> torch.Tensor:
        acting = FoldedNetwork(network, dtype=torch.bfloat16) if is_folded else network
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=not is_folded):
            return acting(draw_frames()) if is_folded else acting(draw_frames()).q_values

    output_layer = network.head.output_layers[0]
    bias = (output_layer.layer if isinstance(output_layer, NoisyLinear) else output_layer).bias
    with torch.no_grad():
        bias += 100
    before = compute()
    with torch.no_grad():
        bias += 0.01
    torch.testing.assert_close(compute() - before, torch.full_like(before, 0.01), rtol=0.01, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"torso": "natur"},
            r"torso='natur' is unknown; did you mean 'nature'\? known: impala, impala_small",
        ),
        (
            {"head": "duel"},
            r"head='duel' is unknown; .*known: categorical, implicit_quantile, linear, quantile",
        ),
        ({"normalizer": "batchnorm"}, "normalizer='batchnorm' is unknown"),
        ({"observation": ObservationSpec((30, 84), "uint8")}, "too small .*torso='nature' needs 36 x 36.*torso='mlp'"),
    ],
)
def test_what_cannot_be_built_is_one_line_that_says_what_to_do(options, message):
    settings = {"torso": "nature", "head": "linear", "normalizer": "none", **ATARI, **options}
    with pytest.raises(ConfigurationError, match=message) as caught:
        make_q_network(**settings)
    assert "\n" not in str(caught.value)


def test_smallest_frames_of_the_nature_torso_are_36_by_36():
    settings = {"torso": "nature", "head": "linear", "normalizer": "none", **ATARI}
    make_q_network(**settings | {"observation": ObservationSpec((36, 36), "uint8")})
    with pytest.raises(ConfigurationError):
        make_q_network(**settings | {"observation": ObservationSpec((35, 36), "uint8")})

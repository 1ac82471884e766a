"""Data-dependent initialization: every pre-activation has mean 0 and variance 1, in every network alike."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from tests.networks import ALL_NORMALIZERS, draw_frames, make_generator, make_network
from wn_rl.errors import ConfigurationError
from wn_rl.nn.conversion import weight_normalize
from wn_rl.nn.initialization import initialize_from_data
from wn_rl.nn.normalizers import after_update

# Layer norm divides by statistics of its own, which come after the initialized layers.
WITHOUT_LAYER_NORM = [name for name in ALL_NORMALIZERS if name != "layer_norm"]


def affine_outputs(network, observations):
    """The inputs of all ReLUs, and the Q-values, in evaluation mode."""
    outputs = []
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: outputs.append(inputs[0].detach().clone()))
        for module in network.modules()
        if isinstance(module, nn.ReLU)
    ]
    q_values = network.eval()(observations).q_values
    for hook in hooks:
        hook.remove()
    return [*outputs, q_values.detach()]


def initialized(normalizer, **options):
    network = make_network(normalizer, **options)
    initialize_from_data(network, draw_frames(), generator=make_generator(2))
    return network


@pytest.mark.parametrize("head", ["linear", "dueling"])
@pytest.mark.parametrize("normalizer", [name for name in WITHOUT_LAYER_NORM if name != "spectral_norm"])
def test_every_unit_has_mean_zero_and_variance_one_before_its_relu(normalizer, head):
    network = initialized(normalizer, head=head)
    *pre_activations, q_values = affine_outputs(network, draw_frames())
    assert len(pre_activations) == {"linear": 4, "dueling": 5}[head]
    for t in [*pre_activations, q_values] if head == "linear" else pre_activations:
        units = t.movedim(1, 0).flatten(1)
        torch.testing.assert_close(units.mean(1), torch.zeros(len(units)), rtol=0, atol=1e-4)
        torch.testing.assert_close(units.std(1, correction=0), torch.ones(len(units)), rtol=1e-3, atol=1e-3)


def test_spectral_norm_gets_mean_zero_and_keeps_the_scale_that_it_fixes():
    *pre_activations, _ = affine_outputs(initialized("spectral_norm"), draw_frames())
    for t in pre_activations:
        units = t.movedim(1, 0).flatten(1)
        torch.testing.assert_close(units.mean(1), torch.zeros(len(units)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("normalizer", [name for name in WITHOUT_LAYER_NORM if name != "spectral_norm"])
def test_networks_that_differ_in_their_normalizer_alone_start_from_the_same_function(normalizer):
    torch.testing.assert_close(
        initialized(normalizer).eval()(draw_frames(seed=5)).q_values,
        initialized("none").eval()(draw_frames(seed=5)).q_values,
        rtol=1e-3,
        atol=1e-3,
    )


def test_g_and_bias_are_those_of_equation_6_for_one_layer():
    layer = weight_normalize(nn.Linear(4, 3))
    x = torch.randn(50, 4, generator=make_generator(3)) * 5 + 2
    initialize_from_data(layer, x, generator=make_generator(4))
    v = 0.05 * torch.randn(3, 4, generator=make_generator(4))
    t = torch.stack([(x @ row) / row.pow(2).sum().sqrt() for row in v], dim=1)
    torch.testing.assert_close(layer.v.detach(), v)
    torch.testing.assert_close(layer.g.detach(), 1 / t.std(0, correction=0))
    torch.testing.assert_close(layer.bias.detach(), -t.mean(0) / t.std(0, correction=0))


def test_v_has_a_deviation_of_one_twentieth():
    network = initialized("weight_norm", hidden_units=400)
    assert abs(network.torso.layers[11].v.std().item() - 0.05) < 5e-4


def test_later_layers_see_the_normalized_outputs_of_earlier_ones():
    network = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 4))
    x = 100 + 10 * torch.randn(40, 3, generator=make_generator(5))
    initialize_from_data(network, x, generator=make_generator(6))
    second_inputs = network[:2](x)
    assert second_inputs.std() < 2  # 10 times that if the first layer had not been initialized before
    torch.testing.assert_close(network(x).std(0, correction=0), torch.ones(4))


@pytest.mark.parametrize("normalizer", ["none", "weight_norm", "batch_norm"])
def test_same_generator_gives_the_same_network_whatever_the_global_one_is(normalizer):
    torch.manual_seed(1)
    first = initialized(normalizer, seed=0)
    torch.manual_seed(2)
    torch.rand(3)
    second = initialized(normalizer, seed=7)  # other parameters before
    for name, tensor in first.state_dict().items():
        assert tensor.equal(second.state_dict()[name]), name


@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_constant_units_get_finite_values(normalizer):
    network = make_network(normalizer)
    black = torch.zeros(4, 3, 37, 44, dtype=torch.uint8)
    initialize_from_data(network, black, generator=make_generator(2))
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())
    assert network.eval()(black).q_values.isfinite().all()
    assert network(draw_frames()).q_values.abs().max() < 1e4


def test_unit_that_is_constant_keeps_length_one():
    layer = weight_normalize(nn.Linear(3, 2))
    initialize_from_data(layer, torch.full((8, 3), 7.0), generator=make_generator(0))
    torch.testing.assert_close(layer.g.detach(), torch.ones(2))
    torch.testing.assert_close(layer(torch.full((1, 3), 7.0)), torch.zeros(1, 2), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [nn.Conv1d(4, 6, 3, groups=2), nn.ConvTranspose1d(4, 6, 3, groups=2, stride=2), nn.Conv1d(4, 6, 2, bias=False)],
)
def test_plain_and_weight_normalized_layers_of_any_kind_start_alike(layer):
    x = torch.randn(6, 4, 9, generator=make_generator(1)) + 1
    normalized = weight_normalize(layer)
    for one in (layer, normalized):
        initialize_from_data(one, x, generator=make_generator(2))
    torch.testing.assert_close(normalized(x), layer(x), rtol=1e-4, atol=1e-5)
    units = layer(x).movedim(1, 0).flatten(1)
    torch.testing.assert_close(units.std(1, correction=0), torch.ones(6), rtol=1e-4, atol=1e-4)


def test_projections_remember_the_norms_that_initialization_gave():
    network = initialized("projection")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    after_update(network)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name])


def test_modes_hooks_and_gradients_are_left_as_they_were():
    network = make_network("batch_norm").train()
    network.head.eval()
    initialize_from_data(network, draw_frames(), generator=make_generator(2))
    assert network.torso.training
    assert not network.head.training
    assert all(not module._forward_pre_hooks for module in network.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_autocast_does_not_coarsen_the_statistics():
    network = make_network("weight_norm")
    with torch.autocast("cpu", torch.bfloat16):
        initialize_from_data(network, draw_frames(), generator=make_generator(2))
    for name, tensor in initialized("weight_norm").state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor)


def test_a_single_observation_is_refused():
    with pytest.raises(ConfigurationError, match="at least 2 observations"):
        initialize_from_data(make_network("none"), draw_frames(1))


def test_pytorchs_weight_norm_is_refused_with_the_way_out():
    with pytest.raises(ConfigurationError, match="weight_normalize"):
        initialize_from_data(parametrizations.weight_norm(nn.Linear(3, 2)), torch.randn(5, 3))

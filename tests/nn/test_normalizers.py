"""Each normalizer against its equation or PyTorch's own layer; what depends on the minibatch, and what is projected."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from tests.helpers.networks import ALL_NORMALIZERS, draw_frames, make_generator, make_network, make_trained
from wn_rl.errors import ConfigurationError
from wn_rl.nn.conversion import weight_normalize
from wn_rl.nn.folding import make_folded
from wn_rl.nn.initialization import initialize_from_data
from wn_rl.nn.normalized_layers import BATCH_MOMENTUM, MeanOnlyBatchNorm, NormProjection, SpectralNorm
from wn_rl.nn.normalizers import make_normalizer, project_weights
from wn_rl.nn.weight_norm_layers import WeightNormConv2d, WeightNormLinear

BATCH_DEPENDENT = {"mean_only_batch_norm", "weight_norm_mean_only_batch_norm", "batch_norm"}


def make_layers():
    torch.manual_seed(0)
    return nn.Linear(5, 3), nn.Conv2d(4, 3, 2)


def draw_inputs(layer):
    shape = (6, 5) if isinstance(layer, nn.Linear) else (6, 4, 5, 3)
    return torch.randn(shape, generator=make_generator(1)) + 1


def test_unknown_normalizer_is_an_error_that_names_the_nearest_and_all():
    with pytest.raises(ConfigurationError, match=r"'weight_nrom' is unknown; did you mean 'weight_norm'\?") as caught:
        make_normalizer("weight_nrom")
    assert all(name in str(caught.value) for name in ALL_NORMALIZERS)
    assert "\n" not in str(caught.value)


def test_no_name_at_all_is_an_error_too():
    with pytest.raises(ConfigurationError, match="known"):
        make_normalizer("")


def test_none_is_the_layer_itself():
    layer = make_layers()[0]
    assert make_normalizer("none")(layer, is_output=False) is layer


@pytest.mark.parametrize("is_output", [True, False])
def test_weight_norm_normalizes_every_layer_and_the_output_too(is_output):
    linear, conv = make_layers()
    normalize = make_normalizer("weight_norm")
    assert type(normalize(linear, is_output=is_output)) is WeightNormLinear
    assert type(normalize(conv, is_output=is_output)) is WeightNormConv2d


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mean_only_batch_norm", nn.Linear),
        ("batch_norm", nn.Linear),
        ("layer_norm", nn.Linear),
        ("spectral_norm", nn.Linear),
        ("projection", nn.Linear),
        ("weight_norm_mean_only_batch_norm", WeightNormLinear),
        ("weight_norm_projected_v", NormProjection),
    ],
)
def test_output_layer_is_left_to_its_own_mean_and_scale(name, kind):
    assert type(make_normalizer(name)(make_layers()[0], is_output=True)) is kind


@pytest.mark.parametrize("index", [0, 1])
def test_mean_only_batch_norm_is_equation_7_and_its_gradient_equation_8(index):
    layer = make_layers()[index]
    bias = layer.bias.detach().clone()
    module = MeanOnlyBatchNorm(layer)
    x = draw_inputs(layer)
    t = layer(x).detach()
    axes = [axis for axis in range(t.dim()) if axis != 1]
    shape = (1, 3) if index == 0 else (1, 3, 1, 1)
    y = module(x)
    torch.testing.assert_close(y, t - t.mean(axes).view(shape) + bias.view(shape))
    torch.testing.assert_close(module.running_mean, BATCH_MOMENTUM * t.mean(axes))
    grad_y = torch.randn(y.shape, generator=make_generator(2))
    (found,) = torch.autograd.grad(y, layer.weight, grad_y)
    centered = grad_y - grad_y.mean(axes).view(shape)
    (expected,) = torch.autograd.grad(layer(x), layer.weight, centered)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_mean_only_batch_norm_uses_the_running_mean_in_evaluation():
    layer = make_layers()[0]
    module = MeanOnlyBatchNorm(layer).eval()
    module.running_mean.copy_(torch.tensor([1.0, -2.0, 3.0]))
    x = draw_inputs(layer)
    torch.testing.assert_close(module(x), layer(x) - module.running_mean + module.bias)
    module(x)
    torch.testing.assert_close(module.running_mean, torch.tensor([1.0, -2.0, 3.0]))


@pytest.mark.parametrize("index", [0, 1])
def test_batch_norm_is_pytorchs_after_the_affine_layer(index):
    layer = make_layers()[index]
    x = draw_inputs(layer)
    reference = nn.BatchNorm1d(3) if index == 0 else nn.BatchNorm2d(3)
    expected = reference(layer(x))  # the layer's bias does not matter
    module = make_normalizer("batch_norm")(layer, is_output=False)
    torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-5)


def test_layer_norm_normalizes_all_units_of_one_example():
    conv = make_layers()[1]
    x = draw_inputs(conv)
    y = make_normalizer("layer_norm")(conv, is_output=False)(x)
    torch.testing.assert_close(y, nn.functional.layer_norm(conv(x), conv(x).shape[1:]))


@pytest.mark.parametrize("index", [0, 1])
def test_spectral_norm_divides_by_the_largest_singular_value(index):
    layer = make_layers()[index]
    bias = layer.bias.detach().clone()
    sigma = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
    module = SpectralNorm(layer)
    module.update_vectors(200)
    shape = (1, 3) if index == 0 else (1, 3, 1, 1)
    x = draw_inputs(layer)
    torch.testing.assert_close(module(x), layer(x) / sigma + bias.view(shape), rtol=1e-4, atol=1e-5)


def test_gradient_through_spectral_norm_is_pytorchs():
    layer = make_layers()[0]
    theirs = parametrizations.spectral_norm(nn.Linear(5, 3), n_power_iterations=1)
    entries = theirs.parametrizations.weight
    with torch.no_grad():
        entries.original.copy_(layer.weight)
    module = SpectralNorm(layer).eval()
    entries[0]._u.copy_(module.left)
    entries[0]._v.copy_(module.right)
    theirs.eval()
    x = draw_inputs(layer)
    (found,) = torch.autograd.grad(module(x).pow(3).sum(), layer.weight)
    with torch.no_grad():
        theirs.bias.copy_(module.bias)
    (expected,) = torch.autograd.grad(theirs(x).pow(3).sum(), entries.original)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_spectral_vectors_move_in_training_and_rest_in_evaluation():
    module = SpectralNorm(make_layers()[0])
    nn.init.normal_(module.layer.weight, generator=make_generator(3))
    before = module.left.clone()
    module.eval()(torch.ones(2, 5))
    assert module.left.equal(before)
    module.train()(torch.ones(2, 5))
    assert not module.left.allclose(before)


@pytest.mark.parametrize("name", ALL_NORMALIZERS)
def test_outputs_depend_on_the_rest_of_the_minibatch_under_batch_norms_alone(name):
    network = make_trained(name).train()
    frames = draw_frames(8, seed=30)
    others = torch.cat([frames[:1], draw_frames(7, seed=31)])
    with torch.no_grad():
        for _ in range(60 if name == "spectral_norm" else 0):  # until its estimate rests
            network(frames)
        first, second = network(frames).q_values[0], network(others).q_values[0]
    if name in BATCH_DEPENDENT:
        assert not first.allclose(second, atol=1e-3)
    else:
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ALL_NORMALIZERS)
def test_no_normalizer_depends_on_the_minibatch_in_evaluation(name):
    network = make_trained(name).eval()
    frames = draw_frames(8, seed=30)
    torch.testing.assert_close(network(frames[:1]).q_values, network(frames).q_values[:1], rtol=1e-3, atol=1e-4)


def take_a_step(network):
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    network(draw_frames()).q_values.square().mean().backward()
    optimizer.step()


def test_projected_weights_return_to_their_initial_norms_and_the_output_layer_is_free():
    network = make_network("projection")
    hidden = network.torso.layers[11].layer
    initial, output = hidden.weight.norm(dim=1).clone(), network.head.output.weight.norm(dim=1).clone()
    take_a_step(network)
    assert not hidden.weight.norm(dim=1).allclose(initial, rtol=1e-3)
    project_weights(network)
    torch.testing.assert_close(hidden.weight.norm(dim=1), initial)
    assert not network.head.output.weight.norm(dim=1).allclose(output, rtol=1e-3)


def test_projecting_v_restores_its_norm_and_leaves_the_function_as_it_is():
    network = make_network("weight_norm_projected_v")
    layers = [network.torso.layers[index].layer for index in (2, 5, 8, 11)] + [network.head.output.layer]
    initial = [layer.v.flatten(1).norm(dim=1).clone() for layer in layers]
    take_a_step(network)
    before = network(draw_frames()).q_values
    assert not layers[3].v.norm(dim=1).allclose(initial[3], rtol=1e-3)
    project_weights(network)
    torch.testing.assert_close(network(draw_frames()).q_values, before, rtol=1e-5, atol=1e-6)
    for layer, norms in zip(layers, initial, strict=True):
        torch.testing.assert_close(layer.v.flatten(1).norm(dim=1), norms)


def test_projecting_v_leaves_the_function_as_it_is_to_the_last_places_of_float64():
    network = make_network("weight_norm_projected_v").double()
    take_a_step(network)
    before = network(draw_frames()).q_values  # in float32, of weights in float64
    weights = [
        layer.weight.detach() for layer in network.modules() if type(layer) in (WeightNormConv2d, WeightNormLinear)
    ]
    project_weights(network)
    after = [
        layer.weight.detach() for layer in network.modules() if type(layer) in (WeightNormConv2d, WeightNormLinear)
    ]
    for one, other in zip(after, weights, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-14, atol=0)
    torch.testing.assert_close(network(draw_frames()).q_values, before, rtol=1e-6, atol=1e-7)


def test_projection_of_a_zero_unit_is_finite():
    module = NormProjection(weight_normalize(nn.Linear(3, 2)), "v")
    with torch.no_grad():
        module.layer.v[1] = 0
    project_weights(module)
    assert module.layer.v.isfinite().all()


@pytest.mark.parametrize("name", [name for name in ALL_NORMALIZERS if "project" not in name])
def test_project_weights_changes_nothing_without_a_projection(name):
    network = make_network(name)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    project_weights(network)
    assert all(tensor.equal(before[key]) for key, tensor in network.state_dict().items())


TRANSPOSED = [(nn.ConvTranspose1d, 3), (nn.ConvTranspose2d, 4), (nn.ConvTranspose3d, 5)]
OTHERS = [(nn.Conv1d, 3), (nn.Conv3d, 5), *TRANSPOSED]


def make_other(kind):
    torch.manual_seed(0)
    return kind(4, 6, 2, groups=2)


@pytest.mark.parametrize("name", ALL_NORMALIZERS)
@pytest.mark.parametrize(("kind", "num_axes"), OTHERS)
def test_every_normalizer_takes_every_affine_layer_and_folds(kind, num_axes, name):
    layer = make_other(kind).double()
    x = torch.randn(5, 4, *(3,) * (num_axes - 2), generator=make_generator(1)).double()
    module = make_normalizer(name)(layer, is_output=False).train()
    module(x).square().sum().backward()
    torch.testing.assert_close(make_folded(module)(x), module.eval()(x))
    initialize_from_data(module, x)
    torch.testing.assert_close(make_folded(module)(x), module.eval()(x))


@pytest.mark.parametrize("name", ["mean_only_batch_norm", "batch_norm", "spectral_norm", "layer_norm"])
def test_units_of_a_linear_layer_are_on_the_last_axis_of_a_sequence(name):
    x = torch.randn(6, 3, 5, generator=make_generator(1)) + 1  # T = O = 3
    modules = [make_normalizer(name)(make_layers()[0], is_output=False) for _ in range(2)]
    torch.testing.assert_close(modules[0](x), modules[1](x.flatten(0, 1)).view(6, 3, 3))
    torch.testing.assert_close(modules[0].eval()(x), modules[1].eval()(x.flatten(0, 1)).view(6, 3, 3))


def test_a_batch_norm_refuses_one_example_without_a_minibatch():
    linear, conv = make_layers()
    for layer, x in ((linear, torch.ones(5)), (conv, torch.ones(4, 5, 3))):
        with pytest.raises(ConfigurationError, match="minibatch"):
            MeanOnlyBatchNorm(layer)(x)


@pytest.mark.parametrize(("name", "held"), [("projection", "weight"), ("weight_norm_projected_v", "v")])
@pytest.mark.parametrize(("kind", "num_axes"), TRANSPOSED)
def test_projections_of_transposed_kernels_keep_the_norm_of_every_output_unit(kind, num_axes, name, held):
    module = make_normalizer(name)(make_other(kind), is_output=False)
    parameter = module.layer.get_parameter(held)
    units = [(group, channel) for group in range(2) for channel in range(3)]

    def norms():
        return torch.stack([parameter[2 * group : 2 * group + 2, channel].norm() for group, channel in units])

    before = norms().detach()
    with torch.no_grad():
        parameter.mul_(torch.linspace(0.5, 2, parameter.numel()).view_as(parameter))
    project_weights(module)
    torch.testing.assert_close(norms(), before)


def test_spectral_norm_of_a_transposed_kernel_is_pytorchs():
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(4, 6, 2)
    module = SpectralNorm(layer)
    module.update_vectors(200)
    expected = torch.linalg.matrix_norm(layer.weight.detach().transpose(0, 1).flatten(1), ord=2)
    torch.testing.assert_close(module.compute_sigma().detach(), expected)

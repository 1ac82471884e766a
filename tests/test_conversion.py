"""Conversion to weight-normalized layers and back never changes a function; v and g are kept where both have them."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils import weight_norm as torch_hook

from wn_rl.errors import ConfigurationError
from wn_rl.nn.conversion import plain, to_torch_hook, to_torch_parametrization, weight_normalize
from wn_rl.nn.weight_norm_conv import WeightNormConv2d
from wn_rl.nn.weight_norm_layer import set_g_
from wn_rl.nn.weight_norm_linear import WeightNormLinear
from wn_rl.nn.weight_norm_recurrent import WeightNormGRU
from wn_rl.nn.weight_norm_transposed import WeightNormConvTranspose2d


def make_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding="same", padding_mode="circular", groups=3),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 4, (3, 2), stride=2, output_padding=1),
        nn.Flatten(),
        nn.Linear(4 * 12 * 11, 7, bias=False),
    )


def draw_images():
    return torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))


def make_signed(network):
    """Lengths of both signs, so that a lost sign shows."""
    for index in (0, 2, 4):
        layer = network[index]
        set_g_(layer, torch.linspace(-2, 3, len(layer.g)))
    return network


def silent_hook(layer, dim=0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch_hook(layer, dim=dim)


def test_conversion_and_return_keep_the_function_and_the_module_that_was_given():
    network, x = make_network(), draw_images()
    before = copy.deepcopy(network.state_dict())
    normalized = weight_normalize(network)
    kinds = [type(normalized[index]) for index in (0, 2, 4)]
    assert kinds == [WeightNormConv2d, WeightNormConvTranspose2d, WeightNormLinear]
    torch.testing.assert_close(normalized(x), network(x))
    returned = plain(normalized)
    assert [type(layer) for layer in returned] == [type(layer) for layer in network]
    torch.testing.assert_close(returned(x), network(x))
    assert all(before[name].equal(tensor) for name, tensor in network.state_dict().items())


def test_plain_keeps_the_sign_of_g():
    normalized = make_signed(weight_normalize(make_network()))
    torch.testing.assert_close(plain(normalized)(draw_images()), normalized(draw_images()))


@pytest.mark.parametrize("convert", [to_torch_parametrization, to_torch_hook])
def test_v_and_g_survive_the_way_to_pytorch_and_back(convert):
    normalized = make_signed(weight_normalize(make_network()))
    theirs = convert(normalized)
    torch.testing.assert_close(theirs(draw_images()), normalized(draw_images()))
    ours = weight_normalize(theirs)
    for name, tensor in normalized.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=0, atol=0)


def test_pytorchs_parametrization_is_what_it_is_called():
    theirs = to_torch_parametrization(weight_normalize(make_network()))
    assert parametrize.is_parametrized(theirs[0], "weight")
    assert theirs[2].parametrizations.weight.original0.shape == (1, 4, 1, 1)  # per output unit, axis 1


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("normalize", [parametrizations.weight_norm, silent_hook])
def test_any_norm_of_pytorchs_is_converted_with_its_function(normalize, dim):
    torch.manual_seed(0)
    layer = nn.Linear(4, 3)
    normalize(layer, dim=dim)
    x = torch.randn(5, 4)
    expected = layer(x).detach()
    torch.testing.assert_close(weight_normalize(layer)(x), expected)
    torch.testing.assert_close(plain(layer)(x), expected)


def test_layers_that_are_ours_already_are_kept_and_get_the_mode():
    normalized = make_signed(weight_normalize(make_network()))
    fixed = weight_normalize(normalized, g_mode="fixed")
    torch.testing.assert_close(fixed(draw_images()), normalized(draw_images()))
    assert {name for name, _ in fixed.named_buffers()} == {"0.g", "2.g", "4.g"}


def test_exponential_g_is_refused_for_a_negative_length_and_the_layer_is_named():
    with pytest.raises(ConfigurationError, match=r"layer '0' \(WeightNormConv2d\).*g_mode='free'"):
        weight_normalize(make_signed(weight_normalize(make_network())), g_mode="exponential")


def test_recurrent_layers_are_converted_inside_a_module():
    network = nn.ModuleDict({"memory": nn.GRU(3, 5), "head": nn.Linear(5, 2)})
    normalized = weight_normalize(network)
    assert type(normalized["memory"]) is WeightNormGRU
    x = torch.randn(4, 2, 3)
    torch.testing.assert_close(normalized["memory"](x)[0], network["memory"](x)[0])
    torch.testing.assert_close(plain(normalized)["memory"](x)[0], network["memory"](x)[0])


def test_a_shared_layer_stays_shared():
    layer = nn.Linear(3, 3)
    normalized = weight_normalize(nn.Sequential(layer, nn.ReLU(), layer))
    assert normalized[0] is normalized[2]


def test_a_weight_shared_between_modules_is_refused():
    network = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5))
    network[1].weight = network[0].weight
    with pytest.raises(ConfigurationError, match="layer '1' shares a parameter with '0'"):
        weight_normalize(network)


def test_mode_dtype_and_frozen_parameters_are_kept():
    network = make_network().double().eval()
    network[0].weight.requires_grad_(False)
    normalized = weight_normalize(network)
    assert not normalized[0].training
    assert normalized[0].v.dtype == torch.float64
    assert not normalized[0].v.requires_grad
    assert normalized[2].v.requires_grad
    assert not plain(normalized)[0].weight.requires_grad


def test_subclasses_and_other_parametrizations_are_left_alone():
    attention = nn.MultiheadAttention(4, 2)  # reads out_proj.weight in a way of its own
    assert type(weight_normalize(attention).out_proj) is type(attention.out_proj)
    spectral = parametrizations.spectral_norm(nn.Linear(3, 2))
    assert parametrize.is_parametrized(weight_normalize(spectral), "weight")


def test_grouped_transposed_convolution_has_no_form_in_pytorch_and_is_refused():
    normalized = weight_normalize(nn.ConvTranspose2d(4, 6, 3, groups=2))
    with pytest.raises(ConfigurationError, match="grouped transposed"):
        to_torch_parametrization(normalized)


def test_zero_unit_is_refused_and_the_layer_is_named():
    network = make_network()
    with torch.no_grad():
        network[2].weight[:, 3] = 0
    with pytest.raises(ConfigurationError, match=r"layer '2' \(ConvTranspose2d\).*units \[3\]"):
        weight_normalize(network)

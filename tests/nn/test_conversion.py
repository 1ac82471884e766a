"""Conversion to weight-normalized layers and back never changes a function; v and g are kept where both have them."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils import weight_norm as torch_hook

from wn_rl.errors import ConfigurationError
from wn_rl.nn.conversion import plain, to_torch_parametrization, weight_normalize
from wn_rl.nn.folding import make_folded
from wn_rl.nn.weight_norm_layers import WeightNormConv2d, WeightNormConvTranspose2d, WeightNormLinear
from wn_rl.nn.weight_norm_recurrent import WeightNormGRU


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
        layer.set_g_(torch.linspace(-2, 3, len(layer.g)))
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


def test_v_and_g_survive_the_way_to_pytorch_and_back():
    normalized = make_signed(weight_normalize(make_network()))
    theirs = to_torch_parametrization(normalized)
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


def draw_sequence():
    return torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("g_mode", ["free", "fixed", "exponential"])
@pytest.mark.parametrize("layer", [nn.LSTM(3, 5, 2, bidirectional=True), nn.GRU(3, 5, bias=False)])
def test_recurrent_layers_take_every_mode_of_g_with_their_function(layer, g_mode):
    x = draw_sequence()
    normalized = weight_normalize(layer, g_mode=g_mode)
    trained = {name.split("_")[0] for name, _ in normalized.named_parameters()} - {"bias"}
    assert trained == {"free": {"v", "g"}, "fixed": {"v"}, "exponential": {"v", "s"}}[g_mode]
    for one in (normalized, plain(normalized), make_folded(normalized), weight_normalize(normalized, g_mode="free")):
        torch.testing.assert_close(one(x)[0], layer(x)[0])
    other = weight_normalize(layer, g_mode=g_mode)
    other.load_state_dict({name: tensor / 2 for name, tensor in normalized.state_dict().items()})
    assert not other(x)[0].allclose(layer(x)[0], atol=1e-3)  # g is in the state


def test_recurrent_layers_refuse_a_zero_row_and_a_negative_length_by_name():
    network = nn.Sequential(nn.LSTM(3, 2))
    with torch.no_grad():
        network[0].weight_hh_l0[1] = 0
    with pytest.raises(ConfigurationError, match=r"layer '0' \(LSTM\).*units \[1\]"):
        weight_normalize(network)
    normalized = weight_normalize(nn.GRU(3, 2))
    with torch.no_grad():
        normalized.g_ih_l0[2] = -1
    with pytest.raises(ConfigurationError, match="g_mode='free'"):
        weight_normalize(normalized, g_mode="exponential")


@pytest.mark.parametrize("layer", [nn.LSTM(3, 5, 2), nn.GRU(3, 5, bidirectional=True)])
def test_v_and_g_of_recurrent_layers_survive_the_way_to_pytorch_and_back(layer):
    normalized, x = weight_normalize(layer), draw_sequence()
    with torch.no_grad():
        for name, parameter in normalized.named_parameters():
            parameter.mul_(-2 if name.startswith("g") else 3)
    theirs = to_torch_parametrization(normalized)
    torch.testing.assert_close(theirs(x)[0], normalized(x)[0])
    torch.testing.assert_close(plain(theirs)(x)[0], normalized(x)[0])
    ours = weight_normalize(theirs)
    assert all(ours.state_dict()[name].equal(tensor) for name, tensor in normalized.state_dict().items())


@pytest.mark.parametrize("normalize", [parametrizations.weight_norm, silent_hook])
def test_recurrent_layer_with_one_matrix_under_pytorchs_weight_norm_is_converted_whole(normalize):
    layer, x = nn.LSTM(3, 5), draw_sequence()
    if normalize is silent_hook:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            torch_hook(layer, "weight_hh_l0")
    else:
        normalize(layer, "weight_hh_l0")
    expected = layer(x)[0]
    assert {name for name, _ in weight_normalize(layer).named_parameters()} == {
        "v_ih_l0", "g_ih_l0", "v_hh_l0", "g_hh_l0", "bias_ih_l0", "bias_hh_l0",
    }  # fmt: skip
    torch.testing.assert_close(weight_normalize(layer)(x)[0], expected)
    torch.testing.assert_close(plain(layer)(x)[0], expected)


def test_frozen_parameters_of_recurrent_layers_stay_frozen():
    layer = nn.GRU(3, 2)
    layer.weight_hh_l0.requires_grad_(False)
    layer.bias_ih_l0.requires_grad_(False)
    normalized = weight_normalize(layer)
    assert not normalized.v_hh_l0.requires_grad
    assert {name for name, p in plain(normalized).named_parameters() if not p.requires_grad} == {
        "weight_hh_l0", "bias_ih_l0",
    }  # fmt: skip


def test_conversion_draws_no_random_number():
    network = nn.ModuleList([nn.Linear(3, 2), nn.Conv1d(2, 3, 2), nn.LSTM(2, 3)])
    before = torch.random.get_rng_state()
    plain(weight_normalize(network))
    assert torch.random.get_rng_state().equal(before)


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


@pytest.mark.filterwarnings("ignore:weight_normalize leaves layers as they are:UserWarning")
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

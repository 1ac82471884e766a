"""A folded network is plain and has the same outputs, whatever normalized it, and is refreshed without a new one."""

import copy

import pytest
import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn.utils import parametrizations

from tests.helpers.networks import (
    ALL_NORMALIZERS,
    EVERY_KIND_OF_HEAD,
    draw_frames,
    make_generator,
    make_network,
    make_trained,
)
from wn_rl.networks.reshaping import FlattenChannelsLast, WidthToDepth
from wn_rl.nn.conversion import weight_normalize
from wn_rl.nn.folding import fold_, make_folded
from wn_rl.nn.normalized_layers import BatchNorm


def make_signed(normalizer, head="linear"):
    """A network after a few updates, with g of both signs, biases and running statistics that are not trivial."""
    network = make_trained(normalizer, head=head)
    generator = make_generator(40)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(".g"):
                parameter.mul_(torch.randn(parameter.shape, generator=generator).sign())
            if name.endswith("bias"):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network


def q_values(network, *, seed=50):
    return copy.deepcopy(network).eval()(draw_frames(seed=seed)).q_values.detach()


@pytest.mark.parametrize("head", EVERY_KIND_OF_HEAD)
@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_folded_network_has_the_outputs_of_evaluation_mode_within_1e_5(normalizer, head):
    network = make_signed(normalizer, head)
    expected = q_values(network)
    assert expected.abs().max() > 0.25
    difference = (q_values(make_folded(network)) - expected).abs().max()
    assert difference < 1e-5 * expected.abs().max()  # float32: the network itself is no nearer to its exact outputs
    exact = network.double()
    torch.testing.assert_close(q_values(make_folded(exact)), q_values(exact), rtol=0, atol=1e-6)


@pytest.mark.parametrize("normalizer", [name for name in ALL_NORMALIZERS if name != "layer_norm"])
def test_folded_state_loads_into_the_plain_network(normalizer):
    network = make_signed(normalizer)
    plain_network = make_network("none", seed=9)
    plain_network.load_state_dict(load(save(make_folded(network).state_dict())))
    torch.testing.assert_close(q_values(plain_network), q_values(network), rtol=1e-4, atol=1e-4)


def test_layer_norm_stays_a_layer():
    kinds = {type(module) for module in make_folded(make_network("layer_norm")).modules()}
    assert {nn.GroupNorm, nn.LayerNorm} <= kinds


@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_folded_network_is_plain_frozen_in_evaluation_mode_and_shares_nothing(normalizer):
    network = make_signed(normalizer)
    folded = make_folded(network)
    plain_kinds = {
        nn.Linear,
        nn.Conv2d,
        nn.ReLU,
        WidthToDepth,
        FlattenChannelsLast,
        nn.Sequential,
        nn.GroupNorm,
        nn.LayerNorm,
    }
    inner = {type(module) for module in folded.torso.layers[1:].modules()} | {type(folded.head.output)}
    assert inner <= plain_kinds
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert not any(module.training for module in folded.modules())
    assert network.training
    ours = {tensor.data_ptr() for tensor in network.state_dict().values()}
    assert not ours & {tensor.data_ptr() for tensor in folded.state_dict().values()}


@pytest.mark.parametrize("head", EVERY_KIND_OF_HEAD)
@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_refreshing_brings_everything_up_to_date_in_the_same_memory(normalizer, head):
    network = make_network(normalizer, head=head)
    folded = make_folded(network)
    places = [tensor.data_ptr() for tensor in folded.state_dict().values()]
    trained = make_signed(normalizer, head)
    network.load_state_dict(trained.state_dict())
    fold_(network, folded)
    assert [tensor.data_ptr() for tensor in folded.state_dict().values()] == places
    for name, tensor in make_folded(trained).state_dict().items():
        assert tensor.equal(folded.state_dict()[name]), name


def test_running_statistics_alone_reach_the_folded_network():
    for normalizer in ("batch_norm", "mean_only_batch_norm"):
        network = make_signed(normalizer)
        folded = make_folded(network)
        before = q_values(folded)
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                if "running_mean" in name:
                    buffer.add_(0.5)
        fold_(network, folded)
        torch.testing.assert_close(q_values(folded), q_values(network), rtol=1e-4, atol=1e-5)
        assert not q_values(folded).allclose(before, atol=1e-2)


def test_buffers_and_parameters_outside_affine_layers_are_copied():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))
            self.register_buffer("count", torch.tensor(0))
            self.layers = nn.Sequential(weight_normalize(nn.Linear(3, 2)), nn.BatchNorm1d(2))

        def forward(self, x):
            return self.scale * self.layers(x)

    network = Scaled()
    folded = make_folded(network)
    network(torch.randn(8, 3, generator=make_generator(0)))
    with torch.no_grad():
        network.scale.fill_(3)
        network.count.fill_(7)
    fold_(network, folded)
    assert folded.count == 7
    assert folded.scale.tolist() == [3, 3]
    assert folded.layers[1].running_mean.equal(network.layers[1].running_mean)
    assert folded.layers[1].num_batches_tracked == 1


@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_copy_in_bfloat16_and_channels_last_is_the_rounded_weight(normalizer):
    network = make_signed(normalizer)
    exact = make_folded(network).state_dict()
    folded = make_folded(network).reduce_precision_(torch.bfloat16)
    assert folded.head.output.weight.equal(exact["head.output.weight"])  # converted there and back it would be rounded
    folded = make_folded(make_network(normalizer)).reduce_precision_(torch.bfloat16)
    fold_(network, folded.to(memory_format=torch.channels_last))
    for name, tensor in folded.state_dict().items():
        assert tensor.dtype == (torch.float32 if name.startswith("head.") else torch.bfloat16)
        torch.testing.assert_close(tensor.float(), exact[name].to(torch.bfloat16).float(), rtol=1e-2, atol=1e-3)
    assert next(folded.torso.layers[2].parameters()).is_contiguous(memory_format=torch.channels_last)
    scale = q_values(network).abs().max()
    torch.testing.assert_close(q_values(folded) / scale, q_values(network) / scale, rtol=0, atol=0.1)


def test_large_weight_in_bfloat16_is_w_rounded_once():
    layer = weight_normalize(nn.Linear(1000, 300))
    layer.set_g_(torch.linspace(-2, 3, 300))
    folded = make_folded(layer).to(torch.bfloat16)
    fold_(layer, folded)
    weight = (layer.g.unsqueeze(1) * layer.v / layer.v.norm(dim=1, keepdim=True)).detach()
    assert (
        (folded.weight.float() - weight).abs() <= weight.abs() * 2**-8 * 1.001
    ).all()  # half a unit in the last place


@pytest.mark.parametrize(
    "layer",
    [nn.Conv1d(4, 6, 3, groups=2), nn.ConvTranspose2d(4, 6, 3, groups=2, stride=2), nn.Linear(4, 6, bias=False)],
)
@pytest.mark.parametrize("g_mode", ["free", "fixed", "exponential"])
def test_every_kind_of_layer_and_mode_folds(layer, g_mode):
    normalized = weight_normalize(layer, g_mode=g_mode)
    folded = make_folded(normalized)
    assert type(folded) is type(layer)
    for name, tensor in layer.state_dict().items():
        torch.testing.assert_close(folded.state_dict()[name], tensor)


def test_pytorchs_parametrizations_and_recurrent_layers_fold_too():
    x = torch.randn(4, 3, generator=make_generator(0))
    for normalize in (parametrizations.weight_norm, parametrizations.spectral_norm):
        theirs = normalize(nn.Linear(3, 2)).eval()
        folded = make_folded(theirs)
        assert type(folded) is nn.Linear
        torch.testing.assert_close(folded(x), theirs(x))
    lstm = weight_normalize(nn.LSTM(3, 5))
    folded = make_folded(lstm)
    assert type(folded) is nn.LSTM
    torch.testing.assert_close(folded(x)[0], lstm(x)[0])


def test_a_shared_layer_stays_shared():
    layer = weight_normalize(nn.Linear(3, 3))
    folded = make_folded(nn.Sequential(layer, nn.ReLU(), layer))
    assert folded[0] is folded[2]


def test_folding_inside_autocast_is_exact():
    network = make_signed("spectral_norm")
    with torch.autocast("cpu", torch.bfloat16):
        inside = make_folded(network).state_dict()
    for name, tensor in make_folded(network).state_dict().items():
        assert tensor.equal(inside[name]), name


def test_batch_norm_folds_its_gain_and_shift():
    module = BatchNorm(nn.Linear(2, 1)).eval()
    with torch.no_grad():
        module.layer.weight.copy_(torch.tensor([[2.0, -4.0]]))
        module.norm.weight.fill_(3)
        module.norm.bias.fill_(0.5)
        module.norm.running_mean.fill_(1)
        module.norm.running_var.fill_(4 - module.norm.eps)
    folded = make_folded(module)
    assert folded.weight.tolist() == [[3.0, -6.0]]  # 3 / √4 times
    assert folded.bias.tolist() == [-1.0]  # 0.5 − 1 · 3/2

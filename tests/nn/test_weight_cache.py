"""w is computed once where the code says so, with the same outputs and gradients, and is forgotten afterwards."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from tests.helpers.networks import draw_frames, make_network
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.nn.conversion import weight_normalize
from wn_rl.nn.folding import cached_weights, fold_, lent_weights, make_folded


def make_layers():
    torch.manual_seed(0)
    network = weight_normalize(nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 5, 3)))
    return network, torch.randn(3, 2, 6, 7), torch.randn(3, 2, 6, 7)


def loss_of_two_applications(network, first, second):
    return network(first).square().sum() + network(second).pow(3).sum()


def test_two_applications_have_the_same_gradients_from_one_weight():
    network, first, second = make_layers()
    parameters = list(network.parameters())
    expected = torch.autograd.grad(loss_of_two_applications(network, first, second), parameters)
    with cached_weights(network):
        assert network[0].weight is network[0].weight
        found = torch.autograd.grad(loss_of_two_applications(network, first, second), parameters)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert network[0].weight is not network[0].weight


def test_layers_that_are_not_applied_get_no_gradient():
    network, first, _ = make_layers()
    with cached_weights(network):
        network[0](first).sum().backward()
    assert network[0].v.grad is not None
    assert network[3].v.grad is None


def test_second_gradients_pass_through_cached_weights():
    network, first, _ = make_layers()
    v = network[0].v

    def penalty():
        (gradient,) = torch.autograd.grad(network(first).pow(3).sum(), v, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), v)[0]

    expected = penalty()
    with cached_weights(network):
        torch.testing.assert_close(penalty(), expected, rtol=1e-4, atol=1e-4)


def test_a_block_inside_another_shares_its_weight_and_does_not_end_it():
    network, _, _ = make_layers()
    with cached_weights(network):
        outer = network[0].weight
        with cached_weights(network):
            assert network[0].weight is outer
        assert network[0].weight is outer


def test_an_update_between_two_applications_of_a_q_network_is_seen():
    network = make_network("weight_norm")
    before = network(draw_frames(4)).q_values
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    after = network(draw_frames(4)).q_values
    assert not after.allclose(before, rtol=1e-3)
    torch.testing.assert_close(after, copy.deepcopy(network)(draw_frames(4)).q_values)


def test_an_error_inside_forgets_the_weights():
    network, first, _ = make_layers()
    with pytest.raises(RuntimeError, match="channels"), cached_weights(network):
        network(first[:, :1])
    assert network[0].cached_weight is None


def test_folded_and_copied_q_networks_cache_their_own_layers():
    network = make_network("weight_norm").eval()
    expected = network(draw_frames(4)).q_values
    clone = copy.deepcopy(network)
    with torch.no_grad():
        network.head.output.g.zero_()
    torch.testing.assert_close(clone(draw_frames(4)).q_values, expected)
    torch.testing.assert_close(make_folded(clone)(draw_frames(4)).q_values, expected, rtol=1e-4, atol=1e-5)


def fold(network):
    """The w of a new folded network."""
    return fold_(network, make_folded(network))


def compute_gradients(network, frames, computed=None):
    """Of a loss whose gradient differs from unit to unit, by name; with the weights that folding computed if given."""
    with nullcontext() if computed is None else lent_weights(computed):
        q_values = network(frames).q_values.float()
    loss = (q_values * torch.arange(1.0, 1 + q_values.shape[1])).square().mean()
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    return dict(zip(dict(network.named_parameters()), gradients, strict=True))


def make_large_network(normalizer, *, torso="nature"):
    """With a linear layer that is large, and g that differs from ‖v‖."""
    network = make_network(normalizer, torso=torso, hidden_units=4096)
    with torch.no_grad():
        for layer in network._layers:
            layer.v.mul_(1.7)
    return network


LENDERS = ("weight_norm", "weight_norm_projected_v", "weight_norm_mean_only_batch_norm")


@pytest.mark.parametrize("normalizer", LENDERS)
@pytest.mark.parametrize("torso", ["nature", "mlp"])
def test_lent_weights_give_the_gradients_that_computed_ones_give(normalizer, torso):
    network, frames = make_large_network(normalizer, torso=torso), draw_frames(4)
    expected = compute_gradients(network, frames)
    found = compute_gradients(network, frames, fold(network))
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5 * float(gradient.abs().max()), msg=name)


def test_lent_weights_in_bfloat16_give_gradients_that_point_where_float32_points():
    network, frames = make_large_network("weight_norm"), draw_frames(8)
    expected = compute_gradients(network, frames)
    folded = make_folded(network).reduce_precision_(torch.bfloat16)
    computed = fold_(network, folded)
    fold(network)  # elsewhere and in another precision: that is not what is lent
    with torch.autocast("cpu", torch.bfloat16):
        found = compute_gradients(network, frames, computed)
    for name, gradient in expected.items():
        assert found[name].dtype == torch.float32
        assert torch.cosine_similarity(found[name].flatten(), gradient.flatten(), dim=0) > 0.99, name


def test_lent_weights_are_those_of_the_folded_network():
    network, frames = make_large_network("weight_norm"), draw_frames(2)
    folded = make_folded(network)
    computed = fold_(network, folded)
    with torch.no_grad():
        for parameter in folded.parameters():
            parameter.mul_(2)
    with lent_weights(computed):
        lent = network(frames).q_values
    assert not lent.allclose(network(frames).q_values, rtol=0.1)
    assert all(layer.cached_weight is None for layer in network._layers)


def test_a_unit_of_length_zero_still_gets_its_gradient_from_lent_weights():
    network, frames = make_large_network("weight_norm"), draw_frames(4)
    large = max(network._layers, key=lambda layer: layer.v.numel())
    with torch.no_grad():
        large.g[3] = 0
    network.torso.layers[-1] = nn.Identity()  # the ReLU, whose gradient at 0 is 0
    expected = compute_gradients(network, frames)["torso.layers.11.g"]
    assert expected[3] != 0
    found = compute_gradients(network, frames, fold(network))["torso.layers.11.g"]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_a_unit_without_a_direction_gets_no_gradient_and_never_nan_from_lent_weights():
    network, frames = make_large_network("weight_norm"), draw_frames(4)
    with torch.no_grad():
        for layer in network._layers:
            layer.v[1] = 0
    folded = make_folded(network)
    assert all(bool((parameter == parameter).all()) for parameter in folded.parameters())
    for name, gradient in compute_gradients(network, frames, fold_(network, folded)).items():
        assert bool(gradient.isfinite().all()), name
        if name.endswith(".v"):
            assert not gradient[1].any()


def test_a_copy_lends_its_own_weights_whoever_has_folded_the_network_since():
    network, frames = make_large_network("weight_norm"), draw_frames(2)
    copy_of_it = FoldedNetwork(network, dtype=torch.bfloat16).sync(network)
    q_values = []
    for fold_elsewhere in (lambda: None, lambda: fold(network)):  # as evaluation and statistics do, in float32
        fold_elsewhere()
        with torch.autocast("cpu", torch.bfloat16), copy_of_it.lend_weights(network):
            q_values.append(network(frames).q_values)
    assert torch.equal(*q_values)

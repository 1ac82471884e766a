"""w is computed once where the code says so, with the same outputs and gradients, and is forgotten afterwards."""

import copy

import torch
from torch import nn

from tests.networks import draw_frames, make_network
from wn_rl.nn.conversion import weight_normalize
from wn_rl.nn.folding import make_folded
from wn_rl.nn.weight_cache import cached_weights


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
    try:
        with cached_weights(network):
            network(first[:, :1])
    except RuntimeError:
        pass
    assert network[0].cached_weight is None


def test_folded_and_copied_q_networks_cache_their_own_layers():
    network = make_network("weight_norm").eval()
    expected = network(draw_frames(4)).q_values
    clone = copy.deepcopy(network)
    with torch.no_grad():
        network.head.output.g.zero_()
    torch.testing.assert_close(clone(draw_frames(4)).q_values, expected)
    torch.testing.assert_close(make_folded(clone)(draw_frames(4)).q_values, expected, rtol=1e-4, atol=1e-5)

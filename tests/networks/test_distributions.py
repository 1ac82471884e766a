"""Kinds of heads: what their outputs say of returns, by equations written out, and what they act by."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers.networks import HEADS, SIZES, draw_frames, make_generator, make_network, make_trained
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.nn.weight_norm_layers import WeightNormLinear

NUM_FRAMES, NUM_TAUS = 3, 6


def test_an_implicit_quantile_is_equation_4_of_dabney_et_al_2018b() -> None:
    """In plain loops: features times phi(tau), a hidden layer, an output for each action."""
    network = make_network("none", head="implicit_quantile").double()
    taus = torch.rand(NUM_FRAMES, NUM_TAUS, generator=make_generator(1))
    head, features = network.head, network.compute_features(draw_frames(NUM_FRAMES)).detach()
    found = head(features, taus)
    embedding = head.distribution.embedding[0]
    for b in range(NUM_FRAMES):
        for k in range(NUM_TAUS):
            cosines = torch.tensor([math.cos(math.pi * i * float(taus[b, k])) for i in range(1, SIZES.num_cosines + 1)])
            phi = (embedding.weight @ cosines.double() + embedding.bias).relu()
            hidden = (head.hidden[0].weight @ (features[b] * phi) + head.hidden[0].bias).relu()
            expected = (head.output.weight @ hidden + head.output.bias).float()
            torch.testing.assert_close(found.quantiles[b, :, k], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.q_values, found.quantiles.mean(2))


@pytest.mark.parametrize("head", ["implicit_quantile", "dueling_implicit_quantile"])
def test_it_acts_by_quantiles_at_even_distances(head: str) -> None:
    network = make_network("weight_norm", head=head).eval()
    acted = network(draw_frames(NUM_FRAMES))
    taus = torch.tensor([[1, 3, 5, 7]]).expand(NUM_FRAMES, -1) / 8
    assert acted.quantiles.shape == (NUM_FRAMES, 5, SIZES.num_acting_taus)
    torch.testing.assert_close(acted.quantiles, network(draw_frames(NUM_FRAMES), taus).quantiles)


def test_quantiles_are_asked_for_each_observation_apart() -> None:
    network = make_network("weight_norm", head="implicit_quantile").eval()
    taus = torch.rand(NUM_FRAMES, NUM_TAUS, generator=make_generator(1))
    together = network(draw_frames(NUM_FRAMES), taus).quantiles
    for b in range(NUM_FRAMES):
        alone = network(draw_frames(NUM_FRAMES)[b : b + 1], taus[b : b + 1]).quantiles
        torch.testing.assert_close(alone, together[b : b + 1], rtol=1e-4, atol=1e-5)


def test_probabilities_are_drawn_for_every_transition_and_follow_from_the_generator() -> None:
    distribution = make_network("none", head="implicit_quantile").head.distribution
    (taus_tm1, taus_t), again = (distribution.draw_taus(500, make_generator(4)) for _ in range(2))
    assert taus_tm1.shape == (500, SIZES.num_taus)
    assert taus_t.shape == (500, SIZES.num_target_taus)
    assert taus_tm1.equal(again[0])
    assert taus_t.equal(again[1])
    assert len(torch.cat([taus_tm1.flatten(), taus_t.flatten()]).unique()) > 5000
    assert abs(float(taus_tm1.mean()) - 0.5) < 0.02
    assert make_network("none").head.distribution.draw_taus(500, make_generator(4)) is None


def test_the_embedding_of_probabilities_is_normalized_and_never_noisy() -> None:
    for head in ("implicit_quantile", "noisy_implicit_quantile"):
        network = make_network("weight_norm", head=head)
        assert type(network.head.distribution.embedding[0]) is WeightNormLinear
        output = network.head.output if head == "implicit_quantile" else network.head.output.layer
        assert type(output) is WeightNormLinear


def test_cosines_are_exact_where_the_network_computes_in_bfloat16() -> None:
    """In bfloat16 an angle of 200 is known to within half a turn."""
    network = make_trained("weight_norm", head="implicit_quantile").eval()
    rough = FoldedNetwork(network, dtype=torch.bfloat16).network.head.distribution
    seen: list[torch.Tensor] = []
    rough.embedding.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    num_features = rough.embedding[0].out_features
    rough.condition(torch.ones(1, num_features, dtype=torch.bfloat16), torch.tensor([[0.9]]))
    expected = [math.cos(math.pi * i * 0.9) for i in range(1, SIZES.num_cosines + 1)]
    np.testing.assert_allclose(seen[0].float().flatten(), expected, atol=4e-3)


def test_a_categorical_value_is_the_mean_of_its_atoms() -> None:
    network = make_network("none", head="categorical")
    logits = network.head.output(network.compute_features(draw_frames(NUM_FRAMES))).detach().double().numpy()
    output = network(draw_frames(NUM_FRAMES))
    atoms = np.linspace(-5, 4, 11)
    np.testing.assert_allclose(output.atoms, atoms, atol=1e-6)
    for action in range(5):
        weights = np.exp(logits[:, action * 11 : (action + 1) * 11])
        expected = (weights * atoms).sum(1) / weights.sum(1)
        np.testing.assert_allclose(output.q_values[:, action].detach(), expected, rtol=1e-4, atol=1e-4)


def test_every_dueling_logit_is_value_plus_advantage_less_its_mean() -> None:
    network = make_network("none", head="dueling_categorical")
    features = network.compute_features(draw_frames(NUM_FRAMES))
    value, advantage = network.head.value(features), network.head.advantage(features)
    logits = network(draw_frames(NUM_FRAMES)).logits
    for atom in range(11):
        of_atom = advantage[:, atom::11]
        torch.testing.assert_close(
            logits[:, :, atom], value[:, [atom]] + of_atom - of_atom.mean(1, keepdim=True), rtol=1e-4, atol=1e-5
        )


def test_atoms_are_as_exact_in_a_network_of_bfloat16() -> None:
    acting = FoldedNetwork(make_network("weight_norm", head="categorical"), dtype=torch.bfloat16)
    np.testing.assert_allclose(acting.compute(draw_frames(1)).atoms, np.linspace(-5, 4, 11), atol=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_hidden_layers_belong_to_the_head_where_features_are_embedded_or_shared(head: str) -> None:
    network = make_network("none", head=head, hidden_units=24)
    is_in_head = "dueling" in head or "implicit" in head
    linears = [module for module in network.torso.modules() if isinstance(module, nn.Linear)]
    assert len(linears) == (0 if is_in_head else 1)

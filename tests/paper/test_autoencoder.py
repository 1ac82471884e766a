"""The autoencoder's bound is the one that it is called, its flow is autoregressive, and all normalizers begin alike."""

import math
from functools import partial

import pytest
import torch
from torch import distributions

from wn_rl.nn import make_folded
from wn_rl.nn.statistics import name_layers
from wn_rl.paper.autoencoder import Autoencoder
from wn_rl.paper.masked_linear import MaskedLinear, initialize_with_masks
from wn_rl.paper.posteriors import (
    DiagonalPosterior,
    FlowPosterior,
    FlowStep,
    compute_gaussian_kl,
    compute_normal_log_density,
    make_masks,
)
from wn_rl.paper.vae import compute_reconstruction_loss, draw_binary

SAME_FUNCTION = ("none", "weight_norm", "weight_norm_projected_v", "projection", "mean_only_batch_norm", "batch_norm")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_kl_and_likelihood_are_those_of_pytorchs_distributions() -> None:
    mean, log_std = torch.randn(2, 5, 3, generator=seeded(0))
    posterior, prior = distributions.Normal(mean, log_std.exp()), distributions.Normal(0.0, 1.0)
    expected = distributions.kl_divergence(posterior, prior).sum(1)
    torch.testing.assert_close(compute_gaussian_kl(mean, log_std), expected)
    torch.testing.assert_close(compute_normal_log_density(mean), prior.log_prob(mean).sum(1))
    logits = torch.randn(4, 1, 3, 2, generator=seeded(1))
    x = torch.bernoulli(torch.full_like(logits, 0.4), generator=seeded(2))
    expected = -distributions.Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(compute_reconstruction_loss(logits, x), expected)


def test_kl_is_that_worked_by_hand() -> None:
    kl = compute_gaussian_kl(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, math.log(3)]]))
    assert float(kl) == pytest.approx(2 + (9 - 1) / 2 - math.log(3))


def test_binary_pixels_are_1_as_often_as_they_are_bright() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(20_000, 1)
    torch.manual_seed(0)
    drawn = draw_binary(images)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(drawn.mean(0), torch.tensor([0.0, 0.2, 1.0]), atol=0.01, rtol=0)


@pytest.mark.parametrize(("num_latents", "num_units"), [(5, 9), (4, 2), (1, 3)])
def test_an_output_sees_the_latents_before_it_alone(num_latents: int, num_units: int) -> None:
    inner, outer = make_masks(num_latents, num_units)
    paths = outer.int() @ inner.int()
    assert not paths.triu().any()
    if num_units >= num_latents - 1:
        assert (paths.tril(-1) > 0).sum() == num_latents * (num_latents - 1) // 2


def make_flow_step(normalizer: str) -> FlowStep:
    torch.manual_seed(0)
    step = FlowStep(normalizer=normalizer, num_latents=5, num_units=16, num_context=3).double()
    for layer in (step.inner, step.outer):
        layer.initialize_(torch.randn(50, layer.mask.shape[1], generator=seeded(1)).double(), seeded(2))
    return step


@pytest.mark.parametrize("normalizer", ["none", "weight_norm"])
def test_the_log_determinant_of_a_flow_step_is_that_of_its_jacobian(normalizer: str) -> None:
    step = make_flow_step(normalizer)
    z, context = torch.randn(1, 5, generator=seeded(3)).double(), torch.randn(1, 3, generator=seeded(4)).double()
    jacobian = torch.autograd.functional.jacobian(lambda z: step(z, context)[0], z)[0, :, 0]
    assert not jacobian.triu(1).any()
    assert jacobian.tril(-1).abs().max() > 1e-3
    torch.testing.assert_close(step(z, context)[1][0], torch.linalg.slogdet(jacobian).logabsdet)


def test_the_density_of_the_flow_is_that_of_the_change_of_variables() -> None:
    torch.manual_seed(0)
    flow = FlowPosterior(normalizer="weight_norm", num_features=3, num_latents=4, num_steps=2, num_units=8).double()
    features, noise = torch.randn(1, 3).double(), torch.randn(1, 4).double()
    latents = flow(features, noise)
    jacobian = torch.autograd.functional.jacobian(lambda noise: flow(features, noise).z, noise)[0, :, 0]
    log_q = distributions.Normal(0.0, 1.0).log_prob(noise).sum() - torch.linalg.slogdet(jacobian).logabsdet
    log_p = distributions.Normal(0.0, 1.0).log_prob(latents.z).sum()
    torch.testing.assert_close(latents.kl[0], log_q - log_p)


def test_masked_weights_stay_zero_and_out_of_the_norm_while_others_learn() -> None:
    mask = torch.tensor([[True, False, True], [False, False, False]])
    layer = MaskedLinear(mask, normalizer="weight_norm")
    x = torch.randn(20, 3, generator=seeded(0))
    layer.initialize_(x, seeded(1))
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    before = layer.layer.v.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        (layer(x) - x[:, :2]).square().mean().backward()
        optimizer.step()
    assert not layer.layer.v[~mask].any()
    assert (layer.layer.v[0, mask[0]] != before[0, mask[0]]).all()
    weight = layer.layer.weight
    torch.testing.assert_close(weight[0].norm(), layer.layer.compute_g()[0].abs())
    assert torch.equal(layer(x)[:, 1], layer.layer.bias[1].expand(20))


def make_autoencoder(normalizer: str, *, is_flow: bool, seed: int = 5) -> Autoencoder:
    kind = partial(FlowPosterior, num_steps=2, num_units=7) if is_flow else DiagonalPosterior
    network = Autoencoder(
        normalizer=normalizer, width=0.1, num_latents=4,
        make_posterior=lambda f, z: kind(normalizer=normalizer, num_features=f, num_latents=z),
    )  # fmt: skip
    torch.manual_seed(seed)
    images = (torch.rand(30, 1, 28, 28, generator=seeded(1)) < 0.3).float()
    initialize_with_masks(network, images, generator=seeded(2))
    return network.eval()


@pytest.mark.parametrize("is_flow", [False, True])
def test_all_normalizers_begin_from_one_function(is_flow: bool) -> None:
    x = (torch.rand(6, 1, 28, 28, generator=seeded(3)) < 0.3).float()
    outputs = {}
    for name in SAME_FUNCTION:
        network = make_autoencoder(name, is_flow=is_flow)
        torch.manual_seed(7)
        outputs[name] = network(x)
        torch.manual_seed(7)
        torch.testing.assert_close(make_folded(network)(x), outputs[name], atol=1e-4, rtol=1e-4)
    for made in outputs.values():
        torch.testing.assert_close(made, outputs["none"], atol=1e-4, rtol=1e-4)


def test_layers_are_those_of_the_papers_text() -> None:
    network = Autoencoder(
        normalizer="none", width=1.0, num_latents=32,
        make_posterior=lambda f, z: DiagonalPosterior(normalizer="none", num_features=f, num_latents=z),
    )  # fmt: skip
    shapes = [tuple(layer.weight.shape) for layer in name_layers(network.encoder).values()]
    blocks = [[(c, c, 3, 3)] * 4 for c in (16, 32, 32)]
    expected = [(16, 1, 3, 3), *blocks[0], (32, 16, 3, 3), *blocks[1], (32, 32, 3, 3), *blocks[2], (450, 32 * 7 * 7)]
    assert shapes == expected
    up = [tuple(layer.weight.shape) for layer in name_layers(network.decoder).values()]
    assert up == [
        (450, 32), (32 * 7 * 7, 450), *blocks[2], (32, 32, 3, 3), *blocks[1], (32, 16, 3, 3), *blocks[0], (1, 16, 3, 3),
    ]  # fmt: skip
    assert network(torch.zeros(2, 1, 28, 28)).logits.shape == (2, 1, 28, 28)

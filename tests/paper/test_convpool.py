"""ConvPool-CNN-C is the paper's network, all normalizers begin from the same function of it, and whitening whitens."""

import pytest
import torch
from torch import nn

from wn_rl.nn import NORMALIZERS, WeightNormConv2d, WeightNormLinear, initialize_from_data
from wn_rl.nn.statistics import name_layers
from wn_rl.paper.convpool import ConvPool, GaussianNoise
from wn_rl.paper.whitening import fit_whitening

SHAPES = [
    (96, 3, 3, 3), (96, 96, 3, 3), (96, 96, 3, 3), (192, 96, 3, 3), (192, 192, 3, 3), (192, 192, 3, 3),
    (192, 192, 3, 3), (192, 192, 1, 1), (192, 192, 1, 1), (10, 192),
]  # fmt: skip
"""Of the weights, from the table of the paper's appendix."""
SAME_FUNCTION = [name for name in NORMALIZERS if name not in ("spectral_norm", "layer_norm")]


def test_layers_are_those_of_the_papers_table() -> None:
    network = ConvPool(normalizer="none", width=1.0)
    assert [tuple(layer.weight.shape) for layer in name_layers(network).values()] == SHAPES
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_406_794  # worked by hand
    normalized = ConvPool(normalizer="weight_norm", width=1.0)
    assert sum(parameter.numel() for parameter in normalized.parameters()) == 1_406_794 + 3 * 96 + 6 * 192 + 10
    layers = [type(layer) for layer in name_layers(normalized).values()]
    assert layers == [WeightNormConv2d] * 9 + [WeightNormLinear]


def test_space_shrinks_as_in_the_papers_table() -> None:
    sizes = []
    network = ConvPool(normalizer="none", width=0.05).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            module.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[-1]))
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert sizes == [32, 32, 32, 16, 16, 16, 16, 8, 6, 6, 6]
    slopes = {module.negative_slope for module in network.modules() if isinstance(module, nn.LeakyReLU)}
    assert slopes == {0.1}


def test_noise_has_its_std_in_training_alone() -> None:
    noise, zeros = GaussianNoise(0.15), torch.zeros(200, 500)
    assert abs(float(noise(zeros).std()) - 0.15) < 0.002
    assert torch.equal(noise.eval()(zeros), zeros)


def test_all_normalizers_begin_from_one_function_whose_layers_have_mean_0_and_variance_1() -> None:
    images = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    logits = {}
    for name in SAME_FUNCTION:
        network = ConvPool(normalizer=name, width=0.06)
        initialize_from_data(network, images, generator=torch.Generator().manual_seed(1))
        logits[name] = network.eval()(images)
    for name in SAME_FUNCTION:
        torch.testing.assert_close(logits[name], logits["none"], atol=2e-5, rtol=1e-4)
    outputs = {}
    network = ConvPool(normalizer="weight_norm", width=0.06).eval()
    initialize_from_data(network, images, generator=torch.Generator().manual_seed(1))
    for name, layer in name_layers(network).items():
        layer.register_forward_hook(lambda layer, inputs, output, name=name: outputs.setdefault(name, output))
    network(images)
    for output in outputs.values():
        units = output.transpose(0, 1).flatten(1)
        torch.testing.assert_close(units.mean(1), torch.zeros(len(units)), atol=1e-4, rtol=0)
        torch.testing.assert_close(units.var(1, correction=0), torch.ones(len(units)), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("num_rows", "num_columns"), [(500, 6), (5, 12)])
def test_whitening_is_that_of_its_definition(num_rows: int, num_columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(num_rows, num_columns, generator=generator, dtype=torch.float64)
    x = x @ torch.randn(num_columns, num_columns, generator=generator, dtype=torch.float64) + 3
    whitening = fit_whitening(x, regularization=0.01)
    covariance = (x - x.mean(0)).T @ (x - x.mean(0)) / num_rows
    u, s, _ = torch.linalg.svd(covariance)
    matrix = u @ torch.diag((s + 0.01) ** -0.5) @ u.T
    torch.testing.assert_close(whitening.apply(x), (x - x.mean(0)) @ matrix)
    other = torch.randn(3, num_columns, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(whitening.apply(other), (other - x.mean(0)) @ matrix)
    whitened = whitening.apply(x)
    torch.testing.assert_close(whitened.mean(0), torch.zeros(num_columns, dtype=torch.float64), atol=1e-9, rtol=0)
    expected = u @ torch.diag(s / (s + 0.01)) @ u.T
    torch.testing.assert_close(whitened.T @ whitened / num_rows, expected)


def test_whitening_of_many_rows_is_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * 3 + 1
    whole = fit_whitening(x, regularization=1e-5)
    monkeypatch.setattr("wn_rl.paper.whitening.ROWS", 7)
    parts = fit_whitening(x, regularization=1e-5)
    torch.testing.assert_close(parts.apply(x), whole.apply(x))

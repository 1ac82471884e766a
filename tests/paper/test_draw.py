"""DRAW's window is that of its equations, its LSTM that of its, and w is computed once however often it is applied."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from wn_rl.nn import weight_norm
from wn_rl.nn.statistics import name_layers
from wn_rl.paper.attention import make_window, read_patch, write_patch
from wn_rl.paper.draw_network import Draw
from wn_rl.paper.experiment_settings import PER_EXAMPLE_WEIGHTS
from wn_rl.paper.peephole_lstm import CellState, PeepholeLSTM

HEIGHT, WIDTH, SIZE = 7, 9, 3


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def compute_filters(parameters: list[float]) -> tuple[list[list[float]], list[list[float]], float]:
    """F_Y, F_X and γ of Gregor et al. 2015, number by number."""
    gx, gy, log_variance, log_stride, log_intensity = parameters
    centers = {"x": (WIDTH + 1) / 2 * (gx + 1), "y": (HEIGHT + 1) / 2 * (gy + 1)}
    stride = (max(HEIGHT, WIDTH) - 1) / (SIZE - 1) * math.exp(log_stride)
    filters = {}
    for axis, length in (("y", HEIGHT), ("x", WIDTH)):
        filters[axis] = []
        for i in range(1, SIZE + 1):
            mean = centers[axis] + (i - SIZE / 2 - 0.5) * stride
            row = [math.exp(-((a - mean) ** 2) / (2 * math.exp(log_variance))) for a in range(1, length + 1)]
            filters[axis].append([value / sum(row) for value in row])
    return filters["y"], filters["x"], math.exp(log_intensity)


def test_windows_read_and_write_as_a_loop_does() -> None:
    parameters = 0.3 * torch.randn(4, 5, generator=seeded(0)) + torch.tensor([0.0, 0.0, 1.5, -0.5, 0.0])
    images, patches = torch.rand(4, HEIGHT, WIDTH, generator=seeded(1)), torch.rand(4, SIZE, SIZE, generator=seeded(2))
    window = make_window(parameters, size=SIZE, height=HEIGHT, width=WIDTH)
    read, written = read_patch(images, window), write_patch(patches, window)
    for number in range(4):
        rows, columns, intensity = compute_filters(parameters[number].tolist())
        for i in range(SIZE):
            for j in range(SIZE):
                expected = intensity * sum(
                    rows[i][a] * float(images[number, a, b]) * columns[j][b]
                    for a in range(HEIGHT) for b in range(WIDTH)
                )  # fmt: skip
                assert float(read[number, i * SIZE + j]) == pytest.approx(expected, rel=1e-4)
        for a, b in [(0, 0), (2, 5), (6, 8), (3, 1)]:
            expected = sum(
                rows[i][a] * float(patches[number, i, j]) * columns[j][b] for i in range(SIZE) for j in range(SIZE)
            )
            assert float(written[number, a, b]) == pytest.approx(expected / intensity, rel=1e-4, abs=1e-7)


def test_a_window_outside_of_the_image_sees_nothing_and_is_no_nan() -> None:
    parameters = torch.tensor([[50.0, 0.0, -20.0, 0.0, 0.0]], requires_grad=True)
    window = make_window(parameters, size=SIZE, height=HEIGHT, width=WIDTH)
    seen = read_patch(torch.ones(1, HEIGHT, WIDTH), window)
    seen.sum().backward()
    assert not seen.any()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()


def make_plain(num_inputs: int, num_outputs: int, has_bias: bool) -> nn.Module:
    return nn.Linear(num_inputs, num_outputs, bias=has_bias)


def test_without_peepholes_it_is_pytorchs_lstm() -> None:
    torch.manual_seed(0)
    lstm = PeepholeLSTM(make_plain, num_inputs=3, num_units=4, initial_peepholes=torch.zeros(3, 4))
    other = nn.LSTMCell(3, 4)
    with torch.no_grad():
        other.weight_ih.copy_(lstm.input.weight)
        other.weight_hh.copy_(lstm.recurrent.weight)
        other.bias_ih.copy_(lstm.input.bias)
        other.bias_hh.zero_()
    x, state = torch.randn(5, 3), CellState(torch.randn(5, 4), torch.randn(5, 4))
    torch.testing.assert_close(tuple(lstm(x, state)), other(x, tuple(state)))


def test_peepholes_let_gates_see_the_cell_as_worked_by_hand() -> None:
    lstm = PeepholeLSTM(make_plain, num_inputs=1, num_units=1, initial_peepholes=torch.tensor([[1.0], [2.0], [3.0]]))
    with torch.no_grad():
        lstm.input.weight.copy_(torch.tensor([[0.0], [0.0], [1.0], [0.0]]))
        lstm.recurrent.weight.zero_()
        lstm.input.bias.zero_()

    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    with torch.no_grad():
        hidden, cell = lstm(torch.tensor([[0.7]]), CellState(torch.zeros(1, 1), torch.tensor([[0.5]])))
    expected = sigmoid(2 * 0.5) * 0.5 + sigmoid(0.5) * math.tanh(0.7)
    assert float(cell) == pytest.approx(expected)
    assert float(hidden) == pytest.approx(sigmoid(3 * expected) * math.tanh(expected))


def make_network(normalizer: str, *, attention: bool = True, num_glimpses: int = 4) -> Draw:
    return Draw(
        normalizer=normalizer, num_glimpses=num_glimpses, num_units=6, num_latents=3, attention=attention,
        initial_weight_std=0.1, generator=seeded(0),
    )  # fmt: skip


def draw_images(num_images: int) -> torch.Tensor:
    return (torch.rand(num_images, 1, 28, 28, generator=seeded(1)) < 0.3).float()


@pytest.mark.parametrize("attention", [False, True])
def test_all_normalizers_begin_from_one_function(attention: bool) -> None:
    paintings = {}
    for name in PER_EXAMPLE_WEIGHTS:
        torch.manual_seed(3)
        paintings[name] = make_network(name, attention=attention)(draw_images(2))
    for painting in paintings.values():
        torch.testing.assert_close(painting, paintings["none"])
    assert paintings["none"].canvases.shape == (4, 2, 28, 28)
    assert paintings["none"].canvases[-1].std() > 0


def test_each_weight_is_computed_once_in_a_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[Any] = []
    compute = weight_norm._compute

    def count(v: torch.Tensor, g: torch.Tensor) -> Any:
        computed.append(v)
        return compute(v, g)

    def fail(v: torch.Tensor, g: torch.Tensor) -> Any:
        raise AssertionError("a weight is computed at a glimpse")

    monkeypatch.setattr(weight_norm, "_compute", count)
    monkeypatch.setattr(weight_norm, "_compute_fused", fail)
    network = make_network("weight_norm", num_glimpses=5)
    network(draw_images(2)).canvases.sum().backward()
    assert len(computed) == len(name_layers(network)) == 8
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_gradients_with_weights_computed_once_are_those_of_a_plain_network() -> None:
    outputs = []
    for name in ("none", "weight_norm"):
        network = make_network(name)
        torch.manual_seed(3)
        painting = network(draw_images(3))
        (painting.canvases[-1].square().mean() + painting.kl.mean()).backward()
        outputs.append(network.encoder.peepholes.grad)
    torch.testing.assert_close(outputs[0], outputs[1])


def test_layers_and_parameters_are_those_worked_by_hand() -> None:
    network = Draw(
        normalizer="none", num_glimpses=10, num_units=256, num_latents=100, attention=True, initial_weight_std=0.01,
        generator=seeded(0),
    )  # fmt: skip
    shapes = {name: tuple(layer.weight.shape) for name, layer in name_layers(network).items()}
    assert shapes == {
        "reader_window": (5, 256), "encoder_input": (1024, 8 + 256), "encoder_recurrent": (1024, 256),
        "posterior": (200, 256), "decoder_input": (1024, 100), "decoder_recurrent": (1024, 256),
        "writer_window": (5, 256), "writer_patch": (25, 256),
    }  # fmt: skip
    weights = torch.cat([layer.weight.flatten() for layer in name_layers(network).values()])
    assert float(weights.detach().std()) == pytest.approx(0.01, rel=0.01)
    assert not any(layer.bias.any() for layer in name_layers(network).values() if layer.bias is not None)


def test_what_is_painted_of_noise_grows_glimpse_by_glimpse() -> None:
    network = make_network("weight_norm")
    noise = torch.randn(4, 2, 3, generator=seeded(2))
    canvases = network.sample(noise)
    assert canvases.shape == (4, 2, 28, 28)
    torch.testing.assert_close(network.sample(noise[:2]), canvases[:2])

"""The residual torso against its equations, its first weights, its folded copy, and what it refuses."""

import copy
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.helpers.networks import ALL_NORMALIZERS, draw_frames, make_generator, make_network
from wn_rl.envs.atari import OBSERVATION
from wn_rl.errors import ConfigurationError
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.networks.q_network import QNetwork, make_q_network
from wn_rl.networks.reshaping import SpaceToDepth
from wn_rl.nn.folding import make_folded
from wn_rl.nn.initialization import initialize_from_data, scale_
from wn_rl.nn.residual import Residual
from wn_rl.nn.statistics import name_layers
from wn_rl.types import ObservationSpec

TORSOS = ["impala", "impala_small"]
FREE_TO_SCALE = [name for name in ALL_NORMALIZERS if name not in ("spectral_norm", "layer_norm")]
ATARI = {"head": "linear", "num_actions": 6, "stack_size": 4, "observation": OBSERVATION, "generator": None}


@cache  # the networks of many tests, which copy what they change
def initialized(normalizer: str, torso: str = "impala_small") -> QNetwork:
    network = make_network(normalizer, torso=torso)
    network.initialize_from_data(draw_frames(), 1.0, make_generator(2))
    return network


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("torso", "first_channels", "places"), [("impala", 4, 11 * 11), ("impala_small", 16, 6 * 6)])
def test_it_has_the_size_of_figure_3_of_espeholt_et_al_2018(torso: str, first_channels: int, places: int) -> None:
    network = make_q_network(torso=torso, normalizer="none", hidden_units=256, **ATARI)
    sections = [(first_channels, 16), (16, 32), (32, 32)]
    convolutions = sum((9 * i + 1) * o + 4 * (9 * o + 1) * o for i, o in sections)
    assert count_parameters(network) == convolutions + (32 * places + 1) * 256 + (256 + 1) * 6
    assert list(name_layers(network)) == [*(f"conv{k}" for k in range(1, 16)), "linear", "output"]


def test_widths_and_pooling_are_those_that_are_asked_for() -> None:
    """Twice the widths, of 6 x 6 places: Clark et al. 2024."""
    network = make_q_network(
        torso="impala", normalizer="none", hidden_units=8, impala_widths=[32, 64, 64], impala_pooled_size=6, **ATARI
    )
    assert [conv.out_channels for conv in network.modules() if isinstance(conv, nn.Conv2d)] == [32] * 5 + [64] * 10
    (linear,) = [module for module in network.torso.modules() if isinstance(module, nn.Linear)]
    assert linear.in_features == 64 * 36
    assert network(torch.zeros(2, 4, 84, 84, dtype=torch.uint8)).q_values.shape == (2, 6)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("torso", "pooled_size"), [("impala", None), ("impala_small", None), ("impala", 2)])
def test_features_are_those_of_the_equations(
    torso: str, pooled_size: int | None, memory_format: torch.memory_format
) -> None:
    """Written out with PyTorch's functions, on frames that are not square and of an odd height."""
    observation = ObservationSpec((37, 44), "uint8")
    network = make_q_network(
        torso=torso, head="linear", normalizer="none", num_actions=5, stack_size=3, observation=observation,
        hidden_units=24, generator=make_generator(0), impala_widths=[3, 4], impala_pooled_size=pooled_size,
    ).double()  # fmt: skip
    convs = [module for module in network.torso.modules() if isinstance(module, nn.Conv2d)]
    frames = draw_frames(4)
    x = frames.double() / 255
    if torso == "impala_small":
        x = torch.cat([x[:, :, dy:36:2, dx::2] for dy in range(2) for dx in range(2)], dim=1)
    for first, *others in (convs[:5], convs[5:]):
        x = F.max_pool2d(F.conv2d(x, first.weight, first.bias, padding=1), 3, 2, padding=1)
        for k in (0, 2):
            y = F.conv2d(x.relu(), others[k].weight, others[k].bias, padding=1)
            x = x + F.conv2d(y.relu(), others[k + 1].weight, others[k + 1].bias, padding=1)
    x = x.relu() if pooled_size is None else F.adaptive_max_pool2d(x.relu(), pooled_size)
    (linear,) = [module for module in network.torso.modules() if isinstance(module, nn.Linear)]
    by_hand = linear(x.permute(0, 2, 3, 1).flatten(1)).relu()
    features = network.to(memory_format=memory_format).compute_features(frames.to(memory_format=memory_format))
    torch.testing.assert_close(features, by_hand)


def test_a_block_of_pixels_is_a_place_as_pytorch_has_it() -> None:
    """But for the order of the channels, in which PyTorch has those of one channel together; and odd borders go."""
    x = torch.randn(2, 3, 7, 9)
    expected = F.pixel_unshuffle(x[:, :, :6, :8], 2).unflatten(1, (3, 4)).transpose(1, 2).flatten(1, 2)
    assert torch.equal(SpaceToDepth(2)(x), expected)
    assert SpaceToDepth(2)(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("torso", TORSOS)
@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_every_normalizer_learns_in_it_and_folds_to_the_same_outputs(torso: str, normalizer: str) -> None:
    network = copy.deepcopy(initialized(normalizer, torso))
    network(draw_frames(4)).q_values.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    expected = network.eval()(draw_frames(seed=5)).q_values
    torch.testing.assert_close(make_folded(network)(draw_frames(seed=5)).q_values, expected, rtol=1e-3, atol=1e-4)


def run_by_layers(network: QNetwork, kinds: tuple[type[nn.Module], ...]) -> list[tuple[nn.Module, torch.Tensor]]:
    """What the modules of these kinds return of the frames that first weights came from, in evaluation mode."""
    found: list[tuple[nn.Module, torch.Tensor]] = []
    handles = [
        module.register_forward_hook(lambda used, _, output: found.append((used, output.detach().clone())))
        for module in network.modules() if isinstance(module, kinds)
    ]  # fmt: skip
    with torch.no_grad():
        network.eval()(draw_frames())
    for handle in handles:
        handle.remove()
    return found


def compute_units(output: torch.Tensor) -> torch.Tensor:
    return output.movedim(1, 0).flatten(1)


@pytest.mark.parametrize("normalizer", FREE_TO_SCALE)
def test_what_the_branches_of_a_section_add_begins_with_variance_one_half_each(normalizer: str) -> None:
    """And every layer within them with mean 0 and variance 1, as ever."""
    network = copy.deepcopy(initialized(normalizer))
    branches = {id(module.layers[-1]): module for module in network.modules() if isinstance(module, Residual)}
    assert len(branches) == 6
    inner = {id(module.layers[1]) for module in branches.values()}
    kinds = tuple({type(module.layers[-1]) for module in branches.values()})
    measured = [(id(module), compute_units(output)) for module, output in run_by_layers(network, kinds)]
    for module, units in measured:
        if module in branches or module in inner:
            expected = 0.5**0.5 if module in branches else 1.0
            torch.testing.assert_close(units.mean(1), torch.zeros(len(units)), rtol=0, atol=1e-3)
            torch.testing.assert_close(
                units.std(1, correction=0), torch.full((len(units),), expected), rtol=1e-2, atol=1e-3
            )
    assert len([module for module, _ in measured if module in branches]) == 6


def test_the_variance_of_the_sums_stays_within_bounds_through_the_sections() -> None:
    sums = run_by_layers(copy.deepcopy(initialized("weight_norm")), (Residual,))
    variances = [float(compute_units(output).var(1).mean()) for _, output in sums]
    assert len(variances) == 6
    assert min(variances) > 0.5
    assert max(variances) < 2.2  # 2.7 with a std of 1 for every branch


@pytest.mark.parametrize("normalizer", FREE_TO_SCALE)
def test_first_functions_are_the_same_under_every_normalizer(normalizer: str) -> None:
    found, expected = (initialized(name).eval()(draw_frames(seed=5)).q_values for name in (normalizer, "none"))
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("normalizer", ALL_NORMALIZERS)
def test_a_normalized_layer_is_scaled_by_its_gain(normalizer: str) -> None:
    network = copy.deepcopy(initialized(normalizer)).eval()
    last = next(module for module in network.modules() if isinstance(module, Residual)).layers[-1]
    x = torch.randn(2, 16, 5, 5, generator=make_generator(3))
    before = last(x)
    if normalizer == "spectral_norm":
        with pytest.raises(ConfigurationError, match="spectral norm fixes the scale"):
            scale_(last, 0.3)
        return
    scale_(last, 0.3)
    torch.testing.assert_close(last(x), 0.3 * before, rtol=1e-4, atol=1e-5)


def test_residual_branches_of_any_network_begin_by_their_number() -> None:
    layers = [Residual(nn.Sequential(nn.ReLU(), nn.Linear(6, 6)), num_in_a_row=9) for _ in range(9)]
    network, x = nn.Sequential(*layers), torch.randn(500, 6, generator=make_generator(0))
    initialize_from_data(network, x, generator=make_generator(1))
    for layer in layers:
        std = layer.layers(x).std(0, correction=0)
        torch.testing.assert_close(std, torch.full((6,), 1 / 3), rtol=1e-4, atol=1e-5)
        x = layer(x)


@pytest.mark.parametrize("torso", TORSOS)
def test_channels_last_bfloat16_and_autocast_change_little(torso: str) -> None:
    network = copy.deepcopy(initialized("weight_norm", torso)).eval()
    frames = draw_frames()
    expected = network(frames).q_values
    last = network.to(memory_format=torch.channels_last)
    frames = frames.to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(frames).q_values, expected, rtol=1e-3, atol=1e-4)
    folded = FoldedNetwork(last, dtype=torch.bfloat16).sync(last)
    with torch.autocast("cpu", torch.bfloat16):
        rough = last(frames).q_values
    for found in (rough, folded(frames)):
        assert (found - expected).square().mean().sqrt() < 0.1  # of a std of 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"impala_widths": []}, r"network.impala_widths=\[\]: needs a list of 1 to 6 whole numbers"),
        ({"impala_widths": [16, 0]}, "network.impala_widths=0: needs a number of at least 1"),
        (
            {"impala_pooled_size": 7},
            "impala_pooled_size=7: the sections leave 6 x 6 places .* needs .* 1 to 6",
        ),
        ({"observation": ObservationSpec((1, 84), "uint8")}, "too small for the blocks of 2 x 2 pixels"),
        ({"observation": ObservationSpec((4,), "float32")}, "this torso is of convolutions"),
    ],
)
def test_what_cannot_be_built_is_one_line_that_says_what_to_do(options: dict, message: str) -> None:
    settings = {"torso": "impala_small", "normalizer": "none", "hidden_units": 8, **ATARI, **options}
    with pytest.raises(ConfigurationError, match=message) as caught:
        make_q_network(**settings)
    assert "\n" not in str(caught.value)

"""A memory: unrolled in one call it is what it is step by step, and PyTorch's own layer; and it makes a difference."""

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.networks import draw_frames, make_generator
from wn_rl.errors import ConfigurationError
from wn_rl.networks.episode_memory import MEMORIES, Memory, make_memory
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.networks.q_network import QNetwork, make_q_network
from wn_rl.nn.folding import make_folded
from wn_rl.nn.normalizers import NORMALIZERS, RECURRENT_NORMALIZERS
from wn_rl.nn.weight_norm_recurrent import WeightNormLSTM, named_weights
from wn_rl.types import ObservationSpec

NUM_LANES, NUM_STEPS, NUM_FEATURES, NUM_UNITS = 3, 6, 7, 5
IS_FIRST = torch.zeros(NUM_LANES, NUM_STEPS, dtype=torch.bool)
IS_FIRST[0, 2] = IS_FIRST[1, 0] = IS_FIRST[1, 4] = IS_FIRST[1, 5] = True
"""Amid the first lane, at the beginning of the second and twice at its end, nowhere in the third."""


def make_toy_memory(name: str = "lstm", normalizer: str = "weight_norm") -> Memory:
    return make_memory(name, NUM_FEATURES, NUM_UNITS, normalizer=normalizer, generator=make_generator(1))


def draw_sequences(memory: Memory) -> tuple[Tensor, Tensor]:
    """Features of all steps, lane after lane, and what is remembered before them."""
    generator = make_generator(2)
    features = torch.randn(NUM_LANES * NUM_STEPS, NUM_FEATURES, generator=generator)
    return features, torch.rand(NUM_LANES, memory.size, generator=generator) - 0.5


def step_by_step(memory: Memory, features: Tensor, remembered: Tensor) -> tuple[Tensor, Tensor]:
    """The same, one step of all lanes at a time, as they are played."""
    outputs = []
    for step, now in enumerate(features.unflatten(0, (NUM_LANES, NUM_STEPS)).unbind(1)):
        remembered = torch.where(IS_FIRST[:, step, None], 0.0, remembered)
        output, remembered = memory(now, remembered, None)
        outputs.append(output)
    return torch.stack(outputs, dim=1).flatten(0, 1), remembered


@pytest.mark.parametrize("normalizer", ["none", "weight_norm"])
@pytest.mark.parametrize("name", MEMORIES)
def test_one_call_is_the_same_as_step_by_step_with_episodes_that_begin_amid_lanes(name: str, normalizer: str) -> None:
    memory = make_toy_memory(name, normalizer)
    features, remembered = draw_sequences(memory)
    expected = step_by_step(memory, features, remembered)
    torch.testing.assert_close(memory(features, remembered, IS_FIRST), expected, rtol=1e-5, atol=1e-6)
    without = memory(features, remembered, torch.zeros_like(IS_FIRST))
    assert (without[0] - expected[0]).abs().max() > 1e-3


@pytest.mark.parametrize("name", MEMORIES)
def test_its_gradient_is_that_of_pytorchs_layer_on_each_episode_by_itself(name: str) -> None:
    """Weights, features and memory; the plain layer has the weights that v and g come to."""
    memory = make_toy_memory(name)
    features, remembered = (tensor.requires_grad_() for tensor in draw_sequences(memory))
    weights = named_weights(memory.layer)
    torch.manual_seed(3)
    factors = torch.randn(NUM_LANES * NUM_STEPS, NUM_UNITS)
    plain = {"lstm": nn.LSTM, "gru": nn.GRU}[name](NUM_FEATURES, NUM_UNITS, batch_first=True)
    plain.load_state_dict({key: value.detach() for key, value in weights.items()})
    total = torch.zeros(())
    for lane in range(NUM_LANES):
        begins = [0, *(step for step in range(1, NUM_STEPS) if IS_FIRST[lane, step]), NUM_STEPS]
        for begin, end in itertools.pairwise(begins):
            state = remembered[lane] if begin == 0 and not IS_FIRST[lane, 0] else torch.zeros(memory.size)
            hx: Any = [part[None, None] for part in state.chunk(memory.size // NUM_UNITS)]
            rows = slice(lane * NUM_STEPS + begin, lane * NUM_STEPS + end)
            outputs, _ = plain(features[rows][None], hx[0] if name == "gru" else hx)
            total = total + (outputs[0] * factors[rows]).sum()
    expected = torch.autograd.grad(total, [features, remembered, *plain.parameters()])
    outputs, _ = memory(features, remembered, IS_FIRST)
    v_and_g = list(memory.layer.parameters())
    grad_features, grad_memory, *grad_v_and_g = torch.autograd.grad(
        (outputs * factors).sum(), [features, remembered, *v_and_g]
    )
    torch.testing.assert_close((grad_features, grad_memory), expected[:2], rtol=1e-5, atol=1e-6)
    through_plain = torch.autograd.grad(list(weights.values()), v_and_g, expected[2:])
    torch.testing.assert_close(grad_v_and_g, [*through_plain], rtol=1e-4, atol=1e-6)


def make_network(normalizer: str, memory: str | None = "lstm", **changes: Any) -> QNetwork:
    return make_q_network(**{
        "torso": "mlp", "head": "linear", "normalizer": normalizer, "num_actions": 5, "stack_size": 3,
        "observation": ObservationSpec((37, 44), "uint8"), "hidden_units": 24, "memory": memory,
        "memory_units": NUM_UNITS, "generator": make_generator(0), **changes,
    })  # fmt: skip


def test_what_is_remembered_changes_the_values_and_begins_as_zeros() -> None:
    network, frames = make_network("weight_norm"), draw_frames(4)
    first = network(frames)
    assert first.memory.shape == (4, 2 * NUM_UNITS)
    second = network(frames, memory=first.memory)
    assert ((second.q_values - first.q_values).abs().amax(dim=1) > 1e-4).all()
    zeroed = network(frames, memory=torch.zeros_like(first.memory))
    assert torch.equal(zeroed.q_values, first.q_values)


@pytest.mark.parametrize("name", MEMORIES)
@pytest.mark.parametrize("normalizer", sorted(RECURRENT_NORMALIZERS))
def test_the_folded_network_remembers_what_the_online_one_does(normalizer: str, name: str) -> None:
    network = make_network(normalizer, name)
    network.initialize_from_data(draw_frames(12), 1.0, make_generator(4), is_first=torch.zeros(3, 4, dtype=torch.bool))
    network(draw_frames(seed=5))  # running statistics
    folded = FoldedNetwork(network, dtype=torch.float32).sync(network)
    network.eval()
    memory = network(draw_frames(4)).memory.detach()
    q_values, remembered = folded.remember(draw_frames(4, seed=6), memory)
    expected = network(draw_frames(4, seed=6), memory=memory)
    torch.testing.assert_close((q_values, remembered), (expected.q_values, expected.memory), rtol=1e-4, atol=1e-5)
    assert isinstance(network.memory, Memory)
    assert isinstance(network.memory.layer, WeightNormLSTM) == (name == "lstm" and "weight_norm" in normalizer)


@pytest.mark.parametrize("normalizer", sorted(NORMALIZERS.keys() - RECURRENT_NORMALIZERS))
def test_a_normalizer_that_has_nothing_for_it_is_refused(normalizer: str) -> None:
    with pytest.raises(ConfigurationError, match=f"normalizer of a memory='{normalizer}' is unknown"):
        make_network(normalizer)


def test_first_weights_give_values_of_the_std_that_is_asked_for_over_whole_lanes() -> None:
    network, frames = make_network("weight_norm"), draw_frames(64)
    is_first = torch.zeros(4, 16, dtype=torch.bool)
    is_first[1, 7] = True
    network.initialize_from_data(frames, 0.1, make_generator(7), is_first=is_first)
    q_values = network(frames, is_first=is_first).q_values
    torch.testing.assert_close(q_values.std(dim=0, correction=0), torch.full((5,), 0.1), rtol=1e-3, atol=0)
    assert (q_values.mean(dim=0).abs() < 1e-3).all()


def test_it_remembers_in_float32_whatever_the_rest_computes_in() -> None:
    network = make_network("weight_norm", dueling=True)
    reduced = copy.deepcopy(make_folded(network)).reduce_precision_(torch.bfloat16)  # type: ignore[operator]
    assert {parameter.dtype for parameter in reduced.memory.parameters()} == {torch.float32}
    exact = network(draw_frames(4)).memory
    torch.testing.assert_close(reduced(draw_frames(4)).memory, exact, rtol=0, atol=0.02)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(draw_frames(4)).memory.dtype == torch.float32


def test_a_network_without_one_has_the_parameters_that_it_always_had() -> None:
    with_memory, without = make_network("weight_norm"), make_network("weight_norm", None)
    assert without(draw_frames(2)).memory is None
    others = {name for name in with_memory.state_dict() if name.startswith("memory.")}
    assert with_memory.state_dict().keys() - others == without.state_dict().keys()

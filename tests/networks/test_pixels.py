"""Centered pixels: what the first observations have in common is 0, in every copy of the network."""

import json
import math
from pathlib import Path

import pytest
import torch

from tests.helpers.networks import draw_frames, make_network
from wn_rl.networks import pixel_kernel
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.networks.pixels import ScaleNumbers, ScalePixels
from wn_rl.networks.q_network import QNetwork
from wn_rl.runs.agent import load_agent, save_agent

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
OBSERVATIONS = torch.tensor([[[[0, 10], [255, 7]], [[0, 11], [255, 9]]], [[[4, 12], [255, 7]], [[0, 13], [254, 9]]]])


def make_centered(normalizer: str = "weight_norm") -> QNetwork:
    network = make_network(normalizer, center_pixels=True)
    network.initialize_from_data(draw_frames(32, seed=5), 1.0, torch.Generator().manual_seed(1))
    return network.eval()


def test_pixels_are_centered_on_the_mean_over_observations_and_their_frames():
    scale = ScalePixels((2, 2))
    observations = OBSERVATIONS.to(torch.uint8)
    assert scale(observations).equal(ScalePixels(None)(observations))  # before it has seen any
    scale.center_(observations)
    assert scale.mean.tolist() == [[1, 12], [255, 8]]  # of 1, 11.5, 254.75 and 8
    torch.testing.assert_close(scale(observations), (OBSERVATIONS - scale.mean.long()) / 255)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pytorch_and_the_kernel_center_alike(dtype, monkeypatch):
    scale = ScalePixels((2, 2))
    scale.center_(OBSERVATIONS.to(torch.uint8))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        expected = scale(OBSERVATIONS.to(torch.uint8))
        monkeypatch.setattr(pixel_kernel, "can_scale", lambda *_: False)
        found = scale(OBSERVATIONS.to(torch.uint8))
    assert found.dtype == expected.dtype == dtype
    torch.testing.assert_close(found, expected, rtol=2**-7 if dtype == torch.bfloat16 else 1e-6, atol=0)


def test_a_network_is_centered_before_its_first_weights_are_made():
    """Else they would give its first layer other means than 0."""
    frames = draw_frames(32, seed=5)
    network = make_centered()
    scale, _, layer = network.torso.layers[:3]
    assert scale.mean.equal(frames.float().mean((0, 1)).round().to(torch.uint8))
    outputs = layer(network.torso.layers[1](scale(frames)))
    torch.testing.assert_close(outputs.mean((0, 2, 3)), torch.zeros(layer.out_channels), rtol=0, atol=1e-4)


@pytest.mark.parametrize("normalizer", ["weight_norm", "none", "batch_norm"])
def test_folded_copies_are_centered_alike(normalizer):
    network = make_centered(normalizer)
    folded = FoldedNetwork(make_network(normalizer, center_pixels=True), dtype=torch.bfloat16).sync(network)
    assert folded.network.torso.layers[0].mean.equal(network.torso.layers[0].mean)
    expected = network(draw_frames(4)).q_values
    torch.testing.assert_close(folded(draw_frames(4)), expected, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_saved_agent_is_centered_alike(tmp_path: Path, dtype):
    network = make_centered()
    description = {
        **json.loads((CHECKPOINTS / "Pong" / "agent.json").read_text()),
        "network": {
            "torso": "nature", "head": "linear", "normalizer": "weight_norm", "num_actions": 5, "stack_size": 3,
            "frame_shape": [37, 44], "hidden_units": 24, "center_pixels": True,
        },
    }  # fmt: skip
    save_agent(tmp_path, network, description, dtype=dtype)
    loaded = load_agent(tmp_path).network
    expected = network(draw_frames(4)).q_values
    torch.testing.assert_close(loaded(draw_frames(4)).q_values, expected, rtol=0.01, atol=0.01)
    assert loaded.torso.layers[0].mean.equal(network.torso.layers[0].mean)


def test_vectors_are_standardized_and_squashed() -> None:
    """symlog((x − mean) / std), worked by hand; a number that never changes is 0 where it stays, and keeps its unit."""
    scale = ScaleNumbers((2,))
    observations = torch.tensor([[[1.0, 5.0]], [[3.0, 5.0]]])
    torch.testing.assert_close(scale(observations), observations.log1p())
    scale.center_(observations)
    torch.testing.assert_close(scale(observations), torch.tensor([[[-1.0, 0.0]], [[1.0, 0.0]]]) * math.log(2))
    torch.testing.assert_close(scale(torch.tensor([[[2.0, 4.0]]])), torch.tensor([[[0.0, -math.log(2)]]]))

"""An agent as a graph computes the same Q-values without this program, for any number of observations."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.sb3_agents import make_agent, play_frames
from wn_rl.errors import ConfigurationError
from wn_rl.interop import graphs
from wn_rl.runs.agent import Agent

NETWORKS: dict[str, dict[str, Any]] = {
    "small, centered, dueling quantiles": {
        "torso": "small", "head": "quantile", "dueling": True, "center_pixels": True, "normalizer": "none"
    },
    "nature": {},
    "residual, noisy, implicit quantiles": {
        "torso": "impala_small", "head": "implicit_quantile", "noisy": True, "impala_widths": [4, 4],
        "normalizer": "layer_norm",
    },
    "atoms": {"torso": "small", "head": "categorical"},
}  # fmt: skip


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in list(NETWORKS)[1:]]


@pytest.fixture(scope="module", params=[next(iter(NETWORKS)), *SLOW])
def agent(request: pytest.FixtureRequest) -> Agent:
    return make_agent(**NETWORKS[request.param])


def compute(agent: Agent, observations: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return agent.network(observations).q_values.numpy()


def assert_tells_no_paths(path: Path) -> None:
    assert str(Path(graphs.__file__).parents[2]).encode() not in path.read_bytes()


def test_an_exported_program_is_the_same_function(agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "pong.pt2"
    graphs.save_exported_program(path, agent)
    told = {"agent.json": ""}
    module = torch.export.load(path, extra_files=told).module()
    for batch_size in (1, 3, 64):
        observations = play_frames()[:batch_size]
        np.testing.assert_allclose(module(observations).detach(), compute(agent, observations), rtol=0, atol=1e-5)
    assert json.loads(told["agent.json"])["action_names"][1] == "FIRE"
    assert_tells_no_paths(path)


@pytest.fixture(scope="module")
def onnx(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("onnx") / "pong.onnx"
    graphs.save_onnx(path, agent)
    return path


def test_an_onnx_model_is_the_same_function(agent: Agent, onnx: Path) -> None:
    session = pytest.importorskip("onnxruntime").InferenceSession(onnx, providers=["CPUExecutionProvider"])
    for batch_size in (1, 3, 64):
        observations = play_frames()[:batch_size]
        (computed,) = session.run(["q_values"], {"observations": observations.numpy()})
        expected = compute(agent, observations)
        assert expected.std() > 1e-3
        np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["protocol"])["frame_skip"] == 4
    assert json.loads(told["action_names"])[1] == "FIRE"
    assert_tells_no_paths(onnx)


def test_an_onnx_model_that_computes_something_else_is_not_written(
    agent: Agent, onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copy.deepcopy(agent)
    for layer in other.network.head.output_layers:
        layer.bias += torch.linspace(0, 1, len(layer.bias))
    monkeypatch.setattr(graphs, "_make_onnx", lambda agent: onnx.read_bytes())
    with pytest.raises(ConfigurationError, match=r"is off by \S+, which is more than \S+; nothing is written"):
        graphs.save_onnx(tmp_path / "pong.onnx", other)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_onnx_cannot_say_is_told_by_name(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    agent = make_agent(torso="impala_small", impala_widths=[4, 4], impala_pooled_size=6)
    with pytest.raises(ConfigurationError, match=r"as ONNX: No ONNX function found for .*max_pool2d.*torch_export"):
        graphs.save_onnx(tmp_path / "pong.onnx", agent)


def test_what_onnx_needs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ConfigurationError, match=r'onnxscript is needed here: .*: pip install "wn_rl\[onnx\]"'):
        graphs.save_onnx(tmp_path / "pong.onnx", make_agent(torso="mlp", hidden_units=4))

"""An agent as a graph that runs without this program: ONNX, or PyTorch's own exported program.

Both take observations [B, S, *frame] as the agent sees them, u8 pixels or float32 numbers, any B, and return Q-values
[B, A]. Which game and rules they are of, and what the actions are called, stands beside them in the file.
"""

import io
import json
import logging
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Num
from torch import Tensor, nn

from wn_rl.envs.protocols import load_protocol
from wn_rl.envs.selection import find_action_names, make_environments
from wn_rl.errors import ConfigurationError
from wn_rl.interop.extras import import_extra
from wn_rl.runs.agent import Agent
from wn_rl.system.files import write_whole

TOLERANCE = 1e-5
"""Largest difference of ONNX's Q-values from PyTorch's, of their largest, or of 1 where they are smaller."""
INPUT, OUTPUT = "observations", "q_values"
MAX_BATCH_SIZE = 65_536
OPSET = 20  # of 2024; every runtime since then has it


class _QValues(nn.Module):
    """Of all that a network returns, what acts."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, observations: Num[Tensor, "B S *frame"]) -> Float32[Tensor, "B A"]:
        return self.network(observations).q_values


def save_exported_program(path: Path, agent: Agent) -> None:
    """Write what ``torch.export.load(path).module()`` gives back; the description is in ``extra_files``.

    Raises:
        OSError: the file cannot be written.
    """
    program = _make_program(agent)
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={"agent.json": json.dumps(_describe(agent))})
    write_whole(path, content.getbuffer())


def save_onnx(path: Path, agent: Agent) -> None:
    """Write an ONNX model, and only after onnxruntime has computed the agent's Q-values with it.

    Raises:
        ConfigurationError: a package is missing, or its Q-values differ by more than ``TOLERANCE``.
        OSError: the file cannot be written.
    """
    for module in ("onnxscript", "onnxruntime"):
        import_extra(module, extra="onnx")
    content = _make_onnx(agent)
    _check_onnx(content, agent)
    write_whole(path, content)


def _make_program(agent: Agent) -> torch.export.ExportedProgram:
    """The graph of the network, for any batch size, without the paths of the machine that it was followed on."""
    program = torch.export.export(
        _QValues(agent.network), (_play_observations(agent, 2),), strict=False,
        dynamic_shapes=({0: torch.export.Dim("batch_size", min=1, max=MAX_BATCH_SIZE)},),
    )  # fmt: skip
    for module in program.graph_module.modules():  # autocast off makes a graph within the graph
        for node in getattr(module, "graph", program.graph).nodes:
            node.meta.pop("stack_trace", None)
    return program


def _make_onnx(agent: Agent) -> bytes:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells which other packages are not there
    program = _make_program(agent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own ways
            made = torch.onnx.export(
                program, dynamo=True, verbose=False, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT]
            )
        assert made is not None
    except torch.onnx.OnnxExporterError as error:
        reason = re.search(r"No ONNX function found for \S+ \S+", str(error))
        raise ConfigurationError(
            f"agent={agent.source} cannot be written as ONNX: {reason[0] if reason else error}; say format=torch_export"
        ) from error
    made.model.metadata_props.update({key: json.dumps(value) for key, value in _describe(agent).items()})
    content = io.BytesIO()
    made.save(content)  # type: ignore[arg-type]  # takes open files, too
    return content.getvalue()


def _check_onnx(content: bytes, agent: Agent) -> None:
    """Raise ConfigurationError unless the model computes what the agent does of its game, one stack or many."""
    runtime: Any = import_extra("onnxruntime", extra="onnx")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    played = _play_observations(agent, 64)
    for observations in (played[:1], played):
        with torch.inference_mode():
            expected = agent.network(observations).q_values.numpy()
        (computed,) = session.run([OUTPUT], {INPUT: observations.numpy()})
        difference, limit = np.abs(computed - expected).max(), TOLERANCE * max(1.0, np.abs(expected).max())
        if not difference <= limit:
            raise ConfigurationError(
                f"the ONNX model of agent={agent.source} is off by {difference:.2g}, which is more than {limit:.2g};"
                " nothing is written; format=torch_export keeps PyTorch's own arithmetic"
            )


def _play_observations(agent: Agent, num_observations: int) -> Num[Tensor, "B S *frame"]:
    """What the agent sees of its game under random actions."""
    environments = make_environments(
        agent.description["game"], load_protocol(agent.description["protocol"]), num_envs=1, num_threads=1
    )
    generator = np.random.default_rng(0)
    try:
        policy = agent.make_policy(torch.device("cpu"))
        frames, is_first, state = environments.reset(seeds=np.array([0])), np.array([True]), policy.begin(1)
        observations = []
        for _ in range(num_observations):
            state = policy.observe(frames, is_first, state)
            observations.append(state.stack)
            environments.send(generator.integers(environments.num_actions, size=1))
            step = environments.receive()
            frames, is_first = step.frame, step.ended
            if step.ended.any():
                frames = environments.reset(mask=step.ended)
    finally:
        environments.close()
    return torch.cat(observations)


def _describe(agent: Agent) -> dict[str, Any]:
    """What whoever runs the graph must know to play by it."""
    game, protocol = agent.description["game"], agent.description["protocol"]
    return {
        "game": game,
        "protocol": protocol,
        "action_names": list(find_action_names(game, load_protocol(protocol))),
        "stack_size": agent.stack_size,
        "agent_steps": agent.description["agent_steps"],
    }

"""A saved agent: what plays, and all that must be known to play it again and to believe its score.

An agent is a folder with two files: ``weights.safetensors``, the folded network (plain weights: what was weight
normalization in training is one multiplication done for good), and ``agent.json``, which names the game, the
protocol, the network, how it was trained, and the weights' sha256. Neither can carry code.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32, UInt8
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.files import write_whole
from wn_rl.nn.folding import make_folded
from wn_rl.nn.q_network import make_q_network

WEIGHTS_FILE = "weights.safetensors"
DESCRIPTION_FILE = "agent.json"
FORMAT = 1

_REQUIRED_KEYS = ("format", "game", "protocol", "network", "agent_steps")


@dataclass(frozen=True, kw_only=True)
class Agent:
    """A network that plays one game.

    Attributes:
        description: what ``agent.json`` holds.
        network: folded, in float32 and evaluation mode.
        source: the file or folder that it came from.
    """

    description: dict[str, Any]
    network: nn.Module
    source: Path

    @property
    def stack_size(self) -> int:
        """S, the frames in an observation."""
        return int(self.description["network"]["stack_size"])

    def make_q_function(self, device: torch.device) -> Callable[[UInt8[Tensor, "B S H W"]], Float32[Tensor, "B A"]]:
        """The network as a function from observations to Q-values, on a device."""
        return make_q_function(self.network.to(device))


def make_q_function(network: nn.Module) -> Callable[[UInt8[Tensor, "B S H W"]], Float32[Tensor, "B A"]]:
    """A network as a function from observations to float32 Q-values, without gradients."""

    @torch.inference_mode()
    def compute_q_values(observation: UInt8[Tensor, "B S H W"]) -> Float32[Tensor, "B A"]:
        return network(observation).q_values.float()

    return compute_q_values


def save_agent(folder: Path, network: nn.Module, description: dict[str, Any]) -> None:
    """Write the newest agent; each file appears whole or not at all, the description last.

    Args:
        folder: where ``weights.safetensors`` and ``agent.json`` go.
        network: the online network; it is folded here.
        description: what is known of it, its ``FORMAT`` included; the sha256 is added.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folded = make_folded(network).float()
    weights = save_safetensors({name: value.contiguous() for name, value in folded.state_dict().items()})
    complete = {**description, "sha256": hashlib.sha256(weights).hexdigest()}
    write_whole(folder / WEIGHTS_FILE, weights)
    write_whole(folder / DESCRIPTION_FILE, (json.dumps(complete, indent=2) + "\n").encode())


def load_agent(path: Path) -> Agent:
    """Load an agent from a run folder, a folder under checkpoints/, or a checkpoint (``.ckpt``) of training.

    Raises:
        ConfigurationError: there is none, or its files are damaged; in one line. No code of the file runs.
    """
    if path.suffix == ".ckpt":
        return _load_from_checkpoint(path)
    for folder in (path, path / "agent"):
        if (folder / DESCRIPTION_FILE).is_file():
            return _load_from_folder(folder)
    raise ConfigurationError(
        f"agent={path}: no agent there; name a run folder, a .ckpt file, or a folder with {DESCRIPTION_FILE}"
    )


def _load_from_folder(folder: Path) -> Agent:
    try:
        description = json.loads((folder / DESCRIPTION_FILE).read_bytes())
        weights = (folder / WEIGHTS_FILE).read_bytes()
        _check_description(description)
        if hashlib.sha256(weights).hexdigest() != description["sha256"]:
            raise ValueError(f"{WEIGHTS_FILE} does not have the sha256 that {DESCRIPTION_FILE} states")
        network = _make_network(description, load_safetensors(weights), is_folded=True)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, RuntimeError) as error:
        raise _as_unreadable(folder, error) from error
    return Agent(description=description, network=network, source=folder)


def _load_from_checkpoint(path: Path) -> Agent:
    if not path.is_file():
        raise ConfigurationError(f"agent={path}: no such file")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        description = checkpoint["agent"]
        _check_description(description)
        prefix = "network."
        weights = {
            name.removeprefix(prefix): value
            for name, value in checkpoint["state_dict"].items()
            if name.startswith(prefix)
        }
        network = _make_network(description, weights, is_folded=False)
    except Exception as error:  # a damaged or foreign pickle raises whatever it likes
        raise _as_unreadable(path, error) from error
    return Agent(description=description, network=network, source=path)


def _check_description(description: Any) -> None:
    missing = [key for key in _REQUIRED_KEYS if key not in description]
    if missing:
        raise ValueError(f"it says nothing of {', '.join(missing)}")
    if description["format"] != FORMAT:
        raise ValueError(f"format {description['format']} is not {FORMAT}, the one that this version reads")


def _make_network(description: dict[str, Any], weights: dict[str, Tensor], *, is_folded: bool) -> nn.Module:
    network: nn.Module = make_q_network(
        **{**description["network"], "frame_shape": tuple(description["network"]["frame_shape"])},
        generator=None,
    )
    if is_folded:
        network = make_folded(network)
        network.load_state_dict({name: value.float() for name, value in weights.items()})
        return network.eval()
    network.load_state_dict(weights)
    return make_folded(network).float().eval()


def _as_unreadable(path: Path, error: Exception) -> ConfigurationError:
    reason = " ".join(str(error).split())[:200]
    return ConfigurationError(f"agent={path}: cannot be read: {reason or type(error).__name__}")

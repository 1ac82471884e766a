"""A saved agent: what plays, and all that must be known to play it again and to believe its score.

An agent is a folder with two files: ``weights.safetensors``, the folded network (plain weights: what was weight
normalization in training is one multiplication done for good), and ``agent.json``, which names the game, the
protocol, the network, how it was trained, and the sha256 of both. Neither can carry code.

A new agent's weights are written as ``weights.safetensors.next``, then its description, then the weights get their
name: whenever the writer is killed, the description fits one of the two.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, Num
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from wn_rl.acting.observations import read_observations
from wn_rl.acting.policies import Policy
from wn_rl.acting.recurrent_policy import RecurrentPolicy
from wn_rl.envs.protocols import load_protocol
from wn_rl.envs.selection import check_game
from wn_rl.errors import ConfigurationError
from wn_rl.networks.distributions import HeadSizes
from wn_rl.networks.episode_memory import compute_memory_size
from wn_rl.networks.q_network import QNetwork, make_q_network
from wn_rl.networks.renamed_heads import rename_head
from wn_rl.nn.folding import make_folded
from wn_rl.nn.normalizers import make_normalizer
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.runs.layout import AGENT_FOLDER, CONFIG_FILE, DESCRIPTION_FILE, NEXT_WEIGHTS_FILE, WEIGHTS_FILE
from wn_rl.runs.published import find_published, list_published
from wn_rl.system.fields import get_rules, parse
from wn_rl.system.files import read_limited, write_whole
from wn_rl.system.terminals import quote_command
from wn_rl.types import ObservationSpec

FORMAT = 1
MAX_DESCRIPTION_BYTES = 2**20
MAX_READINGS, READING_PAUSE_S = 3, 0.05
"""Of an agent that may just be written: its two files change their names within milliseconds."""

DESCRIPTION_CHECKSUM = "description_sha256"
# What building a network of a stranger's description may raise.
_WRONG_CONTENT = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError)
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

    @property
    def observation(self) -> ObservationSpec:
        """What the frames are that it looks at."""
        return _find_observation(self.description["network"])

    def act(self, observation: Num[np.ndarray, "*shape"]) -> int | Int64[np.ndarray, "N"]:
        """The greedy action, argmax_a Q(s, a), for the observation of one environment, or of each of N.

        Args:
            observation: [S, *frame], or [N, S, *frame]; without S where that is 1. ``wn_rl.make_env`` shows those.

        Raises:
            ConfigurationError: it has another shape or dtype.
        """
        q_values = self.compute_q_values(observation)
        return int(q_values.argmax()) if q_values.ndim == 1 else q_values.argmax(axis=1)

    def compute_q_values(self, observation: Num[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*N A"]:
        """The values of all actions: [A] of one observation, [N, A] of N; takes and raises what ``act`` does."""
        batch, is_one = read_observations(observation, frame=self.observation, stack_size=self.stack_size)
        device = next(self.network.parameters()).device
        q_values = make_q_function(self.network)(batch.to(device)).cpu().numpy()
        return q_values[0] if is_one else q_values

    def make_policy(self, device: torch.device) -> Policy:
        """How it plays, on a device."""
        q_function, described = make_q_function(self.network.to(device)), self.description["network"]
        memory_size = compute_memory_size(described.get("memory"), described.get("memory_units", 0))
        make = partial(RecurrentPolicy, memory_size=memory_size) if memory_size else Policy
        return make(q_function, stack_size=self.stack_size, observation=self.observation, device=device)


def make_q_function(network: nn.Module) -> Callable[..., Any]:
    """A network as a function from observations to float32 Q-values, without gradients.

    Of a network with a memory the function of a ``RecurrentPolicy``, which has a memory among arguments and results.
    """

    @torch.inference_mode()
    def compute_q_values(observation: Num[Tensor, "B S *frame"]) -> Float32[Tensor, "B A"]:
        return network(observation).q_values.float()

    @torch.inference_mode()
    def remember(
        observation: Num[Tensor, "B S *frame"], memory: Float32[Tensor, "B M"]
    ) -> tuple[Float32[Tensor, "B A"], Float32[Tensor, "B M"]]:
        output = network(observation, memory=memory)
        return output.q_values.float(), output.memory

    return compute_q_values if network.memory is None else remember


def save_agent(
    folder: Path, network: nn.Module, description: dict[str, Any], *, dtype: torch.dtype = torch.float32
) -> None:
    """Write the newest agent; whenever this is interrupted, the folder holds the one before or the new one.

    Args:
        folder: where ``weights.safetensors`` and ``agent.json`` go.
        network: the online network; it is folded here.
        description: what is known of it, its ``FORMAT`` included; the checksums are added.
        dtype: of the weights in the file; whoever loads them computes in float32.

    Raises:
        OSError: the disk is full, or the folder cannot be written to.
    """
    folder.mkdir(exist_ok=True)
    _finish_saving(folder)
    folded = make_folded(network).to(dtype)
    weights = save_safetensors({name: value.contiguous() for name, value in folded.state_dict().items()})
    complete = {**description, "sha256": hashlib.sha256(weights).hexdigest()}
    complete[DESCRIPTION_CHECKSUM] = _compute_description_checksum(complete)
    write_whole(folder / NEXT_WEIGHTS_FILE, weights)
    write_whole(folder / DESCRIPTION_FILE, (json.dumps(complete, indent=2) + "\n").encode())
    (folder / NEXT_WEIGHTS_FILE).replace(folder / WEIGHTS_FILE)


def _finish_saving(folder: Path) -> None:
    """Give the weights their name that a killed writer did not: a second kill must not part them from agent.json."""
    if not (folder / NEXT_WEIGHTS_FILE).exists() or not (folder / DESCRIPTION_FILE).exists():
        return
    checksum = hashlib.sha256((folder / NEXT_WEIGHTS_FILE).read_bytes()).hexdigest()
    if checksum.encode() in (folder / DESCRIPTION_FILE).read_bytes():
        (folder / NEXT_WEIGHTS_FILE).replace(folder / WEIGHTS_FILE)


def _compute_description_checksum(description: dict[str, Any]) -> str:
    """The sha256 of all else that agent.json says, however it is laid out."""
    rest = {key: value for key, value in description.items() if key != DESCRIPTION_CHECKSUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def load_agent(path: Path) -> Agent:
    """Load an agent from a run folder, an agent's folder, or a checkpoint (``.ckpt``) of training.

    A name that is no path, as in ``Pong``, is that of a game with a published agent.

    Raises:
        ConfigurationError: there is none, or its files are damaged; in one line. No code of the file runs.
    """
    if path.suffix == ".ckpt":
        return _load_from_checkpoint(path)
    for folder in (path, path / AGENT_FOLDER):
        if (folder / DESCRIPTION_FILE).is_file():
            return _load_from_folder(folder)
    if (path / CONFIG_FILE).is_file():
        raise ConfigurationError(
            f"agent={path}: this run has no agent yet; it writes one at the end of each iteration, and when Ctrl-C"
            f" stops it: wait until then, or where it does not run, go on: {quote_command('train', f'resume={path}')}"
        )
    published = find_published(path.as_posix()) if not path.exists() else None
    if published is not None:
        return _load_from_folder(published)
    known = f", or a published agent: {', '.join(list_published())}" if list_published() else ""
    raise ConfigurationError(
        f"agent={path}: no agent there; name a run folder, a .ckpt file, a folder with {DESCRIPTION_FILE}{known}"
    )


def _load_from_folder(folder: Path) -> Agent:
    try:
        description, content = _read_pair(folder)
        network = _make_network(description, load_safetensors(content), is_folded=True)
    except (OSError, SafetensorError, *_WRONG_CONTENT) as error:
        raise _as_unreadable(folder, error) from error
    return Agent(description=description, network=network, source=folder)


def _read_pair(folder: Path) -> tuple[dict[str, Any], bytes]:
    """The description and the weights' file that it is of.

    Training may write the next agent meanwhile, so that one is of the agent before: then both are read again.
    """
    for num_left in reversed(range(MAX_READINGS)):
        description = json.loads(read_limited(folder / DESCRIPTION_FILE, MAX_DESCRIPTION_BYTES))
        _check_description(description)
        checksum = _compute_description_checksum(description)
        if description.get(DESCRIPTION_CHECKSUM, checksum) != checksum:
            raise ValueError(f"{DESCRIPTION_FILE} does not have the sha256 that it states: it is damaged")
        content = _find_weights(folder, description)
        if content is not None:
            return description, content
        time.sleep(READING_PAUSE_S if num_left else 0)
    raise ValueError(f"{WEIGHTS_FILE} does not have the sha256 that {DESCRIPTION_FILE} states")


def _find_weights(folder: Path, description: dict[str, Any]) -> bytes | None:
    """The weights' file that the description is of, None if neither is; one larger than the network is not read."""
    max_bytes = _count_plain_bytes(description) + 2**20  # and a header
    for name in (WEIGHTS_FILE, NEXT_WEIGHTS_FILE):
        try:
            content = read_limited(folder / name, max_bytes)
        except FileNotFoundError:  # it may just have got its name
            continue
        if hashlib.sha256(content).hexdigest() == description["sha256"]:
            return content
    return None


def _load_from_checkpoint(path: Path) -> Agent:
    if not path.is_file():
        raise ConfigurationError(f"agent={path}: no such file")
    checkpoint = read_checkpoint(path)
    try:
        if not checkpoint.keys() >= {"agent", "state_dict"}:
            raise ValueError("it is no checkpoint of this program, which says which agent it holds")
        description = checkpoint["agent"]
        _check_description(description)
        prefix = "network."
        weights = {
            name.removeprefix(prefix): value
            for name, value in checkpoint["state_dict"].items()
            if name.startswith(prefix)
        }
        network = _make_network(description, weights, is_folded=False)
    except _WRONG_CONTENT as error:
        raise _as_unreadable(path, error) from error
    return Agent(description=description, network=network, source=path)


def _check_description(description: Any) -> None:
    if type(description) is not dict:
        raise ValueError("it holds no description of an agent")
    missing = [key for key in _REQUIRED_KEYS if key not in description]
    if missing:
        raise ValueError(f"it says nothing of {', '.join(missing)}")
    if description["format"] != FORMAT:
        raise ValueError(f"format {description['format']} is not {FORMAT}, the one that this version reads")
    check_game(description["game"], load_protocol(description["protocol"]))
    network = description["network"]
    observation = _find_observation(network)
    sizes = [network["hidden_units"], network["num_actions"], network["stack_size"], *observation.shape]
    if network.get("memory") is not None:
        sizes.append(network.get("memory_units", 0))
    if any(type(size) is not int or size < 1 for size in sizes):
        raise ValueError(f"its network cannot have the sizes {str(sizes)[:100]}")
    if type(description["agent_steps"]) is not int or not 0 <= description["agent_steps"] < 10**12:
        raise ValueError("its agent_steps are no count that a run could reach")


def _find_observation(network: dict[str, Any]) -> ObservationSpec:
    """What the network of a description looks at; the first agents say ``frame_shape``, of u8 images."""
    values = {"shape": network["frame_shape"], "dtype": "uint8"} if "frame_shape" in network else network["observation"]
    if values["dtype"] not in ("uint8", "float32"):
        raise ValueError(f"its network's observations are of the dtype {str(values['dtype'])[:100]}")
    return ObservationSpec(tuple(values["shape"]), values["dtype"])


def make_network(description: dict[str, Any], generator: torch.Generator | None) -> QNetwork:
    """The Q-network of a description, as an agent carries it."""
    named, of_sizes = rename_head(description), get_rules(HeadSizes)
    sizes, *_ = parse({key: value for key, value in named.items() if key in of_sizes}, HeadSizes, key="network")
    others = {key: value for key, value in named.items() if key not in (*of_sizes, "frame_shape", "observation")}
    return make_q_network(**others, sizes=sizes, observation=_find_observation(description), generator=generator)


def _count_plain_bytes(description: dict[str, Any]) -> int:
    """Bytes of the folded network in float32; takes no memory for it, however large it is said to be."""
    normalizer = description["network"]["normalizer"]
    make_normalizer(normalizer)  # an unknown name is refused
    left = normalizer if normalizer == "layer_norm" else "none"  # the one that folding leaves, as it leaves no noise
    with torch.device("meta"):
        network = make_network({**description["network"], "normalizer": left, "noisy": False}, None)
    return sum(value.nbytes for value in network.state_dict().values())


def _make_network(description: dict[str, Any], weights: dict[str, Tensor], *, is_folded: bool) -> nn.Module:
    """The network of a description with these weights; ValueError, before it takes memory, where it is far larger."""
    if any(value.is_complex() for value in weights.values()):
        raise ValueError("its weights are complex numbers")  # of which PyTorch would drop a part, with a warning
    num_bytes = sum(value.untyped_storage().nbytes() for value in weights.values())
    if _count_plain_bytes(description) > 2 * num_bytes:
        raise ValueError("its weights are of a smaller network than its description")
    network: nn.Module = make_network(description["network"], None)
    if is_folded:
        network = make_folded(network)
        network.load_state_dict({name: value.float() for name, value in weights.items()})
    else:
        network.load_state_dict(weights)
        network = make_folded(network).float()
    if not all(value.isfinite().all() for value in network.state_dict().values()):
        raise ValueError("its weights are not finite: learning diverged")
    return network.eval()


def _as_unreadable(path: Path, error: Exception) -> ConfigurationError:
    reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
    return ConfigurationError(f"agent={path}: cannot be read: {reason or type(error).__name__}")

"""Agents of Stable-Baselines3 and its contributions, DQN and QR-DQN, read from the ``.zip`` that they save.

Their own ``load`` unpickles what the file says, which runs its code. Here two entries are looked at: ``policy.pth``,
tensors alone, and ``data``, JSON, of which plain numbers are taken and nothing pickled.
"""

import dataclasses
import io
import json
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wn_rl.envs.atari import OBSERVATION
from wn_rl.envs.games import resolve_game
from wn_rl.envs.protocols import Protocol
from wn_rl.envs.selection import find_action_names
from wn_rl.errors import ConfigurationError
from wn_rl.interop.sb3_weights import POLICY_NETWORKS, PolicyNetwork, read_weights
from wn_rl.nn.folding import make_folded
from wn_rl.runs.agent import FORMAT, Agent, make_network
from wn_rl.runs.checkpoint_file import check_records, one_line_errors, read_archive

PROTOCOL = Protocol(
    name="stable_baselines3", repeat_action_probability=0.0, noop_max=30, use_fire_reset=True,
    life_loss_ends_discount=True, full_action_space=False, max_episode_frames=108_000, frame_skip=4,
)  # fmt: skip
"""What AtariWrapper makes of <Game>NoFrameskip-v4, where RL-Zoo trains; it presses FIRE after each lost life, too."""

MAX_FILE_BYTES = 2**28
MAX_DATA_BYTES, MAX_POLICY_BYTES = 2**24, 2**26  # with 200 quantiles of 18 actions, online and target: 28 MB
MAX_DIRECTORY_BYTES = 2**16  # of a list of some ten entries

_LOCATOR_BYTES = 20  # of a second end record, of 64 bits, which such a small file has no need of
_END_RECORD = struct.Struct("<4s4H2LH")  # of a zip: signature, counts, the directory's size, its place, ...


def load_sb3_agent(path: Path, game: str | None) -> Agent:
    """The agent in a ``.zip`` that ``DQN.save`` or ``QRDQN.save`` wrote with ``CnnPolicy``; no code of the file runs.

    Args:
        path: the file.
        game: in any spelling; the file does not say it.

    Raises:
        ConfigurationError: no game is named, or the file holds no such agent, or one of another game; in one line.
    """
    if game is None:
        raise ConfigurationError(f"agent={path} does not say which game it plays; say game=..., as in game=Breakout")
    game = resolve_game(game)
    with one_line_errors(path):
        weights, data, version = _read_zip(path)
        head, policy = _find_policy(weights)
        own = {name: value for name, value in weights.items() if name.startswith(f"{policy.prefix}.")}
        _check_weights(own, policy)
        num_actions = len(find_action_names(game, PROTOCOL))
        _check_data(data, game, num_actions)
        description: dict[str, Any] = {
            "format": FORMAT,
            "game": game,
            "protocol": dataclasses.asdict(PROTOCOL),
            "network": _describe_network(own, head, policy, num_actions),
            "normalizer": "none",
            "agent_steps": _read_count(data, "num_timesteps"),
            "trained_by": {"program": "stable-baselines3", "version": version, "algorithm": policy.algorithm},
        }
        network = make_network(description["network"], None)
        network.load_state_dict(read_weights(own, policy, network))
        return Agent(description=description, network=make_folded(network), source=path)


def _read_zip(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """The weights, what ``data`` says, and the version that wrote it; nothing is unpacked to disk."""
    if not path.is_file():
        raise FileNotFoundError("there is no such file")
    num_bytes = path.stat().st_size
    if num_bytes > MAX_FILE_BYTES:
        raise ValueError(f"it has {num_bytes:,} bytes, of which at most {MAX_FILE_BYTES:,} can be right")
    _check_directory(path)
    with zipfile.ZipFile(path) as archive:
        check_records(archive, num_bytes)
        content = _read_entry(archive, "policy.pth", MAX_POLICY_BYTES)
        data = json.loads(_read_entry(archive, "data", MAX_DATA_BYTES))
        has_version = "_stable_baselines3_version" in archive.namelist()
        version = _read_entry(archive, "_stable_baselines3_version", 100).decode() if has_version else "unknown"
    if not isinstance(data, dict):
        raise ValueError("its data is no dictionary")
    return read_archive(io.BytesIO(content), len(content)), data, version.strip()


def _check_directory(path: Path) -> None:
    """Raise ValueError where the list of entries, which is read as a whole, is longer than such a file's."""
    with path.open("rb") as file:
        file.seek(-min(_LOCATOR_BYTES + _END_RECORD.size, path.stat().st_size), io.SEEK_END)
        locator, record = file.read(_LOCATOR_BYTES), file.read(_END_RECORD.size)
    if len(record) < _END_RECORD.size or record[:4] != b"PK\5\6" or record[-2:] != b"\0\0":
        raise ValueError("it is no zip file as Stable-Baselines3 saves it")
    if _END_RECORD.unpack(record)[5] > MAX_DIRECTORY_BYTES or locator[:4] == b"PK\6\7":
        raise ValueError("it has more entries than Stable-Baselines3 saves")


def _read_entry(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    if name not in archive.namelist():
        raise ValueError(f"it has no {name}: it is no agent that Stable-Baselines3 saved")
    if archive.getinfo(name).file_size > max_bytes:
        raise ValueError(f"its {name} is larger than the {max_bytes:,} bytes that it can be")
    return archive.read(name)


def _find_policy(weights: dict[str, Tensor]) -> tuple[str, PolicyNetwork]:
    """Our name of the head, and the network that these weights are of."""
    for head, policy in POLICY_NETWORKS.items():
        if any(str(name).startswith(f"{policy.prefix}.") for name in weights):
            return head, policy
    raise ValueError("it is another algorithm's; those of DQN and QR-DQN can be played")


def _check_weights(weights: dict[str, Tensor], policy: PolicyNetwork) -> None:
    """Raise ValueError unless they are the layers of CnnPolicy, each in memory as large as it says to be."""
    expected = {f"{layer}.{kind}" for layer in policy.layers for kind in ("weight", "bias")}
    if different := sorted(expected ^ weights.keys()):
        raise ValueError(f"its network is not CnnPolicy's of the Nature network: {', '.join(different[:3])}")
    for name, value in weights.items():
        if not isinstance(value, Tensor) or value.layout is not torch.strided or not value.is_floating_point():
            raise ValueError(f"{name} holds no numbers of a network")
        if value.untyped_storage().nbytes() < value.nbytes:  # of one number, said to be millions
            raise ValueError(f"{name} is said to be larger than it is")
        if not value.isfinite().all():
            raise ValueError("its weights are not finite: learning diverged")


def _check_data(data: dict[str, Any], game: str, num_actions: int) -> None:
    """Raise where the file says that it plays another game, or looks at frames in another way."""
    own = _read_count(data["action_space"], "n") if isinstance(data.get("action_space"), dict) else num_actions
    if own != num_actions:
        raise ConfigurationError(
            f"this agent has {own} actions, and {game} has {num_actions}; name its game by game=..."
        )
    told = data.get("policy_kwargs")
    kwargs = {key: str(value) for key, value in told.items()} if isinstance(told, dict) else {}
    if kwargs.get("normalize_images", "True") != "True":
        raise ValueError("its network takes pixels of 0 to 255 (normalize_images=False), ours of 0 to 1")
    if "NatureCNN" not in kwargs.get("features_extractor_class", "NatureCNN"):
        raise ValueError("its features come from a class of its own, not from NatureCNN")


def _describe_network(weights: dict[str, Tensor], head: str, policy: PolicyNetwork, num_actions: int) -> dict[str, Any]:
    """The arguments of our network; what weights of wrong shapes lead to is told when they are read."""
    first, hidden, output = (weights[f"{policy.layers[number]}.weight"] for number in (0, 3, 4))
    if first.dim() != 4 or hidden.dim() != 2 or len(output) == 0 or len(output) % num_actions:
        raise ValueError(f"its layers are {[list(value.shape) for value in (first, hidden, output)]}")
    return {
        "torso": "nature",
        "head": head,
        "hidden_units": hidden.shape[0],
        "stack_size": first.shape[1],
        "normalizer": "none",
        "num_actions": num_actions,
        "observation": {"shape": list(OBSERVATION.shape), "dtype": OBSERVATION.dtype},
        **({"num_quantiles": len(output) // num_actions} if head == "quantile" else {}),
    }


def _read_count(values: dict[str, Any], key: str) -> int:
    """A whole number, which some versions write as text."""
    text = str(values.get(key))[:20]
    if not re.fullmatch(r"\d{1,12}", text):
        raise ValueError(f"{key} is {text!r}, no whole number")
    return int(text)

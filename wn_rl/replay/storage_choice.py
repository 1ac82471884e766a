"""Which storage ``replay.storage`` names, and which one ``auto`` takes.

Sampling from any of them gives the same minibatches bit for bit: the choice is one of memory and speed alone.
"""

from typing import NamedTuple

import torch

from wn_rl.errors import ConfigurationError
from wn_rl.replay.compressed_storage import CompressedFrameStorage
from wn_rl.replay.memory import compute_free_bytes
from wn_rl.replay.storage import FrameStorage, RamFrameStorage

STORAGE_NAMES = ("ram", "compressed", "device")
"""Without ``auto``, which becomes one of them before anything is made."""

SAFE_SHARE = 0.75
"""Of what is free, the share that ``auto`` lets plain frames take: the network, its gradients, evaluation and the
other programs of a desktop need the rest."""


class StorageChoice(NamedTuple):
    """What ``auto`` took, and a line that says so."""

    name: str
    reason: str


def make_storage(name: str, device: torch.device) -> FrameStorage:
    """The storage of one of ``STORAGE_NAMES``; ``device`` is the learner's, and matters to "device" alone.

    Raises:
        ConfigurationError: an unknown name.
    """
    if name == "ram":
        return RamFrameStorage(device=torch.device("cpu"))
    if name == "compressed":
        return CompressedFrameStorage()
    if name == "device":
        return RamFrameStorage(device=device)
    raise ConfigurationError(f"replay.storage={name}: unknown; known: auto, {', '.join(STORAGE_NAMES)}")


def choose_storage(*, num_rows: int, frame_shape: tuple[int, int], device: torch.device) -> StorageChoice:
    """The fastest storage that fits: the GPU's memory, else the host's, else compressed.

    Args:
        num_rows: frames held.
        frame_shape: (H, W) of a frame.
        device: the learner's.
    """
    too_large = []
    for name in ("ram",) if device.type == "cpu" else ("device", "ram"):
        storage = make_storage(name, device)
        needed, free = storage.required_bytes(num_rows, frame_shape), compute_free_bytes(storage.device)
        known = "an unknown number" if free is None else f"{free / 1e9:.2f}"
        sizes = f"{name} takes {needed / 1e9:.2f} GB of {known} free"
        if free is not None and needed <= SAFE_SHARE * free:
            return StorageChoice(name, f"replay.storage={name}: {sizes}")
        too_large.append(sizes)
    return StorageChoice("compressed", f"replay.storage=compressed: {'; '.join(too_large)}")

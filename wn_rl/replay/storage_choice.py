"""Which storage ``replay.storage`` names, and which one ``auto`` takes.

Sampling from any of them gives the same minibatches bit for bit: the choice is one of memory and speed alone.
"""

import torch

from wn_rl.errors import ConfigurationError
from wn_rl.replay.compressed_storage import CompressedFrameStorage
from wn_rl.replay.storage import FrameStorage, RamFrameStorage
from wn_rl.system.memory import compute_free_bytes

STORAGE_NAMES = ("ram", "compressed", "device")
"""Without ``auto``, which becomes one of them before anything is made."""

SAFE_SHARE = 0.75
"""Of what is free, the share that ``auto`` lets plain frames take: the network, its gradients, evaluation and the
other programs of a desktop need the rest."""


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


def choose_storage(*, num_rows: int, frame_shape: tuple[int, int], device: torch.device) -> str:
    """The fastest storage that fits: the GPU's memory, else the host's, else compressed.

    Args:
        num_rows: frames held.
        frame_shape: (H, W) of a frame.
        device: the learner's.
    """
    for name in ("ram",) if device.type == "cpu" else ("device", "ram"):
        storage = make_storage(name, device)
        free = compute_free_bytes(storage.device)
        if free is not None and storage.required_bytes(num_rows, frame_shape) <= SAFE_SHARE * free:
            return name
    return "compressed"

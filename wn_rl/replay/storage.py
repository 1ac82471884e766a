"""Where the replay's frames lie: a small interface, the plain storage in the memory of a host or a GPU, and the choice.

compressed_storage.py has the one that takes a twentieth of the memory. Sampling from any of them gives the same
minibatches bit for bit: the choice is one of memory and speed alone.

A storage maps a row to a frame and knows nothing of lanes, episodes or stacks. One more row than the
replay has, the *zero row*, always reads as zeros: a stack shows it before the episode's first frame, so
that a whole minibatch of stacks is a single gather.
"""

from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Int64, Num
from torch import Tensor

from wn_rl.errors import ConfigurationError
from wn_rl.replay.compressed_storage import CompressedFrameStorage
from wn_rl.system.memory import compute_free_bytes, send
from wn_rl.types import ObservationSpec

STORAGE_NAMES = ("ram", "compressed", "device")
"""Without ``auto``, which becomes one of them before anything is made."""

SAFE_SHARE = 0.75
"""Of what is free, the share that ``auto`` lets plain frames take: the network, its gradients, evaluation and the
other programs of a desktop need the rest."""


@runtime_checkable
class FrameStorage(Protocol):
    """R frames, read and written by row."""

    name: str
    """What ``replay.storage`` calls it."""

    device: torch.device
    """Where ``read`` leaves the frames, and where ``required_bytes`` are needed."""

    smaller_alternative: str
    """What to set where these bytes are not free; empty where there is nothing smaller."""

    def required_bytes(self, num_rows: int, observation: ObservationSpec) -> int:
        """Bytes that ``num_rows`` frames will take on ``device`` at most (or as measured, if compressed)."""

    def allocate(self, num_rows: int, observation: ObservationSpec) -> None:
        """Take the memory; row ``num_rows`` becomes the zero row."""

    def write(self, rows: Int64[np.ndarray, "K"], frames: Num[np.ndarray, "K *frame"]) -> None:
        """Put K frames into K distinct rows. The caller may change ``frames`` afterwards."""

    def read(self, rows: Int64[Tensor, "K"]) -> Num[Tensor, "K *frame"]:
        """A copy of K frames, on ``device``; ``rows`` (on the host) may repeat and may name the zero row."""


class RamFrameStorage:
    """Uncompressed frames in one array on the host or on a GPU.

    On the host, the operating system provides a page when it is first written: an empty storage costs
    nothing.

    Args:
        device: the host's memory ("cpu") or a GPU's.
    """

    def __init__(self, *, device: torch.device) -> None:
        self.name, self.device = "ram" if device.type == "cpu" else "device", device
        self.smaller_alternative = f"replay.storage={'compressed' if device.type == 'cpu' else 'ram'}"
        self._frames: Num[Tensor, "rows_and_zero *frame"] = torch.empty(0)

    def required_bytes(self, num_rows: int, observation: ObservationSpec) -> int:
        """R + 1 times the bytes of a frame."""
        return (num_rows + 1) * observation.num_bytes

    def allocate(self, num_rows: int, observation: ObservationSpec) -> None:
        """Take the memory; nothing but the zero row is touched."""
        self._frames = torch.empty(
            (num_rows + 1, *observation.shape), dtype=observation.torch_dtype, device=self.device
        )
        self._frames[num_rows].zero_()

    def write(self, rows: Int64[np.ndarray, "K"], frames: Num[np.ndarray, "K *frame"]) -> None:
        """Copy K frames in."""
        if self.device.type == "cpu":
            self._frames.numpy()[rows] = frames  # 20 times faster than index_copy_ (torch 2.13, 8 frames)
            return
        frames_there = torch.from_numpy(np.ascontiguousarray(frames)).to(self.device)
        self._frames.index_copy_(0, torch.from_numpy(rows).to(self.device), frames_there)

    def read(self, rows: Int64[Tensor, "K"]) -> Num[Tensor, "K *frame"]:
        """Gather K frames."""
        return torch.index_select(self._frames, 0, send(rows, self.device))


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


def choose_storage(*, num_rows: int, observation: ObservationSpec, device: torch.device) -> str:
    """The fastest storage that fits: the GPU's memory, else the host's, else compressed.

    Args:
        num_rows: frames held.
        observation: what a frame is.
        device: the learner's.
    """
    for name in ("device", "ram") if device.type == "cuda" else ("ram",):
        storage = make_storage(name, device)
        free = compute_free_bytes(storage.device)
        if free is not None and storage.required_bytes(num_rows, observation) <= SAFE_SHARE * free:
            return name
    return "compressed"


def stack_frames(frames: Num[Tensor, "S K *frame"]) -> Num[Tensor, "K S *frame"]:
    """K stacks of S frames; gray images are channels last in memory: the S pixels of one place are neighbours.

    ``frames[s]`` holds frame s of every stack. On the host OpenCV interleaves them, several times as fast as a
    strided copy in PyTorch 2.13.
    """
    if frames.dim() != 4:  # vectors, or images with channels of their own
        return frames.transpose(0, 1).contiguous()
    stack_size, num_stacks, height, width = frames.shape
    if frames.device.type != "cpu" or stack_size == 1 or num_stacks == 0:
        return frames.transpose(0, 1).contiguous(memory_format=torch.channels_last)
    planes = frames.numpy().reshape(stack_size, num_stacks * height, width)
    interleaved = np.empty((num_stacks * height, width, stack_size), np.uint8)
    cv2.merge(list(planes), interleaved)
    return torch.from_numpy(interleaved).view(num_stacks, height, width, stack_size).permute(0, 3, 1, 2)

"""How do gathered frames become stacks? Side by side in memory, as convolutions read them fastest."""

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor


def stack_frames(frames: UInt8[Tensor, "S K H W"]) -> UInt8[Tensor, "K S H W"]:
    """K stacks of S frames, channels last in memory: the S pixels of one place are neighbours.

    ``frames[s]`` holds frame s of every stack. On the host OpenCV interleaves them, several times as fast as a
    strided copy in PyTorch 2.13.
    """
    stack_size, num_stacks, height, width = frames.shape
    if frames.device.type != "cpu" or stack_size == 1 or num_stacks == 0:
        return frames.transpose(0, 1).contiguous(memory_format=torch.channels_last)
    planes = frames.numpy().reshape(stack_size, num_stacks * height, width)
    interleaved = np.empty((num_stacks * height, width, stack_size), np.uint8)
    cv2.merge(list(planes), interleaved)
    return torch.from_numpy(interleaved).view(num_stacks, height, width, stack_size).permute(0, 3, 1, 2)

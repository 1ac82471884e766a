"""What does the agent see? The last S frames of the running episode, and black before its first frame."""

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor


class FrameStack:
    """The observations of N environments: u8 [N, S, H, W], newest frame last, zeros before an episode.

    Arguments:
        num_envs: N.
        stack_size: S.
        frame_shape: (H, W).
        device: where the observations live.
    """

    def __init__(self, num_envs: int, stack_size: int, frame_shape: tuple[int, int], device: torch.device) -> None:
        self._observation = torch.zeros((num_envs, stack_size, *frame_shape), dtype=torch.uint8, device=device)

    @property
    def observation(self) -> UInt8[Tensor, "N S H W"]:
        """The current observations; a new tensor after every ``start`` and ``push``, never written again."""
        return self._observation

    def start(self, frames: UInt8[np.ndarray, "N H W"], mask: Bool[np.ndarray, "N"]) -> None:
        """Begin new episodes where ``mask`` says so, with their first frame newest and zeros before it."""
        started = torch.zeros_like(self._observation)
        started[:, -1] = torch.from_numpy(frames).to(self._observation.device)
        is_started = torch.from_numpy(mask).to(self._observation.device)
        self._observation = torch.where(is_started[:, None, None, None], started, self._observation)

    def push(self, frames: UInt8[np.ndarray, "N H W"]) -> None:
        """Append the newest frame of every environment and forget the oldest."""
        newest = torch.from_numpy(frames).to(self._observation.device)[:, None]  # [N, 1, H, W]
        self._observation = torch.cat([self._observation[:, 1:], newest], dim=1)

"""Observations of anybody's loop, one or several, as the network of an agent takes them."""

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor

from wn_rl.errors import ConfigurationError
from wn_rl.types import ObservationSpec


def find_shape(frame: ObservationSpec, stack_size: int) -> tuple[int, ...]:
    """The shape of one observation: [S, *frame], or [*frame] where S = 1."""
    return frame.shape if stack_size == 1 else (stack_size, *frame.shape)


def read_observations(
    observation: object, *, frame: ObservationSpec, stack_size: int
) -> tuple[Num[Tensor, "N S *frame"], bool]:
    """The observations as a batch, and whether it was one alone.

    Args:
        observation: an array of the shape ``find_shape``, or of N of them, as vector environments return.
        frame: what the network looks at.
        stack_size: S, how many of them.

    Raises:
        ConfigurationError: it has another shape, or numbers in the place of bytes.
    """
    array, shape = np.asarray(observation), find_shape(frame, stack_size)
    is_one = array.shape == shape
    if not is_one and (array.ndim != len(shape) + 1 or array.shape[1:] != shape):
        raise ConfigurationError(
            f"an observation of the shape {list(array.shape)}: the agent sees {frame.dtype} {list(shape)}, or"
            f" {['N', *shape]} of N environments; wn_rl.make_env(agent) makes one that shows that".replace("'", "")
        )
    if array.dtype.kind not in "biuf" or (frame.is_image and array.dtype != np.uint8):
        raise ConfigurationError(f"an observation of {array.dtype}: the agent sees {frame.dtype}, not scaled")
    return torch.tensor(array, dtype=frame.torch_dtype).view(-1, stack_size, *frame.shape), is_one

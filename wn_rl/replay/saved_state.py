"""How parts of a saved replay are checked before they are believed."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from wn_rl.errors import ConfigurationError


def get_entry(state: Any, name: str, kind: type) -> Any:
    """``state[name]``, of exactly this kind.

    Raises:
        ConfigurationError: there is none.
    """
    entry = state.get(name) if type(state) is dict else None
    if type(entry) is not kind:
        raise ConfigurationError(f"the saved replay has no {name!r}: the checkpoint is damaged")
    return entry


def copy_array(target: np.ndarray, state: dict[str, Any], name: str) -> None:
    """Copy the tensor ``state[name]`` into ``target``.

    Raises:
        ConfigurationError: it is missing, no dense tensor of the host, or has another shape or dtype.
    """
    expected = torch.from_numpy(target)
    saved: Tensor = get_entry(state, name, Tensor)
    found = (saved.layout, saved.device, saved.dtype, saved.shape)
    if found != (expected.layout, expected.device, expected.dtype, expected.shape):
        raise ConfigurationError(
            f"the saved replay's {name!r} is {saved.dtype} {tuple(saved.shape)}, not {expected.dtype} "
            f"{tuple(expected.shape)}: the checkpoint is damaged or of other settings"
        )
    if saved.dtype == torch.bool:
        saved = saved.view(torch.uint8) != 0  # a file may hold truths other than 1, which NumPy miscounts
    expected.copy_(saved)

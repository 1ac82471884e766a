"""A device without float64, as Apple's GPU is: the meta device stands for it, whose tensors have no numbers."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from wn_rl.nn import weight_norm

DEVICE = "meta"
_COPIES = (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default)
"""The operations that take tensors of two devices."""


class _Refuse(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        if func not in _COPIES and len({tensor.device for tensor in given if tensor.dim() or tensor.is_meta}) > 1:
            raise RuntimeError(f"{func}: tensors of two devices")
        if func is torch.ops.aten._to_copy.default and kwargs.get("device") == torch.device("cpu"):
            outputs = torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)  # for numbers that are not
        else:
            outputs = func(*args, **kwargs)
        for tensor in tree_leaves(outputs):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == DEVICE and tensor.dtype == torch.float64:
                raise TypeError(f"{func}: the device has no float64")
        return outputs


@contextmanager
def without_float64() -> Iterator[None]:
    """Within it a float64 tensor on ``DEVICE`` is an error, and so is an operation of tensors on two devices."""
    devices = {*weight_norm.DEVICES_WITHOUT_FLOAT64, DEVICE}
    none = mock.patch.object(torch, "autocast", return_value=nullcontext())  # which does not know that device
    never = mock.patch.object(torch, "is_autocast_enabled", return_value=False)  # which does not either
    with mock.patch.object(weight_norm, "DEVICES_WITHOUT_FLOAT64", devices), none, never, _Refuse():
        yield

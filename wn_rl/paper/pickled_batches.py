"""The pickles of cifar-10-batches-py, read without letting them run anything: a stranger's file is a stranger's code.

A pickle names functions and calls them. Those of CIFAR-10 name three, by which NumPy makes an array; here they stand
for parts of ours, which call nothing and take no memory that the file does not hold, and every other name is refused.
"""

import io
import pickle
from typing import Any

import numpy as np
from jaxtyping import UInt8

from wn_rl.errors import ConfigurationError
from wn_rl.paper.data_files import refuse_damaged

ROW_BYTES = 3 * 32 * 32


class _Part:
    """What stands for an array and for its dtype: whatever a pickle says of it is kept and not looked at."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Part]:
        """The only place from which a pickle gets something that it can call."""
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch of CIFAR-10 does")
        return _Part


def read_pickled_batch(content: bytes, name: str) -> tuple[UInt8[np.ndarray, "N 3 32 32"], list[int]]:
    """Images and labels of a file of cifar-10-batches-py.

    Raises:
        ConfigurationError: it holds anything else.
    """
    try:
        batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        data, labels = batch[b"data"], batch[b"labels"]
        _, shape, _, is_transposed, pixels = data.state  # as NumPy's arrays say it
        if type(pixels) is not bytes or is_transposed or shape[1] != ROW_BYTES:
            raise ValueError(f"its pixels are no rows of {ROW_BYTES}")
        if any(type(label) is not int for label in labels):
            raise ValueError("its labels are no numbers")
        return np.frombuffer(pixels, np.uint8).reshape(-1, 3, 32, 32), labels
    except ConfigurationError:
        raise
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise refuse_damaged(name, error) from error

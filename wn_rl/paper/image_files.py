"""Images and labels as the original files of MNIST and CIFAR-10 hold them, and as strips of PNG do."""

import io
import json
import math
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from wn_rl.errors import ConfigurationError
from wn_rl.paper.data_files import refuse_damaged

MAX_PICTURE_BYTES = 2**20
"""Of a picture of one image, of a few kilobytes."""
MAX_STRIP_PIXELS = 2**25
"""Of a picture of 10,000 images, a third of that."""


class LabeledImages(NamedTuple):
    """``images`` [N, C, H, W] and their ``labels`` [N], numbers of classes."""

    images: UInt8[np.ndarray, "N C H W"]
    labels: Int64[np.ndarray, "N"]


def join(parts: list[LabeledImages]) -> LabeledImages:
    """Several files of one set, in their order."""
    return LabeledImages(
        np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts])
    )


def make_labels(labels: object, name: str, num_images: int, *, num_classes: int = 10) -> Int64[np.ndarray, "N"]:
    """Labels as numbers of classes, one for each image. Raises ConfigurationError: they are none."""
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) != num_images:
        raise refuse_damaged(name, f"its labels are not {num_images:,} numbers")
    if num_images and not 0 <= array.min() <= array.max() < num_classes:
        raise refuse_damaged(name, f"a label is none of 0 to {num_classes - 1}")
    return array.astype(np.int64)


def read_idx(content: bytes, name: str) -> UInt8[np.ndarray, "..."]:
    """An array of bytes in LeCun's format: 0, 0, 8, the number of axes, their lengths (big-endian u32), the bytes.

    Raises:
        ConfigurationError: it is none, or longer or shorter than it says.
    """
    num_axes = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    begin = 4 + 4 * num_axes
    if not 1 <= num_axes <= 4 or len(content) < begin:
        raise refuse_damaged(name, "it does not begin as an idx file of bytes does")
    shape = struct.unpack(f">{num_axes}I", content[4:begin])
    if len(content) - begin != math.prod(shape):
        raise refuse_damaged(name, f"it says {math.prod(shape):,} bytes and has {len(content) - begin:,}")
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)


def read_binary_batch(content: bytes, name: str) -> LabeledImages:
    """A file of cifar-10-batches-bin: rows of one byte of label and 3 x 32 x 32 of red, green and blue.

    Raises:
        ConfigurationError: it has no whole number of rows, or a label that is none.
    """
    if len(content) % 3073 != 0:
        raise refuse_damaged(name, f"its {len(content):,} bytes are no rows of 3,073")
    rows = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    return LabeledImages(rows[:, 1:].reshape(-1, 3, 32, 32), make_labels(rows[:, 0], name, len(rows)))


def read_strip(content: bytes, name: str) -> UInt8[np.ndarray, "N 3 32 32"]:
    """A PNG of N rows of 1,024 pixels in color, each one image of CIFAR-10.

    Raises:
        ConfigurationError: it is no such picture.
    """
    pixels = decode_png(content, name)
    if pixels.ndim != 3 or pixels.shape[1:] != (1024, 3):
        raise refuse_damaged(name, f"it is of the shape {pixels.shape}, not of rows of 1024 colored pixels")
    return pixels.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)


def read_json_labels(content: bytes, name: str, num_images: int) -> Int64[np.ndarray, "N"]:
    """A list of numbers of classes. Raises ConfigurationError: it is none."""
    try:
        labels = json.loads(content)
        return make_labels(labels, name, num_images)
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, ConfigurationError) else refuse_damaged(name, error) from error


def decode_png(content: bytes, name: str | Path) -> UInt8[np.ndarray, "..."]:
    """The pixels [H, W] or [H, W, 3] of a PNG. Raises ConfigurationError: it is none."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.width * picture.height > MAX_STRIP_PIXELS:
                raise ValueError(f"it has {picture.width} x {picture.height} pixels")
            return np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))
    except Exception as error:  # Pillow raises whatever its readers do
        raise refuse_damaged(name, error) from error

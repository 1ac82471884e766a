"""Pictures of what a network makes, as files that any browser shows."""

import io
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

GAP = 2  # pixels between images


class Picture(NamedTuple):
    """A PNG, still or moving, and what it shows in a few words."""

    caption: str
    content: bytes


class PictureRow(NamedTuple):
    """Pictures under one heading. ``name`` is that of their files, ``scale`` how many times larger they are shown."""

    name: str
    title: str
    note: str
    scale: int
    pictures: list[Picture]


def to_pixels(images: Tensor) -> UInt8[np.ndarray, "N H W C"]:
    """Images [N, C, H, W] with values from 0 to 1, or bytes, as bytes with the channels last."""
    array = images.detach().cpu()
    if array.is_floating_point():
        array = (array.clamp(0, 1) * 255).round().byte()
    return array.permute(0, 2, 3, 1).contiguous().numpy()


def arrange(pixels: UInt8[np.ndarray, "N H W C"], *, num_columns: int) -> UInt8[np.ndarray, "H2 W2 C"]:
    """Images row by row on one gray sheet, with a gap around each."""
    num, height, width, channels = pixels.shape
    num_rows = -(-num // num_columns)
    shape = (num_rows * (height + GAP) + GAP, num_columns * (width + GAP) + GAP, channels)
    sheet = np.full(shape, 128, np.uint8)
    for number, image in enumerate(pixels):
        row, column = divmod(number, num_columns)
        top, left = row * (height + GAP) + GAP, column * (width + GAP) + GAP
        sheet[top : top + height, left : left + width] = image
    return sheet


def encode_picture(sheet: UInt8[np.ndarray, "H W C"]) -> bytes:
    """A PNG."""
    return encode_animation([sheet], milliseconds=0)


def encode_animation(sheets: list[UInt8[np.ndarray, "H W C"]], *, milliseconds: int) -> bytes:
    """A PNG of several sheets, each shown for so long, and the last one longer; again and again."""
    first, *others = [Image.fromarray(sheet[:, :, 0] if sheet.shape[2] == 1 else sheet) for sheet in sheets]
    file = io.BytesIO()
    if others:
        durations = [milliseconds] * len(others) + [8 * milliseconds]
        first.save(file, "PNG", save_all=True, append_images=others, duration=durations, loop=0)
    else:
        first.save(file, "PNG")
    return file.getvalue()

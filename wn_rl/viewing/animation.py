"""A game as a GIF in true colors, for where only pictures are shown, as in TensorBoard."""

import io
import itertools

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from wn_rl.envs.protocols import load_protocol
from wn_rl.envs.rendering import EpisodeRecord, render_episode

FRAMES_PER_PICTURE = 3  # GIF counts in hundredths of a second: 3/60 s are 5 of them, so that it plays in real time
MAX_COLORS = 256  # of a GIF; the console has 128
FEWER_COLORS = 0xE0E0C0  # 3 bits of red and green, 2 of blue: 256 colors


def encode_gif(record: EpisodeRecord, *, max_seconds: int) -> bytes:
    """The first ``max_seconds`` of game time, every third frame in its own size and (up to 256) colors, for ever."""
    frames_per_second = load_protocol(record.protocol_values).frames_per_second
    frames = (frame.rgb for frame in itertools.islice(render_episode(record), max_seconds * frames_per_second))
    pictures = []
    while batch := list(itertools.islice(frames, FRAMES_PER_PICTURE)):
        pictures.append(_to_codes(_take_brighter(batch[-1], batch[-2]) if len(batch) > 1 else batch[-1]))
    if len(np.unique(np.concatenate([np.unique(picture) for picture in pictures]))) > MAX_COLORS:
        pictures = [picture & FEWER_COLORS for picture in pictures]
    colors = np.unique(np.concatenate([np.unique(picture) for picture in pictures]))
    palette = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], axis=1).astype(np.uint8).tobytes()
    images = []
    for picture in pictures:
        image = Image.fromarray(np.searchsorted(colors, picture).astype(np.uint8), mode="P")
        image.putpalette(palette)
        images.append(image)
    file = io.BytesIO()
    milliseconds = 1000 * FRAMES_PER_PICTURE // frames_per_second
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0)
    return file.getvalue()


def _take_brighter(one: UInt8[np.ndarray, "H W 3"], other: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """The brighter pixel of two frames: games draw what flickers on every second one."""
    is_brighter = one.sum(axis=2, dtype=np.uint16) >= other.sum(axis=2, dtype=np.uint16)
    return np.where(is_brighter[:, :, None], one, other)


def _to_codes(picture: UInt8[np.ndarray, "H W 3"]) -> np.ndarray:
    """One number a pixel, 0xRRGGBB."""
    red, green, blue = np.moveaxis(picture.astype(np.int32), 2, 0)
    return red << 16 | green << 8 | blue

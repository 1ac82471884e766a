"""How pictures become a file that every browser plays: H.264 in MP4, and a PNG to show before it plays."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from jaxtyping import UInt8

from wn_rl.system.files import adopt_written, name_errors, name_temporary, remove_if_possible, write_whole

ENCODER_OPTIONS = {
    # On one core 2 to 4 times faster than real time at 640x840; slower presets make a game's file no smaller.
    "preset": "veryfast",
    # Flat colors with hard edges, as in cartoons: stronger deblocking, more reference frames.
    "tune": "animation",
    # 99.9 % of a game's pixels are within 4 of 255; about 70 kB per 1000 frames of Pong.
    "crf": "18",
}
MAX_PENDING_FRAMES = 8  # drawn and not yet encoded
# Color tags by ITU-T H.273: without them players guess the matrix by the height of the picture.
BT709_PRIMARIES = 1
SRGB_TRANSFER = 13
BT601_MATRIX = 6  # the one of OpenCV's RGB2YUV_I420
LIMITED_RANGE = 1


def scale_up(picture: UInt8[np.ndarray, "H W ..."], factor: int) -> UInt8[np.ndarray, "H2 W2 ..."]:
    """Every pixel becomes a square of ``factor`` x ``factor`` pixels; returns u8 [H factor, W factor, ...].

    Raises:
        ValueError: factor below 1.
    """
    if factor < 1:
        raise ValueError(f"factor={factor}: pictures are scaled by whole numbers from 1")
    if factor == 1:
        return picture
    size = (picture.shape[1] * factor, picture.shape[0] * factor)
    return cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST)


def write_video(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    *,
    frames_per_second: int,
    on_frame: Callable[[int], None] | None = None,
) -> int:
    """Encode frames as H.264 (yuv420p, the index in front, so that playing starts at once); return how many.

    Frames are taken one at a time, so an episode of any length fits into memory. The file is written under a
    temporary name beside ``path`` and renamed when whole: on any error, one raised by ``frames`` included,
    nothing is left and an older file at ``path`` stays. Odd heights and widths get their last row or column
    twice, since 4:2:0 needs even ones.

    Args:
        path: the file to write; its folder is made where missing.
        frames: RGB, all of one size.
        frames_per_second: at which they are shown.
        on_frame: called after each frame with the number drawn so far; a few of them may still wait to be encoded.

    Raises:
        ValueError: no frames, or frames of different sizes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = name_temporary(path)
    try:
        with (
            name_errors(path),
            av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container,
        ):
            num_frames = _encode(container, frames, frames_per_second, on_frame)
        adopt_written(temporary, path)
    finally:
        remove_if_possible(temporary)
    return num_frames


def write_poster(path: Path, frame: UInt8[np.ndarray, "H W 3"]) -> None:
    """Write one RGB frame as PNG, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _, png = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    write_whole(path, png.tobytes())


def _encode(
    container: OutputContainer,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    frames_per_second: int,
    on_frame: Callable[[int], None] | None,
) -> int:
    stream, shape, num_frames = None, None, 0
    pending: deque[Future[None]] = deque()  # another thread encodes while this one draws the next frame
    with ThreadPoolExecutor(1) as encoder:
        for frame in frames:
            if stream is None:
                shape = frame.shape
                stream = _add_stream(container, height=shape[0], width=shape[1], rate=frames_per_second)
            if frame.shape != shape:
                raise ValueError(f"frame {num_frames} has shape {frame.shape}, the ones before it {shape}")
            if len(pending) == MAX_PENDING_FRAMES:
                pending.popleft().result()
            pending.append(encoder.submit(_encode_frame, container, stream, _to_yuv420p(frame)))
            num_frames += 1
            if on_frame is not None:
                on_frame(num_frames)
        for future in pending:
            future.result()
    if stream is None:
        raise ValueError("a video needs at least one frame, got none")
    container.mux(stream.encode(None))  # what the encoder still holds back
    return num_frames


def _encode_frame(container: OutputContainer, stream: VideoStream, frame: av.VideoFrame) -> None:
    container.mux(stream.encode(frame))


def _add_stream(container: OutputContainer, *, height: int, width: int, rate: int) -> VideoStream:
    stream = container.add_stream("libx264", rate=rate, options=dict(ENCODER_OPTIONS))
    stream.height = height + height % 2
    stream.width = width + width % 2
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.color_primaries = BT709_PRIMARIES
    context.color_trc = SRGB_TRANSFER
    context.colorspace = BT601_MATRIX
    context.color_range = LIMITED_RANGE
    # With more, the same frames gave other files on a busy machine: 7 of 1,200 did.
    context.thread_count = 1
    return stream


def _to_yuv420p(frame: UInt8[np.ndarray, "H W 3"]) -> av.VideoFrame:
    """By OpenCV, which is twice as fast here as FFmpeg's own scaler."""
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        frame = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    planes = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420), dtype=np.uint8)
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")

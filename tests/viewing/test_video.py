"""Do videos play everywhere, show what they were given, and appear whole or not at all?"""

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from wn_rl.viewing.video import scale_up, write_poster, write_video


def make_frames(count: int, height: int = 36, width: int = 48) -> list[np.ndarray]:
    """Blocks of 4 x 4 pixels (what a game scaled up by 4 is made of), each frame with other colors."""
    generator = np.random.default_rng(0)
    shape = (count, -(-height // 4), -(-width // 4), 3)
    blocks = generator.integers(0, 256, shape, dtype=np.uint8)
    return [np.kron(block, np.ones((4, 4, 1), dtype=np.uint8))[:height, :width] for block in blocks]


def decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def read_box_names(path: Path) -> list[bytes]:
    """The top-level boxes of an MP4 (ISO/IEC 14496-12, 4.2): 4 bytes of size, 4 bytes of name."""
    content, names, position = path.read_bytes(), [], 0
    while position < len(content):
        names.append(content[position + 4 : position + 8])
        position += int.from_bytes(content[position : position + 4], "big")
    return names


def test_a_video_that_cannot_be_written_says_which(tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 245}.mp4"  # with what is temporary behind it more than a file system's 255
    with pytest.raises(OSError, match="name too long") as caught:
        write_video(path, make_frames(3), frames_per_second=60)
    assert caught.value.filename == str(path)


def test_a_video_is_h264_of_the_given_size_rate_and_length(tmp_path: Path) -> None:
    path = tmp_path / "game.mp4"
    counts: list[int] = []
    num_frames = write_video(path, make_frames(90), frames_per_second=60, on_frame=counts.append)
    assert num_frames == 90
    assert counts == list(range(1, 91))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.codec_context.width, stream.codec_context.height) == (48, 36)
        assert stream.average_rate == 60
        assert stream.frames == 90
        assert stream.duration * stream.time_base == pytest.approx(1.5)
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([index / 60 for index in range(90)])


def test_a_video_starts_to_play_before_all_of_it_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "game.mp4"
    write_video(path, make_frames(5), frames_per_second=60)
    names = read_box_names(path)
    assert names[0] == b"ftyp"
    assert names.index(b"moov") < names.index(b"mdat")


def test_a_video_shows_the_colors_that_it_was_given(tmp_path: Path) -> None:
    red_to_blue = [np.full((32, 32, 3), (250 - 8 * step, 40, 8 * step), dtype=np.uint8) for step in range(30)]
    path = tmp_path / "game.mp4"
    write_video(path, red_to_blue, frames_per_second=60)
    shown = decode(path)
    assert len(shown) == 30
    errors = [np.abs(a.astype(int) - b).max() for a, b in zip(shown, red_to_blue, strict=True)]
    assert max(errors) <= 5


def test_a_video_says_how_its_colors_are_to_be_read(tmp_path: Path) -> None:
    path = tmp_path / "game.mp4"
    write_video(path, make_frames(3), frames_per_second=60)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        # H.273: BT.709's primaries, sRGB's transfer, BT.601's matrix; 1 is FFmpeg's limited range
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
    assert tags == (1, 13, 6, 1)


def test_edges_of_a_scaled_game_stay_sharp(tmp_path: Path) -> None:
    frame = make_frames(1, height=64, width=64)[0]
    path = tmp_path / "game.mp4"
    write_video(path, [frame] * 10, frames_per_second=60)
    error = np.abs(decode(path)[-1].astype(int) - frame)
    assert error.mean() < 4
    assert np.percentile(error, 99) < 24


def test_odd_sizes_get_their_last_row_and_column_twice(tmp_path: Path) -> None:
    gray = [np.full((33, 47, 3), 50 * step, dtype=np.uint8) for step in range(1, 5)]
    path = tmp_path / "game.mp4"
    write_video(path, gray, frames_per_second=30)
    shown = decode(path)
    assert [frame.shape for frame in shown] == [(34, 48, 3)] * 4
    assert all(np.abs(frame.astype(int) - 50 * (i + 1)).max() <= 4 for i, frame in enumerate(shown))


def test_an_error_amid_a_video_leaves_nothing_and_keeps_the_older_one(tmp_path: Path) -> None:
    def break_late() -> Iterator[np.ndarray]:
        yield from make_frames(80)  # more than the encoder holds back before it begins to write
        raise RuntimeError("the emulator is gone")

    path = tmp_path / "game.mp4"
    with pytest.raises(RuntimeError, match="emulator"):
        write_video(path, break_late(), frames_per_second=60)
    assert list(tmp_path.iterdir()) == []
    write_video(path, make_frames(2), frames_per_second=60)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="emulator"):
        write_video(path, break_late(), frames_per_second=60)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_frames_of_another_size_and_no_frames_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "game.mp4"
    with pytest.raises(ValueError, match=r"frame 1 has shape \(36, 52, 3\)"):
        write_video(path, [*make_frames(1), *make_frames(1, width=52)], frames_per_second=60)
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(path, [], frames_per_second=60)
    assert list(tmp_path.iterdir()) == []


def test_the_same_frames_give_the_same_file(tmp_path: Path) -> None:
    contents = []
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, make_frames(40), frames_per_second=60)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_scaling_up_makes_every_pixel_a_square(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = picture.repeat(3, axis=0).repeat(3, axis=1)
    np.testing.assert_array_equal(scale_up(picture, 3), expected)
    np.testing.assert_array_equal(scale_up(picture, 1), picture)
    with pytest.raises(ValueError, match="factor=0"):
        scale_up(picture, 0)


def test_a_poster_is_the_frame_itself(tmp_path: Path) -> None:
    frame = make_frames(1)[0]
    write_poster(tmp_path / "new" / "game.png", frame)
    read = cv2.cvtColor(cv2.imread(str(tmp_path / "new" / "game.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(read, frame)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["game.png"]

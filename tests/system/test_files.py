"""Files that are there whole or not at all, and lines that stay lines, whatever stopped the writer before."""

import errno
import os
from pathlib import Path

import pytest

from wn_rl.system.files import adopt_written, append_line, write_whole


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b"new\n"), (b"one\n", b"one\nnew\n"), (b"one\nhal", b"one\nhal\nnew\n")],
    ids=["an empty file", "whole lines", "half a line"],
)
def test_a_line_is_appended_after_what_a_killed_writer_left(before: bytes, after: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(before)
    append_line(path, b"new\n")
    assert path.read_bytes() == after


def test_a_file_of_another_writer_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        forced.append((os.fstat(descriptor).st_ino, (tmp_path / "video").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    (tmp_path / "temporary").write_bytes(b"frames")
    adopt_written(tmp_path / "temporary", tmp_path / "video")
    assert forced == [((tmp_path / "video").stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_an_error_says_of_which_file_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a descriptor the system says only that the disk is full."""

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    for write in (write_whole, append_line):
        with pytest.raises(OSError, match="No space left") as caught:
            write(tmp_path / "file", b"content")
        assert caught.value.filename == str(tmp_path / "file")


def test_an_impatient_user_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []

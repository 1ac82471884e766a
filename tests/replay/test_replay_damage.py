"""Damaged, missing and forged segments and checkpoints are refused: in one line, at once."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import zstandard

from tests.helpers.replay_archives import GO, SMALL, make_archive
from tests.helpers.replay_oracle import History
from wn_rl.errors import ConfigurationError
from wn_rl.replay.segments import MAGIC


@pytest.fixture(autouse=True)
def small_segments() -> Iterator[None]:
    """Segments of 8 frames at most."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wn_rl.replay.persistence.MAX_FRAMES", 8)
        yield


def save_small(folder: Path) -> dict[str, Any]:
    replay, archive = make_archive(SMALL, folder)
    History(SMALL, replay).run([GO, ("limit", "go")] * 5)
    state = archive.state_dict()
    archive.close()
    return state


def load_refused(state: Any, folder: Path, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match) as caught:
        make_archive(SMALL, folder)[1].load_state_dict(state)
    assert "\n" not in str(caught.value)


def flip(position: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[position] ^= 4
        path.write_bytes(content)

    return damage


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (Path.unlink, "is missing"),
    "empty": (lambda path: path.write_bytes(b""), "is damaged"),
    "cut short": (lambda path: os.truncate(path, path.stat().st_size - 1), "is damaged"),
    "cut in the header": (lambda path: os.truncate(path, 20), "is damaged"),
    "grown": (lambda path: os.truncate(path, path.stat().st_size + 1), "is damaged"),
    "huge": (lambda path: os.truncate(path, 10**13), "is damaged"),
    "another segment's content": (
        lambda path: path.write_bytes(max(path.parent.iterdir()).read_bytes()),
        "is damaged",
    ),
    "a pipe": (replace_by_pipe, "is missing"),
    "a folder": (replace_by_folder, "is missing"),
    **{f"flipped bit in byte {i}": (flip(i), "is damaged") for i in (0, 9, 30, -40, -1)},
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_segment_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    damage, match = DAMAGES[name]
    state = save_small(tmp_path)
    damage(min(tmp_path.iterdir()))
    load_refused(state, tmp_path, match)


def forge(folder: Path, state: dict[str, Any], header: dict, payload: bytes) -> None:
    """Give the first segment another content, with digests that agree."""
    entry = state["segments"][0]
    header_bytes = json.dumps(header).encode()
    content = MAGIC + len(header_bytes).to_bytes(4, "little") + header_bytes + payload
    entry["digest"] = hashlib.blake2b(content, digest_size=16).hexdigest()
    (folder / entry["name"]).write_bytes(content)


def describe(state: dict[str, Any]) -> dict[str, Any]:
    entry = state["segments"][0]
    return {"frame_shape": [2, 3], "starts": entry["starts"], "stops": entry["stops"]}


@pytest.mark.parametrize(
    ("changes", "raw", "match"),
    [
        ({"frame_shape": [3, 2]}, bytes(48), "holds other frames"),
        ({"starts": [1, 1]}, bytes(48), "holds other frames"),
        ({}, bytes(47), "is damaged"),
        ({}, bytes(200_000_000), "is damaged"),
    ],
    ids=["other frames' shape", "other positions", "too few bytes", "a bomb of 200 MB"],
)
def test_a_forged_segment_is_refused(changes: dict, raw: bytes, match: str, tmp_path: Path) -> None:
    state = save_small(tmp_path)
    forge(tmp_path, state, describe(state) | changes, zstandard.compress(raw))
    load_refused(state, tmp_path, match)


def test_a_forged_segment_that_tells_the_truth_is_accepted(tmp_path: Path) -> None:
    """So that the test above fails for the reason that it names."""
    state = save_small(tmp_path)
    forge(tmp_path, state, describe(state), zstandard.compress(bytes(48)))
    make_archive(SMALL, tmp_path)[1].load_state_dict(state)


def test_what_claims_more_than_it_holds_takes_no_memory(tmp_path: Path) -> None:
    """A zstandard header may claim any content size; it must not be believed."""
    state = save_small(tmp_path)
    claims = bytes.fromhex("28b52ffd") + b"\xe0" + (1 << 45).to_bytes(8, "little") + b"\x01\x00\x00"
    assert zstandard.get_frame_parameters(claims).content_size == 1 << 45
    forge(tmp_path, state, describe(state), claims)
    load_refused(state, tmp_path, "is damaged")


def change(state: Any, *path: Any, to: Any) -> None:
    *parents, last = path
    for key in parents:
        state = state[key]
    state[last] = to


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        (("segments", 0, "name"), "../../etc/passwd", "list of segments is damaged"),
        (("segments", 0, "name"), 5, "list of segments is damaged"),
        (("segments", 0, "stops"), [10**9, 4], "list of segments is damaged"),
        (("segments", 0, "stops"), [2**70, 4], "list of segments is damaged"),
        (("segments", 0, "starts"), [0], "list of segments is damaged"),
        (("segments", 0, "starts"), ["0", "0"], "list of segments is damaged"),
        (("segments", 0), None, "list of segments is damaged"),
        (("segments", 0, "extra"), 1, "list of segments is damaged"),
        (("segments",), [], "lacks segments"),
        (("segments",), {}, "has no 'segments'"),
        (("next_number",), -1, "'next_number' is out of range"),
        (("replay",), None, "has no 'replay'"),
        (("replay", "settings"), "{}", "has the settings"),
        (("replay", "columns", "age"), torch.zeros(60), "'age' is torch.float32"),
        (("replay", "columns", "age"), torch.zeros(61, dtype=torch.uint8), "'age' is torch.uint8"),
        (("replay", "columns", "age"), [0] * 60, "has no 'age'"),
        (("replay", "lanes", "heads"), torch.tensor([-1, 11]), "out of range"),
        (("replay", "lanes", "heads"), torch.tensor([2**62, 2**62]), "does not fit|lacks segments"),
        (("replay", "lanes", "ages"), torch.tensor([0, 3]), "out of range"),
        (("replay", "accumulator", "num_pending"), torch.tensor([0, 3]), "out of range"),
    ],
)
def test_a_damaged_checkpoint_is_refused(path: tuple, value: Any, match: str, tmp_path: Path) -> None:
    state = save_small(tmp_path)
    change(state, *path, to=value)
    load_refused(state, tmp_path, match)


def list_paths(state: Any, prefix: tuple = ()) -> Iterator[tuple]:
    if isinstance(state, dict):
        for key, value in state.items():
            yield (*prefix, key)
            yield from list_paths(value, (*prefix, key))


def test_a_checkpoint_without_any_one_of_its_entries_is_refused(tmp_path: Path) -> None:
    paths = list(list_paths(save_small(tmp_path)))
    assert len(paths) == 3 + 5 + 6 + 3 + 1
    for path in paths:
        state = save_small(tmp_path)
        parent = state
        for key in path[:-1]:
            parent = parent[key]
        del parent[path[-1]]
        load_refused(state, tmp_path, "the checkpoint is damaged")


def test_a_segment_missing_from_the_middle_of_the_list_is_noticed(tmp_path: Path) -> None:
    state = save_small(tmp_path)
    del state["segments"][1]
    load_refused(state, tmp_path, "does not fit its segment")


def test_the_smallest_difference_of_settings_is_shown(tmp_path: Path) -> None:
    state = save_small(tmp_path)
    _, other = make_archive(SMALL._replace(gamma=0.99), tmp_path)
    with pytest.raises(ConfigurationError, match=r'"gamma": 0.9,.* this run .*"gamma": 0.99,'):
        other.load_state_dict(state)

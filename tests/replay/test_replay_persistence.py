"""A replay that was saved and loaded goes on as if it had never stopped; each frame is written once."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.replay_archives import GO, SMALL, make_archive
from tests.helpers.replay_oracle import History, draw_plays, drop_repeats, make_replay, read_batch
from wn_rl.errors import ConfigurationError
from wn_rl.replay.persistence import list_segment_names
from wn_rl.replay.prioritized_sampler import PrioritizedSampler
from wn_rl.replay.segments import remove_unused_segments
from wn_rl.replay.storage import STORAGE_NAMES


@pytest.fixture(autouse=True)
def small_segments() -> Iterator[None]:
    """Segments of 8 frames at most."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wn_rl.replay.persistence.MAX_FRAMES", 8)
        yield


def pass_through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def flatten(value: Any) -> Any:
    """Comparable: tensors as dtype and bytes."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: flatten(entry) for key, entry in value.items()}
    return value


@settings(max_examples=60, deadline=None)
@given(
    plays=draw_plays(max_rounds=60),
    saves=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    storages=st.tuples(*[st.sampled_from(STORAGE_NAMES)] * 2),
)
def test_a_saved_and_loaded_replay_goes_on_as_if_it_had_not_been(
    plays, saves: list[int], storages: tuple[str, str]
) -> None:
    """Saved several times, mostly in mid-episode, and loaded after the last; then both replays go on.

    The storage may be another one when loaded.
    """
    its_settings, rounds = plays
    saves = sorted(min(save, len(rounds)) for save in saves)
    with tempfile.TemporaryDirectory() as name:
        first, archive = make_archive(its_settings, Path(name), storages[0])
        history = History(its_settings, first)
        for i in range(saves[-1]):
            if i in saves:
                archive.state_dict()
            archive.write_new_frames()
            history.run(rounds[i : i + 1])
        state = archive.state_dict()
        archive.close()
        second, loading = make_archive(its_settings, Path(name), storages[1])
        loading.load_state_dict(pass_through_a_file(state))
    assert flatten(second.state_dict()) == flatten(first.state_dict())
    history.replays.append(second)
    history.run(rounds[saves[-1] :])
    expected = history.list_transitions()
    assert second.num_valid == len(expected)
    assert flatten(second.state_dict()) == flatten(first.state_dict())
    if expected:
        batches = [replay.sample(64, torch.Generator().manual_seed(3)) for replay in (first, second)]
        assert flatten(batches[0]._asdict()) == flatten(batches[1]._asdict())
        assert all(item in expected for item in read_batch(batches[1]))


def test_what_is_loaded_in_mid_episode_continues_it(tmp_path: Path) -> None:
    """The second lane is at its third observation, with two pending rewards, when all is saved."""
    first, archive = make_archive(SMALL, tmp_path)
    history = History(SMALL, first)
    history.run([GO] * 13)
    archive.write_new_frames()  # of which 2 and 3 frames are overwritten when all is saved
    history.run([GO] * 15 + [("go", "limit"), GO, GO])
    second, loading = make_archive(SMALL, tmp_path)
    loading.load_state_dict(pass_through_a_file(archive.state_dict()))
    history.replays = [second]
    history.run([GO, ("terminal", "go"), GO])
    found = read_batch(second.sample(5000, torch.Generator().manual_seed(3)))
    assert drop_repeats(found) == history.list_transitions()


def test_segments_that_were_checked_are_not_read_again_when_they_are_loaded(tmp_path: Path) -> None:
    first, archive = make_archive(SMALL, tmp_path)
    history = History(SMALL, first)
    history.run([GO] * 13)
    state = archive.state_dict()
    second, loading = make_archive(SMALL, tmp_path)
    loading.check_state_dict(state)
    for path in tmp_path.glob("segment-*"):
        path.unlink()
    loading.load_state_dict(state)
    found = read_batch(second.sample(5000, torch.Generator().manual_seed(3)))
    assert drop_repeats(found) == history.list_transitions()


@pytest.mark.parametrize("removed", ["segment-*", "segment-000001-*"])
def test_segments_that_somebody_removed_while_training_are_written_again(tmp_path: Path, removed: str) -> None:
    """All frames are in memory; a checkpoint that named what is gone could not be gone on from."""
    first, archive = make_archive(SMALL, tmp_path)
    history = History(SMALL, first)
    history.run([GO] * 13)
    archive.state_dict()
    for path in tmp_path.glob(removed):
        path.unlink()
    history.run([GO] * 4)
    second, loading = make_archive(SMALL, tmp_path)
    loading.load_state_dict(pass_through_a_file(archive.state_dict()))
    assert flatten(second.state_dict()) == flatten(first.state_dict())
    found = read_batch(second.sample(5000, torch.Generator().manual_seed(3)))
    assert drop_repeats(found) == history.list_transitions()


def test_what_a_sampler_remembers_is_saved_and_loaded() -> None:
    samplers = [PrioritizedSampler(priority_exponent=0.5, importance_exponent=0.5) for _ in range(2)]
    saved, loaded = (make_replay(SMALL, sampler) for sampler in samplers)
    History(SMALL, saved).run([GO] * 40 + [("terminal", "go"), GO])
    rows = torch.from_numpy(np.flatnonzero(saved._columns.valid))
    for scale in (9, 1):
        saved.update_priorities(rows, torch.rand(len(rows), generator=torch.Generator().manual_seed(0)) * scale)
    loaded.load_state_dict(pass_through_a_file(saved.state_dict()))
    for replay, sampler in zip((saved, loaded), samplers, strict=True):
        replay.cut_episodes()  # what is complete by that is new: it takes the largest priority of all that are stored
        assert sampler._tree.largest < 2
    batches = [replay.sample(64, torch.Generator().manual_seed(3)) for replay in (saved, loaded)]
    assert batches[0].index.tolist() == batches[1].index.tolist()
    assert batches[0].weight.tolist() == batches[1].weight.tolist()


def test_a_loaded_archive_writes_what_the_one_that_went_on_writes(tmp_path: Path) -> None:
    """Names carry the content's digest: equal names are equal files, and nothing is written twice."""
    first, archive = make_archive(SMALL, tmp_path)
    history = History(SMALL, first)
    history.run([GO] * 21)
    state = archive.state_dict()
    second, loaded = make_archive(SMALL, tmp_path)
    loaded.load_state_dict(state)
    history.replays.append(second)
    history.run([GO] * 9)
    assert loaded.state_dict()["segments"] == archive.state_dict()["segments"]


def test_each_frame_is_written_once_and_files_never_change(tmp_path: Path) -> None:
    replay, archive = make_archive(SMALL, tmp_path)
    history = History(SMALL, replay)
    entries: dict[str, dict] = {}
    times: dict[str, int] = {}
    for _ in range(8):
        history.run([GO, ("go", "terminal"), GO])
        archive.write_new_frames()
        entries |= {entry["name"]: entry for entry in archive.state_dict()["segments"]}
        times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} | times
    written = sum(sum(entry["stops"]) - sum(entry["starts"]) for entry in entries.values())
    assert written == int(replay.lanes.heads.sum()) == 25 + 33
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times
    assert set(times) == set(entries)


def test_new_frames_are_on_disk_before_a_checkpoint_asks_for_them(tmp_path: Path) -> None:
    replay, archive = make_archive(SMALL, tmp_path)
    History(SMALL, replay).run([GO] * 13)  # 14 frames a lane: 3 segments of 4, and 2 left
    archive.write_new_frames()
    archive.close()
    assert len(list(tmp_path.glob("segment-*.zst"))) == 3


def test_segments_are_removed_when_all_is_overwritten_and_nobody_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a stranger's")
    (tmp_path / "segment-000099-0123456789abcdef.tmp").write_text("left by an interrupted write")
    replay, archive = make_archive(SMALL, tmp_path)
    history = History(SMALL, replay)
    history.run([GO] * 7)
    old = list_segment_names(archive.state_dict())
    history.run([GO] * 40)
    new = list_segment_names(archive.state_dict())
    assert len(old) == 2
    assert not old & new
    assert archive.remove_unused_segments(keep=sorted(old)[:1])[-1] == "segment-000099-0123456789abcdef.tmp"
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"notes.txt", sorted(old)[0]} | new
    assert remove_unused_segments(tmp_path, keep=new) == sorted(old)[:1]


def test_removing_spares_segments_that_no_checkpoint_names_yet(tmp_path: Path) -> None:
    replay, archive = make_archive(SMALL, tmp_path)
    History(SMALL, replay).run([GO] * 13)
    archive.write_new_frames()
    assert archive.remove_unused_segments() == []
    state = archive.state_dict()
    make_archive(SMALL, tmp_path)[1].load_state_dict(state)


@pytest.mark.parametrize("in_background", [False, True])
def test_what_could_not_be_written_is_written_later(in_background: bool, tmp_path: Path) -> None:
    """A file has the folder's name: writing fails as on a full disk or in a read-only folder."""
    folder = tmp_path / "replay"
    folder.write_text("in the way")
    replay, archive = make_archive(SMALL, folder)
    History(SMALL, replay).run([GO] * 9)
    attempt = archive.write_new_frames if in_background else archive.state_dict
    with pytest.raises(ConfigurationError, match="cannot write the replay segment") as caught:
        attempt()
    assert "\n" not in str(caught.value)
    folder.unlink()
    state = archive.state_dict()
    loaded, loading = make_archive(SMALL, folder)
    loading.load_state_dict(state)
    batches = [a_replay.sample(64, torch.Generator().manual_seed(3)) for a_replay in (replay, loaded)]
    assert flatten(batches[0]._asdict()) == flatten(batches[1]._asdict())


def test_an_interrupted_write_leaves_no_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    replay, archive = make_archive(SMALL, tmp_path)
    History(SMALL, replay).run([GO] * 3)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(ConfigurationError, match="No space left on device; make room"):
            archive.state_dict()
    assert list(tmp_path.iterdir()) == []


def test_frames_that_were_overwritten_before_they_were_saved_are_not_needed(tmp_path: Path) -> None:
    replay, archive = make_archive(SMALL, tmp_path)
    history = History(SMALL, replay)
    history.run([GO] * 5)
    archive.state_dict()
    history.run([GO] * 100)
    state = archive.state_dict()
    loaded, loading = make_archive(SMALL, tmp_path)
    loading.load_state_dict(state)
    history.replays = [loaded]
    found = read_batch(loaded.sample(5000, torch.Generator().manual_seed(3)))
    assert drop_repeats(found) == history.list_transitions()


def test_nothing_is_written_where_a_run_folder_was(tmp_path: Path) -> None:
    replay, archive = make_archive(SMALL, tmp_path / "gone" / "replay")
    History(SMALL, replay).run([GO] * 9)
    with pytest.raises(ConfigurationError, match=r"cannot write the replay segment .*: No such file or directory"):
        archive.state_dict()
    assert not (tmp_path / "gone").exists()

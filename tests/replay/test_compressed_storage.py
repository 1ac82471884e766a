"""Compressed frames are the frames that were written, whatever dictionaries came and went, and they are small."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.replay_oracle import CPU, History, draw_plays, make_replay, read_batch
from wn_rl.replay.compressed_storage import CompressedFrameStorage
from wn_rl.replay.samplers import UniformSampler
from wn_rl.replay.storage import RamFrameStorage
from wn_rl.types import ObservationSpec

SHAPE = (20, 30)
NUM_ROWS = 40


@pytest.fixture(autouse=True)
def frequent_dictionaries() -> Iterator[None]:
    """The first after 16 frames, further ones after 24, of 8 frames each."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "FIRST_DICTIONARY_FRAMES": 16, "DICTIONARY_PERIOD_FRAMES": 24, "NUM_TRAINING_FRAMES": 8,
            "DICTIONARY_BYTES": 4096, "COVER_SEGMENT_BYTES": 256,
        }.items():  # fmt: skip
            patch.setattr(f"wn_rl.replay.compressed_storage.{name}", value)
        yield


def make_frames(generator: np.random.Generator, num_frames: int, background: np.ndarray) -> np.ndarray:
    """A background that nothing but a dictionary compresses, with a few pixels changed."""
    frames = np.repeat(background[None], num_frames, axis=0)
    for frame in frames:
        frame[tuple(generator.integers(0, SHAPE))] = generator.integers(256)
    return frames


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(1, NUM_ROWS), max_size=12),
    num_read=st.integers(0, 100),
)
def test_what_is_read_is_what_was_written(seed: int, sizes: list[int], num_read: int) -> None:
    """Rows are overwritten in any order, over several dictionaries, and read with repetitions."""
    generator = np.random.default_rng(seed)
    background = generator.integers(0, 256, SHAPE).astype(np.uint8)
    expected = np.zeros((NUM_ROWS + 1, *SHAPE), np.uint8)
    storage = CompressedFrameStorage()
    storage.allocate(NUM_ROWS, ObservationSpec(SHAPE, "uint8"))
    for size in sizes:
        rows = generator.permutation(NUM_ROWS)[:size]
        frames = make_frames(generator, size, background)
        storage.write(rows, frames)
        expected[rows] = frames
        frames[:] = 7  # the caller's buffer may be used again
        read = generator.integers(0, NUM_ROWS + 1, num_read)
        found = storage.read(torch.from_numpy(read))
        assert found.dtype == torch.uint8
        assert np.array_equal(found.numpy(), expected[read])


@settings(max_examples=100, deadline=None)
@given(draw_plays())
def test_a_compressed_replay_holds_what_the_oracle_says_and_samples_what_plain_ones_do(plays) -> None:
    """``ram`` and ``device`` are the plain ones."""
    its_settings, rounds = plays
    replays = [make_replay(its_settings, UniformSampler(), storage=name) for name in ("ram", "compressed", "device")]
    all_of_it = make_replay(its_settings, storage="compressed")
    history = History(its_settings, *replays, all_of_it)
    history.run(rounds)
    expected = history.list_transitions()
    assert read_batch(all_of_it.sample(1, torch.Generator())) == expected
    if expected:
        plain, *others = [replay.sample(48, torch.Generator().manual_seed(5)) for replay in replays]
        for other in others:
            assert all(torch.equal(a, b) for a, b in zip(plain[:7], other[:7], strict=True))


def test_a_dictionary_makes_frames_small_and_a_new_one_follows_the_game() -> None:
    """Noise is all that a frame shows: only with a dictionary of this very background is it less than 600 bytes."""
    generator = np.random.default_rng(1)
    storage = CompressedFrameStorage()
    storage.allocate(NUM_ROWS, ObservationSpec(SHAPE, "uint8"))
    sizes = []
    for _ in range(2):  # two rooms of a game
        background = generator.integers(0, 256, SHAPE).astype(np.uint8)
        for _ in range(8):
            storage.write(np.arange(8), make_frames(generator, 8, background))
            sizes.append(storage.compute_bytes_per_frame(8))
    without, first_room, entering, second_room = sizes[0], sizes[4], sizes[8], sizes[-1]
    assert min(without, entering) > 600 + 49
    assert max(first_room, second_room) < 150 + 49  # Python.s bytes object, and two pointers


def test_frames_that_no_dictionary_can_be_made_of_are_kept_all_the_same() -> None:
    storage = CompressedFrameStorage()
    storage.allocate(NUM_ROWS, ObservationSpec((2, 2), "uint8"))
    for number in range(50):
        storage.write(np.array([number % NUM_ROWS]), np.full((1, 2, 2), number, np.uint8))
    assert storage.read(torch.arange(8, 12))[:, 0, 0].tolist() == [48, 49, 10, 11]


def test_frames_that_are_read_may_be_changed() -> None:
    """As those of the plain storage, they are copies."""
    storages = [CompressedFrameStorage(), RamFrameStorage(device=CPU)]
    for storage in storages:
        storage.allocate(NUM_ROWS, ObservationSpec(SHAPE, "uint8"))
        storage.write(np.array([3]), np.full((1, *SHAPE), 9, np.uint8))
        rows = torch.tensor([3, 3])
        storage.read(rows)[0] += 1
        assert torch.equal(storage.read(rows), torch.full((2, *SHAPE), 9, dtype=torch.uint8))

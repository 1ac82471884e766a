"""MNIST and CIFAR-10 with a few images each, in every form in which they may lie."""

import dataclasses
import gzip
import io
import json
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wn_rl.paper import images
from wn_rl.paper.images import DATA_SETS, DataSet

NUM_TRAIN, NUM_TEST = 40, 20


def make_tiny(name: str) -> DataSet:
    """The data set, of ``NUM_TRAIN`` and ``NUM_TEST`` images, and without any place to fetch it from."""
    return dataclasses.replace(DATA_SETS[name], num_train=NUM_TRAIN, num_test=NUM_TEST, mirrors=())


def expect_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the tiny ones for the real ones."""
    for name in ("mnist", "cifar10"):
        monkeypatch.setitem(images.DATA_SETS, name, make_tiny(name))


def draw(name: str, num_images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise under a bar whose place is the class: [N, C, H, W], and labels [N], every class as often."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 60, (num_images, *DATA_SETS[name].shape), dtype=np.uint8)
    labels = np.arange(num_images) % 10
    for image, label in zip(pixels, labels, strict=True):
        image[:, 2 + 2 * label : 4 + 2 * label, 4:24] = 230
    return pixels, labels


TRAIN = {name: draw(name, NUM_TRAIN, 0) for name in DATA_SETS}
TEST = {name: draw(name, NUM_TEST, 1) for name in DATA_SETS}


def encode_idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def make_idx_files() -> dict[str, bytes]:
    files = {}
    for prefix, (pixels, labels) in (("train", TRAIN["mnist"]), ("t10k", TEST["mnist"])):
        files[f"{prefix}-images-idx3-ubyte"] = encode_idx(pixels[:, 0])
        files[f"{prefix}-labels-idx1-ubyte"] = encode_idx(labels.astype(np.uint8))
    return files


def split_batches() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The five batches of training, and that of test."""
    pixels, labels = TRAIN["cifar10"]
    parts = zip(np.split(pixels, 5), np.split(labels, 5), strict=True)
    return {f"data_batch_{number}": part for number, part in enumerate(parts, 1)} | {"test_batch": TEST["cifar10"]}


def make_binary_files() -> dict[str, bytes]:
    return {
        f"{name}.bin": np.concatenate([labels[:, None].astype(np.uint8), pixels.reshape(len(pixels), -1)], 1).tobytes()
        for name, (pixels, labels) in split_batches().items()
    }


def make_pickles() -> dict[str, bytes]:
    return {
        name: pickle.dumps(
            {b"data": pixels.reshape(len(pixels), -1), b"labels": labels.tolist(), b"batch_label": b"one"},
            protocol=4,
        )
        for name, (pixels, labels) in split_batches().items()
    }


def encode_png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def make_strips() -> dict[str, bytes]:
    batches = split_batches()
    files = {
        f"{name}.png": encode_png(pixels.transpose(0, 2, 3, 1).reshape(len(pixels), 1024, 3))
        for name, (pixels, _) in batches.items()
    }
    files["train_lables.json"] = json.dumps(TRAIN["cifar10"][1].tolist()).encode()
    files["test_lables.json"] = json.dumps(TEST["cifar10"][1].tolist()).encode()
    return files


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_gzipped(folder: Path, files: dict[str, bytes]) -> Path:
    return write_files(folder, {f"{name}.gz": gzip.compress(content) for name, content in files.items()})


def write_archive(path: Path, files: dict[str, bytes], prefix: str = "package/data/") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{prefix}{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path.parent


def write_png_folder(folder: Path, name: str) -> Path:
    for part, (pixels, labels) in (("train", TRAIN[name]), ("test", TEST[name])):
        for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            place = folder / "pngs" / part / DATA_SETS[name].class_names[label]
            place.mkdir(parents=True, exist_ok=True)
            shown = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
            (place / f"{number:03d}.png").write_bytes(encode_png(shown))
    return folder

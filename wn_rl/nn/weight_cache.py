"""When is w computed? Once inside ``cached_weights``, however often the layers are applied, and for all together.

The bookkeeping of a small layer costs more than its arithmetic, so that together is cheaper also for one application.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from wn_rl.nn.geometry import WEIGHT_NORM_TYPES
from wn_rl.nn.weight_norm import compute_weights
from wn_rl.nn.weight_norm_layer import layer_g
from wn_rl.nn.weight_norm_linear import SMALLEST_SCALED


@contextmanager
def cached_weights(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, every weight-normalized layer among ``layers`` has one w, with its graph; others are passed over.

    For ``layers`` that are not changed inside: a step of the optimizer in there is not seen. Blocks may lie in one
    another; the outermost one computes. Large linear layers on a CPU, which scale their outputs and have no w, are
    passed over, and transposed convolutions, whose v has another layout.
    """
    found: list[Any] = [layer for layer in layers if type(layer) in WEIGHT_NORM_TYPES and _is_cached_here(layer)]
    if found:
        weights = compute_weights([layer.v for layer in found], [layer_g(layer) for layer in found])
        for layer, weight in zip(found, weights, strict=True):
            layer.cached_weight = weight
    try:
        yield
    finally:
        for layer in found:
            layer.cached_weight = None


def _is_cached_here(layer: Any) -> bool:
    is_scaled = layer.v.dim() == 2 and layer.v.numel() >= SMALLEST_SCALED
    return layer.cached_weight is None and layer.output_axis == 0 and not (is_scaled and layer.v.device.type == "cpu")

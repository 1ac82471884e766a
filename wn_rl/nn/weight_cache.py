"""When is w computed? Once inside ``cached_weights``, however often the layers are applied, and for all together.

The bookkeeping of a small layer costs more than its arithmetic, so that together is cheaper also for one application.
Inside ``lent_weights`` not even once: folding, which training needs after every update for the network that acts, has
computed it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from wn_rl.nn.geometry import WEIGHT_NORM_TYPES
from wn_rl.nn.weight_norm import compute_weights
from wn_rl.nn.weight_norm_layer import layer_g
from wn_rl.nn.weight_norm_linear import is_large


@contextmanager
def cached_weights(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, every weight-normalized layer among ``layers`` has one w, with its graph; others are passed over.

    For ``layers`` that are not changed inside: a step of the optimizer in there is not seen. Blocks may lie in one
    another; the outermost one computes. Large linear layers on a CPU, which scale their outputs and have no w, are
    passed over, and transposed convolutions, whose v has another layout.
    """
    found = [layer for layer in _find(layers) if not is_large(layer.v)]
    if found:
        _set_weights(found, compute_weights([layer.v for layer in found], [layer_g(layer) for layer in found]))
    try:
        yield
    finally:
        for layer in found:
            layer.cached_weight = None


@contextmanager
def lent_weights(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, weight-normalized layers use the w that folding wrote last, and compute none; the graph is as ever.

    The caller knows that v and g have not changed since, that the network is applied in the dtype into which it was
    folded (an autocast one, or its own), and that it is not folded inside. As ``cached_weights`` otherwise. A large
    linear layer with a unit that is zero, whose g would get no gradient, is passed over.
    """
    found = [layer for layer in _find(layers) if layer.folded is not None]
    large = [layer for layer in found if is_large(layer.v)]
    others = [layer for layer in found if not is_large(layer.v)]
    if others:
        vs, gs = [layer.v for layer in others], [layer_g(layer) for layer in others]
        _set_weights(others, compute_weights(vs, gs, [layer.folded for layer in others]))
    for layer in large:
        if bool((layer_g(layer) / layer.folded.divisors).all()):
            layer.lent = layer.folded
    try:
        yield
    finally:
        for layer in found:
            layer.cached_weight = layer.lent = None


def _find(layers: Iterable[nn.Module]) -> list[Any]:
    """The weight-normalized layers that no block around this one serves."""
    typed: list[Any] = [layer for layer in layers if type(layer) in WEIGHT_NORM_TYPES]
    return [layer for layer in typed if layer.cached_weight is None and layer.output_axis == 0]


def _set_weights(layers: list[Any], weights: tuple[Tensor, ...]) -> None:
    for layer, weight in zip(layers, weights, strict=True):
        layer.cached_weight = weight

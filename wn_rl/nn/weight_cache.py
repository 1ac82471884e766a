"""When is w computed? Once inside ``cached_weights``, however often the layers are applied, and for all together.

The bookkeeping of a small layer costs more than its arithmetic, so that together is cheaper also for one application.
Inside ``lent_weights`` not even once: folding, which training needs after every update for the network that acts, has
computed it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from wn_rl.nn.geometry import WEIGHT_NORM_TYPES
from wn_rl.nn.weight_norm import ComputedWeight, compute_weights
from wn_rl.nn.weight_norm_layer import layer_g


@contextmanager
def cached_weights(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, every weight-normalized layer among ``layers`` has one w, with its graph; others are passed over.

    For ``layers`` that are not changed inside: a step of the optimizer in there is not seen. Blocks may lie in one
    another; the outermost one computes. Transposed convolutions, whose v has another layout, are passed over.
    """
    found = _find(layers)
    _cache_weights(found)
    try:
        yield
    finally:
        for layer in found:
            layer.cached_weight = None


@contextmanager
def lent_weights(layers_and_folded: Iterable[tuple[nn.Module, nn.Module]]) -> Iterator[None]:
    """Inside, weight-normalized layers use the w that folding wrote, and compute none; the graph is as ever.

    ``layers_and_folded`` are those of ``folding.pair_layers``. The caller knows that v and g have not changed since
    they were folded, that the network is applied in the dtype into which they were (an autocast one, or their own),
    and that they are not folded anew before the backward pass. As ``cached_weights`` otherwise.
    """
    folded: dict[Any, Any] = dict(layers_and_folded)
    known = {layer: ComputedWeight(folded[layer].weight, folded[layer].divisors) for layer in _find(folded)}
    _cache_weights(list(known), known)
    try:
        yield
    finally:
        for layer in known:
            layer.cached_weight = None


def _find(layers: Iterable[nn.Module]) -> list[Any]:
    """The weight-normalized layers that no block around this one serves."""
    typed: list[Any] = [layer for layer in layers if type(layer) in WEIGHT_NORM_TYPES]
    return [layer for layer in typed if layer.cached_weight is None and layer.output_axis == 0]


def _cache_weights(layers: list[Any], known: Mapping[Any, ComputedWeight] | None = None) -> None:
    """Give each of the layers its w, with its graph."""
    if layers:
        vs, gs = [layer.v for layer in layers], [layer_g(layer) for layer in layers]
        weights = compute_weights(vs, gs, None if known is None else [known[layer] for layer in layers])
        for layer, weight in zip(layers, weights, strict=True):
            layer.cached_weight = weight

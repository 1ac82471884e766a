"""What a layer's weight is made of, however the layer holds it: a plain weight, or v and g, ours or PyTorch's."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.weight_norm import WeightNorm as TorchHook

from wn_rl.nn.weight_norm_layers import WeightNormLayer, is_g_learned, output_axis, plain_type
from wn_rl.nn.weight_norm_recurrent import (
    PLAIN_RECURRENT,
    Recurrent,
    named_weights,
    plain_recurrent_type,
    read_matrix,
    suffix_of,
    weight_names,
)


class Source(NamedTuple):
    """What a weight is made of, however its layer holds it.

    ``kind`` is the layer's class in ``torch.nn``, ``v`` has the plain weight's shape; ``g`` is [O], or None for a
    plain weight, which ``v`` then is. ``weight`` is w. ``is_g_learned`` says whether g is trained, None where g is
    fixed or there is none.
    """

    kind: type[nn.Module]
    v: Tensor
    g: Tensor | None
    weight: Tensor
    is_g_learned: bool | None = None


def read_affine(layer: nn.Module) -> Source | None:
    """Take an affine layer apart: plain, ours, PyTorch's parametrization or its old hook; None for other modules."""
    kind = plain_type(layer)
    if kind is None:
        return None
    if isinstance(layer, WeightNormLayer):
        return Source(kind, layer.v, layer.compute_g(), layer.weight, is_g_learned(layer, ""))
    return _read_weight(layer, "weight", kind, axis=output_axis(layer))


def read_recurrent(layer: nn.Module) -> dict[str, Source] | None:
    """The same of a recurrent layer or cell, by the names of its plain matrices."""
    kind = plain_recurrent_type(layer)
    if kind is None:
        return None
    recurrent = cast(Recurrent, layer)
    names = weight_names(recurrent)
    if type(layer) in PLAIN_RECURRENT:
        weights, matrices = named_weights(recurrent), {name: read_matrix(layer, name) for name in names}
        return {
            name: Source(kind, v, g, weights[name], is_g_learned(layer, suffix_of(name)))
            for name, (v, g, _) in matrices.items()
        }
    found = {name: _read_weight(layer, name, kind, axis=0) for name in names}
    return None if None in found.values() else cast(dict[str, Source], found)


def _read_weight(layer: nn.Module, name: str, kind: type[nn.Module], *, axis: int) -> Source | None:
    """A weight of one of PyTorch's layers; None where anything but weight norm computes it."""
    if parametrize.is_parametrized(layer, name):
        entries = cast(parametrize.ParametrizationList, layer.parametrizations[name])  # type: ignore[index]
        if len(entries) != 1 or not isinstance(entries[0], parametrizations._WeightNorm):
            return None
        g, v = cast(Tensor, entries.original0), cast(Tensor, entries.original1)
        return _read_torch(kind, v, g, torch_axis=cast(int, entries[0].dim), axis=axis)
    for hook in layer._forward_pre_hooks.values():
        if isinstance(hook, TorchHook) and hook.name == name:
            v, g = layer.get_parameter(f"{name}_v"), layer.get_parameter(f"{name}_g")
            return _read_torch(kind, v, g, torch_axis=hook.dim, axis=axis)
    weight = layer._parameters.get(name)
    return None if weight is None else Source(kind, weight, None, weight)


def _read_torch(kind: type[nn.Module], v: Tensor, g: Tensor, *, torch_axis: int, axis: int) -> Source:
    """PyTorch's v and g where its norm is that of an output unit; else w alone, which our v and g then start from."""
    weight = torch._weight_norm(v, g, torch_axis)
    if torch_axis == axis and g.numel() == g.shape[axis] and g.numel() == v.shape[axis]:
        return Source(kind, v, g.flatten(), weight, g.requires_grad)
    return Source(kind, weight.detach().requires_grad_(v.requires_grad), None, weight)

"""Any module becomes weight-normalized, and plain again; the function never changes.

Every conversion returns a copy and leaves the module that it is given as it is. It replaces linear layers,
convolutions, transposed convolutions, LSTM, GRU, RNN and their cells of exactly PyTorch's classes (a subclass may use
its weight in ways of its own) wherever they are; a layer used in several places stays shared. Training mode, device,
dtype, memory format, ``requires_grad`` of every parameter, hooks on forward and backward passes, and attributes of your
own are kept; gradients are not.
"""

import warnings
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from wn_rl.errors import ConfigurationError
from wn_rl.nn.replacement import explain_left, replace_layers
from wn_rl.nn.sources import Source, read_affine, read_recurrent
from wn_rl.nn.weight_norm_layers import WEIGHT_NORM_OF, constructor_arguments, make_plain_like, output_axis
from wn_rl.nn.weight_norm_recurrent import (
    Matrix,
    Recurrent,
    copy_biases_,
    make_plain_recurrent_like,
    make_weight_norm_recurrent,
)


def weight_normalize(module: nn.Module, *, g_mode: str = "free", strict: bool = False) -> nn.Module:
    """A copy of ``module`` with weight-normalized layers, computing the same function.

    A plain layer gives v = w and g = ‖w‖, frozen where w is; PyTorch's parametrization and its old hook give their v
    and g (where their norm runs over the inputs of an output unit; else v = w). ``g_mode`` holds for all layers, those
    that are ours already included. Layers with weight matrices that are left as they are, such as ``nn.Embedding``,
    are named in a warning. Raises ConfigurationError, naming the layer, where all weights of an output unit are zero or
    the weight is shared with another module, and with ``strict`` where a layer would be left as it is.

    Examples:
        >>> network = weight_normalize(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)), strict=True)
        >>> [type(layer).__name__ for layer in network]
        ['WeightNormLinear', 'Tanh', 'WeightNormLinear']
        >>> sorted(network.state_dict())
        ['0.bias', '0.g', '0.v', '2.bias', '2.g', '2.v']
    """

    def replace(layer: nn.Module) -> nn.Module | None:
        matrices = read_recurrent(layer)
        if matrices is not None:
            parts = {name: Matrix(source.v, source.g, _is_g_trained(source)) for name, source in matrices.items()}
            return cast(nn.Module, make_weight_norm_recurrent(cast(Recurrent, layer), parts, g_mode=g_mode))
        source = read_affine(layer)
        return None if source is None else _build_weight_norm(layer, source, g_mode)

    converted, replaced = replace_layers(module, replace)
    left = explain_left(module, replaced)
    if left and strict:
        raise ConfigurationError(f"not every layer can be weight-normalized: {left}; leave out strict to keep them")
    if left:
        warnings.warn(f"weight_normalize leaves layers as they are: {left}", stacklevel=2)
    return converted


def plain(module: nn.Module) -> nn.Module:
    """A copy of ``module`` with plain layers of weight w for ours, PyTorch's parametrization and its hook.

    Examples:
        >>> sorted(plain(weight_normalize(nn.Linear(4, 3))).state_dict())
        ['bias', 'weight']
    """

    def replace(layer: nn.Module) -> nn.Module | None:
        matrices = read_recurrent(layer)
        if matrices is not None:
            return _build_plain_recurrent(cast(Recurrent, layer), matrices)
        source = read_affine(layer)
        return None if source is None else _build_plain(layer, source)

    return replace_layers(module, replace)[0]


def to_torch_parametrization(module: nn.Module) -> nn.Module:
    """A copy of ``module`` whose weight-normalized layers are PyTorch's ``parametrizations.weight_norm``.

    v and g are kept, and g is frozen where it is fixed. Raises ConfigurationError for a transposed convolution with
    groups, for which PyTorch has no g per output unit.

    Examples:
        >>> sorted(name for name, _ in to_torch_parametrization(weight_normalize(nn.Linear(4, 3))).named_parameters())
        ['bias', 'parametrizations.weight.original0', 'parametrizations.weight.original1']
    """

    def replace(layer: nn.Module) -> nn.Module | None:
        matrices = read_recurrent(layer)
        if matrices is not None and all(source.g is None for source in matrices.values()):
            return None
        if matrices is not None:
            return _parametrize_(_build_plain_recurrent(cast(Recurrent, layer), matrices), matrices, axis=0)
        source = read_affine(layer)
        if source is None or source.g is None:
            return None
        if output_axis(layer) == 1 and cast(int, layer.groups) > 1:
            raise ConfigurationError("PyTorch's weight norm has no g per output unit of grouped transposed kernels")
        return _parametrize_(_build_plain(layer, source), {"weight": source}, axis=output_axis(layer))

    return replace_layers(module, replace)[0]


def _is_g_trained(source: Source) -> bool:
    """Whether g is trained where it is learned at all: as it was, or as the weight is."""
    return source.v.requires_grad if source.is_g_learned is None else source.is_g_learned


def _build_weight_norm(layer: nn.Module, source: Source, g_mode: str) -> nn.Module:
    """Our layer with the v and g (or v = w and g = ‖w‖) and the bias of ``layer``."""
    new = WEIGHT_NORM_OF[source.kind](**constructor_arguments(layer), g_mode=g_mode, device="meta")
    v = source.v.detach().clone().requires_grad_(source.v.requires_grad)
    new.adopt_(v, source.g, g_mode=g_mode, is_g_learned=_is_g_trained(source))
    _copy_bias(layer, new)
    return new


@torch.no_grad()
def _build_plain(layer: nn.Module, source: Source) -> nn.Module:
    """The ``torch.nn`` layer with weight w and the layer's bias."""
    new = make_plain_like(layer)
    new.weight = nn.Parameter(source.weight.detach().clone(), requires_grad=source.v.requires_grad)
    _copy_bias(layer, new)
    return new


@torch.no_grad()
def _build_plain_recurrent(layer: Recurrent, matrices: dict[str, Source]) -> nn.Module:
    """The ``torch.nn`` layer or cell with the matrices w and the layer's biases."""
    new = make_plain_recurrent_like(layer)
    for name, source in matrices.items():
        new.get_parameter(name).copy_(source.weight).requires_grad_(source.v.requires_grad)
    copy_biases_(layer, new)
    return cast(nn.Module, new)


def _copy_bias(layer: nn.Module, new: nn.Module) -> None:
    if layer.bias is not None:
        bias = cast(Tensor, layer.bias)
        new.bias = nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad)


@torch.no_grad()
def _parametrize_(layer: nn.Module, sources: dict[str, Source], *, axis: int) -> nn.Module:
    """Put the weights of a plain layer that were made of v and g under PyTorch's parametrization, with these."""
    for name, source in sources.items():
        if source.g is not None:
            parametrizations.weight_norm(layer, name, dim=axis)
            entries = cast(Any, layer).parametrizations[name]
            entries.original0.copy_(source.g.view_as(entries.original0)).requires_grad_(bool(source.is_g_learned))
            entries.original1.copy_(source.v).requires_grad_(source.v.requires_grad)
    return layer

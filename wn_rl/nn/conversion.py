"""Any module becomes weight-normalized, and plain again; the function never changes.

Every conversion returns a copy and leaves the module that it is given as it is. It replaces linear layers,
convolutions, transposed convolutions, LSTM and GRU of exactly PyTorch's classes (a subclass may use its weight in
ways of its own) wherever they are; a layer used in several places stays shared. Training mode, device, dtype and
``requires_grad`` are kept; hooks on the replaced layers are not.
"""

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from wn_rl.errors import ConfigurationError
from wn_rl.nn.sources import Source, read_affine, read_recurrent
from wn_rl.nn.weight_norm_layers import WEIGHT_NORM_OF, constructor_arguments, make_plain_like, output_axis
from wn_rl.nn.weight_norm_recurrent import (
    Matrix,
    copy_biases_,
    make_plain_recurrent_like,
    make_weight_norm_recurrent,
)


def _convert(module: nn.Module, replace: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """A deep copy of ``module`` with ``replace(layer)`` in the place of every layer for which that is not None."""
    replacements: dict[int, nn.Module] = {}
    for name, layer in module.named_modules():
        try:
            with torch.random.fork_rng(devices=[]):  # layers draw as they are made, and nobody's stream shall move
                new = replace(layer)
        except ConfigurationError as error:
            raise ConfigurationError(f"layer {name!r} ({type(layer).__name__}): {error}") from None
        if new is not None:
            _require_untied(layer, module, name=name)
            replacements[id(layer)] = new.train(layer.training)
    return copy.deepcopy(module, dict(replacements))


def _require_untied(layer: nn.Module, module: nn.Module, *, name: str) -> None:
    own = {id(parameter) for parameter in layer.parameters()}
    inside = set(layer.modules())
    for other_name, other in module.named_modules():
        if other in inside:
            continue
        if any(id(parameter) in own for parameter in other.parameters(recurse=False)):
            raise ConfigurationError(
                f"layer {name!r} shares a parameter with {other_name!r}; separate them before the conversion"
            )


@torch.no_grad()
def _build_plain(layer: nn.Module, source: Source) -> nn.Module:
    """The ``torch.nn`` layer with weight w and the layer's bias."""
    new = make_plain_like(layer)
    new.weight = nn.Parameter(source.weight.detach().clone(), requires_grad=source.v.requires_grad)
    _copy_bias(layer, new)
    return new


def _copy_bias(layer: nn.Module, new: nn.Module) -> None:
    if layer.bias is not None:
        bias = cast(Tensor, layer.bias)
        new.bias = nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad)


def _build_weight_norm(layer: nn.Module, source: Source, g_mode: str) -> nn.Module:
    """Our layer with the v and g (or v = w and g = ‖w‖) and the bias of ``layer``."""
    new = WEIGHT_NORM_OF[source.kind](**constructor_arguments(layer), g_mode=g_mode)
    new.adopt_(source.v.detach().clone().requires_grad_(source.v.requires_grad), source.g, g_mode=g_mode)
    _copy_bias(layer, new)
    return new


def weight_normalize(module: nn.Module, *, g_mode: str = "free") -> nn.Module:
    """A copy of ``module`` with weight-normalized layers, computing the same function.

    A plain layer gives v = w and g = ‖w‖; PyTorch's parametrization and its old hook give their v and g
    (where their norm runs over the inputs of an output unit; else v = w). ``g_mode`` holds for all layers,
    those that are ours already included. Raises ConfigurationError, naming the layer, where all weights of an
    output unit are zero or the weight is shared with another module.
    """

    def replace(layer: nn.Module) -> nn.Module | None:
        matrices = read_recurrent(layer)
        if matrices is not None:
            parts = {name: Matrix(source.v, source.g) for name, source in matrices.items()}
            return make_weight_norm_recurrent(cast(nn.RNNBase, layer), parts, g_mode=g_mode)
        source = read_affine(layer)
        return None if source is None else _build_weight_norm(layer, source, g_mode)

    return _convert(module, replace)


def plain(module: nn.Module) -> nn.Module:
    """A copy of ``module`` with plain layers of weight w for ours, PyTorch's parametrization and its hook."""

    def replace(layer: nn.Module) -> nn.Module | None:
        matrices = read_recurrent(layer)
        if matrices is not None:
            return _build_plain_recurrent(cast(nn.RNNBase, layer), matrices)
        source = read_affine(layer)
        return None if source is None else _build_plain(layer, source)

    return _convert(module, replace)


@torch.no_grad()
def _build_plain_recurrent(layer: nn.RNNBase, matrices: dict[str, Source]) -> nn.RNNBase:
    """The ``torch.nn`` LSTM or GRU with the matrices w and the layer's biases."""
    new = make_plain_recurrent_like(layer)
    for name, source in matrices.items():
        new.get_parameter(name).copy_(source.weight).requires_grad_(source.v.requires_grad)
    copy_biases_(layer, new)
    return new


def to_torch_parametrization(module: nn.Module) -> nn.Module:
    """A copy of ``module`` whose weight-normalized layers are PyTorch's ``parametrizations.weight_norm``.

    v and g are kept. Raises ConfigurationError for a transposed convolution with groups, for which PyTorch has
    no g per output unit.
    """

    def replace(layer: nn.Module) -> nn.Module | None:
        matrices = read_recurrent(layer)
        if matrices is not None and all(source.g is None for source in matrices.values()):
            return None
        if matrices is not None:
            return _parametrize_(_build_plain_recurrent(cast(nn.RNNBase, layer), matrices), matrices, axis=0)
        source = read_affine(layer)
        if source is None or source.g is None:
            return None
        if output_axis(layer) == 1 and cast(int, layer.groups) > 1:
            raise ConfigurationError("PyTorch's weight norm has no g per output unit of grouped transposed kernels")
        return _parametrize_(_build_plain(layer, source), {"weight": source}, axis=output_axis(layer))

    return _convert(module, replace)


@torch.no_grad()
def _parametrize_(layer: nn.Module, sources: dict[str, Source], *, axis: int) -> nn.Module:
    """Put the weights of a plain layer that were made of v and g under PyTorch's parametrization, with these."""
    for name, source in sources.items():
        if source.g is not None:
            parametrizations.weight_norm(layer, name, dim=axis)
            entries = cast(Any, layer).parametrizations[name]
            entries.original0.copy_(source.g.view_as(entries.original0))
            entries.original1.copy_(source.v)
    return layer

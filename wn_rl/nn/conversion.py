"""How does any module become weight-normalized, and plain again? The function never changes.

Every conversion returns a copy and leaves the module that it is given as it is. It replaces linear layers,
convolutions, transposed convolutions, LSTM and GRU of exactly PyTorch's classes (a subclass may use its weight in
ways of its own) wherever they are; a layer used in several places stays shared. Training mode, device, dtype and
``requires_grad`` are kept; hooks on the replaced layers are not.
"""

import copy
import warnings
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.weight_norm import weight_norm as apply_torch_hook

from wn_rl.errors import ConfigurationError
from wn_rl.nn.geometry import WEIGHT_NORM_OF, constructor_arguments, make_plain_like, output_axis
from wn_rl.nn.sources import Source, read_affine, read_recurrent
from wn_rl.nn.weight_norm_layer import adopt_parameters_
from wn_rl.nn.weight_norm_recurrent import (
    WEIGHT_NORM_RECURRENT,
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
    new = make_plain_like(layer, has_bias=layer.bias is not None)
    new.weight = nn.Parameter(source.weight.detach().clone(), requires_grad=source.v.requires_grad)
    _copy_bias(layer, new)
    return new


def _copy_bias(layer: nn.Module, new: nn.Module) -> None:
    if layer.bias is not None:
        bias = cast(Tensor, layer.bias)
        new.bias = nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad)


def _build_weight_norm(layer: nn.Module, source: Source, g_mode: str) -> nn.Module:
    """Our layer with the v and g (or v = w and g = ‖w‖) and the bias of ``layer``."""
    arguments = constructor_arguments(layer, source.kind, has_bias=layer.bias is not None)
    new = WEIGHT_NORM_OF[source.kind](**arguments, g_mode=g_mode)
    v = source.v.detach().clone().requires_grad_(source.v.requires_grad)
    groups = arguments.get("groups", 1)
    adopt_parameters_(new, v, source.g, g_mode=g_mode, output_axis=output_axis(source.kind), groups=groups)
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

    def normalize(layer: nn.Module, name: str, axis: int) -> tuple[Tensor, Tensor]:
        parametrizations.weight_norm(layer, name, dim=axis)
        entries = cast(Any, layer).parametrizations[name]
        return entries.original1, entries.original0

    return _convert(module, lambda layer: _build_torch(layer, normalize))


def to_torch_hook(module: nn.Module) -> nn.Module:
    """A copy of ``module`` whose weight-normalized layers use PyTorch's old, deprecated ``nn.utils.weight_norm``.

    v and g are kept, as ``weight_v`` and ``weight_g``. Raises as :func:`to_torch_parametrization`.
    """

    def normalize(layer: nn.Module, name: str, axis: int) -> tuple[Tensor, Tensor]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            apply_torch_hook(layer, name, dim=axis)
        return layer.get_parameter(f"{name}_v"), layer.get_parameter(f"{name}_g")

    return _convert(module, lambda layer: _build_torch(layer, normalize))


@torch.no_grad()
def _build_torch(
    layer: nn.Module, normalize: Callable[[nn.Module, str, int], tuple[Tensor, Tensor]]
) -> nn.Module | None:
    """The plain layer put under ``normalize``, which returns the v and g that it made, with the layer's v and g."""
    matrices = read_recurrent(layer)
    if matrices is not None:
        new: nn.Module = _build_plain_recurrent(cast(nn.RNNBase, layer), matrices)
    else:
        source = read_affine(layer)
        if source is None:
            return None
        matrices, new = {"weight": source}, _build_plain(layer, source)
    for name, source in matrices.items():
        if source.g is None:
            continue
        axis = 0 if source.kind in WEIGHT_NORM_RECURRENT else output_axis(source.kind)
        if axis == 1 and cast(int, layer.groups) > 1:
            raise ConfigurationError("PyTorch's weight norm has no g per output unit of grouped transposed kernels")
        v, g = normalize(new, name, axis)
        v.copy_(source.v)
        g.copy_(source.g.view_as(g))
    return new if any(source.g is not None for source in matrices.values()) else None

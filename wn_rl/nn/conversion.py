"""How does any module become weight-normalized, and plain again? The function never changes.

Every conversion returns a copy and leaves the module that it is given as it is. It replaces linear layers,
convolutions and transposed convolutions of exactly PyTorch's classes (a subclass may use its weight in ways of its
own) wherever they are; a layer used in several places stays shared. Training mode, device, dtype and
``requires_grad`` are kept; hooks on the replaced layers are not.
"""

import copy
import warnings
from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.weight_norm import WeightNorm as TorchHook
from torch.nn.utils.weight_norm import weight_norm as apply_torch_hook

from wn_rl.errors import ConfigurationError
from wn_rl.nn.geometry import WEIGHT_NORM_OF, constructor_arguments, make_plain_like, output_axis, plain_type
from wn_rl.nn.weight_norm import (
    GMode,
    adopt_parameters_,
    layer_g,
    layer_weight,
)


class Source(NamedTuple):
    """What an affine layer is made of, however it holds it.

    ``kind`` is the class of ``torch.nn``, ``v`` has the plain weight's shape; ``g`` is [O], or None for a plain layer,
    whose weight is ``v``. ``weight`` is w.
    """

    kind: type[nn.Module]
    v: Tensor
    g: Tensor | None
    weight: Tensor


def _read(layer: nn.Module) -> Source | None:
    """Take an affine layer apart: plain, ours, PyTorch's parametrization or its old hook; None for other modules."""
    if parametrize.is_parametrized(layer, "weight"):
        return _read_parametrization(layer)
    kind = plain_type(layer)
    if kind is None:
        return None
    for hook in layer._forward_pre_hooks.values():
        if isinstance(hook, TorchHook) and hook.name == "weight":
            v, g = cast(Tensor, layer.weight_v), cast(Tensor, layer.weight_g)
            return _read_torch(kind, v, g, weight=torch._weight_norm(v, g, hook.dim), axis=hook.dim)
    if type(layer) is kind:
        weight = cast(Tensor, layer.weight)
        return Source(kind, weight, None, weight)
    return Source(kind, cast(Tensor, layer.v), layer_g(layer), layer_weight(layer))


def _read_parametrization(layer: nn.Module) -> Source | None:
    kind = parametrize.type_before_parametrizations(layer)
    entries = cast(parametrize.ParametrizationList, layer.parametrizations["weight"])  # type: ignore[index]
    is_weight_norm = len(entries) == 1 and isinstance(entries[0], parametrizations._WeightNorm)
    if kind not in WEIGHT_NORM_OF or not is_weight_norm:
        return None
    g, v = cast(Tensor, entries.original0), cast(Tensor, entries.original1)
    return _read_torch(kind, v, g, weight=cast(Tensor, layer.weight), axis=cast(int, entries[0].dim))


def _read_torch(kind: type[nn.Module], v: Tensor, g: Tensor, *, weight: Tensor, axis: int) -> Source:
    """PyTorch's v and g where its norm is that of an output unit; else w alone, which our v and g then start from."""
    if axis == output_axis(kind) and g.numel() == g.shape[axis] and g.numel() == v.shape[axis]:
        return Source(kind, v, g.flatten(), weight)
    return Source(kind, weight, None, weight)


def _convert(module: nn.Module, build: Callable[[nn.Module, Source], nn.Module | None]) -> nn.Module:
    """A deep copy of ``module`` in which ``build(layer, source)`` replaces affine layers (None: plainly copied)."""
    replacements: dict[int, nn.Module] = {}
    for name, layer in module.named_modules():
        source = _read(layer)
        if source is None:
            continue
        try:
            new = build(layer, source)
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
    plain_layer = make_plain_like(layer, has_bias=layer.bias is not None)
    plain_layer.weight = nn.Parameter(source.weight.detach().clone(), requires_grad=source.v.requires_grad)
    _copy_bias(layer, plain_layer)
    return plain_layer


def _copy_bias(layer: nn.Module, new: nn.Module) -> None:
    if layer.bias is not None:
        bias = cast(Tensor, layer.bias)
        new.bias = nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad)


def weight_normalize(module: nn.Module, *, g_mode: GMode = "free") -> nn.Module:
    """A copy of ``module`` with weight-normalized layers, computing the same function.

    A plain layer gives v = w and g = ‖w‖; PyTorch's parametrization and its old hook give their v and g (where their
    norm runs over the inputs of an output unit; else v = w). Layers that are ours already stay as they are, except
    that ``g_mode`` holds for all. Raises ConfigurationError, naming the layer, where all weights of an output unit
    are zero or the weight is shared with another module.
    """

    def build(layer: nn.Module, source: Source) -> nn.Module:
        arguments = constructor_arguments(layer, source.kind, has_bias=layer.bias is not None)
        new = WEIGHT_NORM_OF[source.kind](**arguments, g_mode=g_mode)
        adopt_parameters_(
            new,
            source.v.detach().clone().requires_grad_(source.v.requires_grad),
            source.g,
            g_mode=g_mode,
            output_axis=output_axis(source.kind),
            groups=getattr(layer, "groups", 1),
        )
        _copy_bias(layer, new)
        return new

    return _convert(module, build)


def plain(module: nn.Module) -> nn.Module:
    """A copy of ``module`` with plain layers of weight w, from our layers, PyTorch's parametrization or its hook."""
    return _convert(module, _build_plain)


def to_torch_parametrization(module: nn.Module) -> nn.Module:
    """A copy of ``module`` whose weight-normalized layers are PyTorch's ``parametrizations.weight_norm``.

    v and g are kept. Raises ConfigurationError for a transposed convolution with groups, which PyTorch's cannot say.
    """
    return _convert(module, lambda layer, source: _build_torch(layer, source, parametrizations.weight_norm))


def to_torch_hook(module: nn.Module) -> nn.Module:
    """A copy of ``module`` whose weight-normalized layers use PyTorch's old, deprecated ``nn.utils.weight_norm``.

    v and g are kept, as ``weight_v`` and ``weight_g``. Raises as :func:`to_torch_parametrization`.
    """

    def silently(layer: nn.Module, *, dim: int) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return apply_torch_hook(layer, dim=dim)

    return _convert(module, lambda layer, source: _build_torch(layer, source, silently))


@torch.no_grad()
def _build_torch(layer: nn.Module, source: Source, normalize: Callable[..., nn.Module]) -> nn.Module | None:
    if source.g is None:
        return None
    axis = output_axis(source.kind)
    if axis == 1 and cast(int, layer.groups) > 1:
        raise ConfigurationError(
            "PyTorch's weight norm has no g per output unit of a transposed convolution with groups"
        )
    new = normalize(_build_plain(layer, source), dim=axis)
    names = dict(new.named_parameters())
    g = names["parametrizations.weight.original0" if "parametrizations.weight.original0" in names else "weight_g"]
    v = names["parametrizations.weight.original1" if "parametrizations.weight.original1" in names else "weight_v"]
    g.copy_(source.g.view_as(g))
    v.copy_(source.v)
    return new

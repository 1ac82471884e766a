"""How does a layer hold v and g in the place of its weight? What all weight-normalized layers have in common.

A weight-normalized layer is a subclass of PyTorch's layer with the parameter ``v``, the bias as it is, and
``g_mode``, which says what is learned beside the direction: "free" the parameter ``g``; "fixed" nothing,
``g`` is a buffer; "exponential" the parameter ``s``, with g = exp(s). ``output_axis`` is the axis of v that
counts output units (1 in transposed convolutions, 0 elsewhere) and ``groups`` the number of groups of a
convolution (1 elsewhere). Its ``weight`` is w, computed from v and g at every use, or ``cached_weight`` inside
``weight_cache.cached_weights``.
"""

from collections.abc import Iterable
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.nn.weight_norm import (
    compute_norms,
    compute_weight,
    per_unit,
    write_normalized_,
)

G_MODES = ("free", "fixed", "exponential")
V_STANDARD_DEVIATION = 0.05  # Section 3: v ~ N(0, 0.05)
BLOCK_ELEMENTS = 2**17  # of v, 512 KiB: a fraction of a core's second-level cache


def to_units(weight: Float[Tensor, "..."], *, output_axis: int, groups: int) -> Float[Tensor, "O ..."]:
    """A layer's weight with its output units on axis 0.

    A transposed convolution stores [in, out/groups, ...]; its output unit (group, channel) becomes row
    group * out/groups + channel. The weight of every other layer is returned as it is.
    """
    if output_axis == 0:
        return weight
    return weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)


def from_units(units: Float[Tensor, "O ..."], *, output_axis: int, groups: int) -> Float[Tensor, "..."]:
    """The inverse of :func:`to_units`, which is its own inverse: it exchanges two axes inside every group."""
    return to_units(units, output_axis=output_axis, groups=groups)


def layer_units(layer: Any) -> Float[Tensor, "O ..."]:
    """A layer's v with its output units on axis 0: a view where the layout allows, else a copy."""
    return to_units(layer.v, output_axis=layer.output_axis, groups=layer.groups)


def layer_g(layer: Any) -> Float[Tensor, "O"]:
    """g of every output unit: ``g`` itself, or exp(s) where g is exponential (Section 2.1)."""
    return layer.s.exp() if layer.g_mode == "exponential" else layer.g


def layer_weight(layer: Any) -> Float[Tensor, "..."]:
    """The w of a layer (Eq. 2), in the shape of the plain layer's weight; the one of ``cached_weights`` if there is."""
    if layer.cached_weight is not None:
        return layer.cached_weight
    if layer.output_axis == 0:
        return compute_weight(layer.v, layer_g(layer))
    weight = compute_weight(layer_units(layer), layer_g(layer))
    return from_units(weight, output_axis=layer.output_axis, groups=layer.groups)


@torch.no_grad()
def write_weight_(layer: Any, folded: Any) -> None:
    """Write the w of a layer (Eq. 2) into the plain layer ``folded``, without a temporary of its size.

    What v was divided by stays there as ``folded.divisors``: who knows that v and g are still the same may use both
    (``weight_cache.lent_weights``). Transposed convolutions, whose axis 0 does not count units, have none.
    """
    if layer.output_axis != 0:
        folded.weight.copy_(layer_weight(layer))
    else:
        folded.divisors = write_normalized_(layer.v, layer_g(layer), folded.weight)


@torch.no_grad()
def write_scaled_(units: Float[Tensor, "O *rest"], scale: Float[Tensor, "O"], out: Float[Tensor, "O *rest"]) -> None:
    """Write every unit times its number in ``scale`` into ``out``, of any dtype, without a temporary of its size."""
    if out.dtype == units.dtype or units.device.type != "cpu":
        torch.mul(units, per_unit(scale, like=units), out=out)
        return
    for block, block_scale, block_out in _split(units, scale, out):
        torch.mul(block, per_unit(block_scale, like=block), out=block_out)


def _split(*tensors: Float[Tensor, "O *_"]) -> Iterable[tuple[Tensor, ...]]:
    """The tensors a few output units at a time, so that what is computed in between stays in the cache."""
    num_blocks = max(1, tensors[0].numel() // BLOCK_ELEMENTS)
    return zip(*(tensor.chunk(num_blocks) for tensor in tensors), strict=True)


@torch.no_grad()
def set_g_(layer: Any, g: Float[Tensor, "O"]) -> None:
    """Give every output unit the length |g|. Raises ConfigurationError for g <= 0 where g = exp(s)."""
    layer.cached_weight = None  # which is that of another g
    if layer.g_mode != "exponential":
        layer.g.copy_(g)
        return
    require_positive(g)
    layer.s.copy_(g.log())


def require_g_mode(g_mode: str) -> None:
    """Raises ConfigurationError, naming the known ones, for an unknown way of holding g."""
    if g_mode not in G_MODES:
        raise ConfigurationError(f"g_mode={g_mode!r} is unknown; known: {', '.join(G_MODES)}")


def require_positive(g: Float[Tensor, "O"]) -> None:
    """Raises ConfigurationError for g <= 0, which g = exp(s) cannot be."""
    if not bool((g > 0).all()):
        raise ConfigurationError("g = exp(s) is positive and cannot take g <= 0; use g_mode='free'")


def require_directions(units: Float[Tensor, "O ..."]) -> None:
    """Raises ConfigurationError if v is zero in some unit: g v / ‖v‖ has no value there."""
    rows = torch.nonzero(compute_norms(units) == 0).flatten().tolist()
    if rows:
        raise ConfigurationError(
            f"the weights of output units {rows[:8]} are all zero, so w = g v / ‖v‖ has no direction there;"
            " give them nonzero weights before weight normalization"
        )


@torch.no_grad()
def adopt_parameters_(
    layer: nn.Module, v: Tensor, g: Tensor | None, *, g_mode: str, output_axis: int, groups: int
) -> None:
    """Make ``v`` and ``g`` the parameters of a layer in the place of its weight.

    ``v`` has the plain weight's shape; without ``g``, g = ‖v‖, so that w = v. Raises ConfigurationError for
    an unknown ``g_mode``, a unit whose v is zero, and g <= 0 where g = exp(s).
    """
    require_g_mode(g_mode)
    units = to_units(v.detach(), output_axis=output_axis, groups=groups)
    require_directions(units)
    layer._parameters.pop("weight", None)
    held: Any = layer
    held.g_mode, held.output_axis, held.groups = g_mode, output_axis, groups
    held.cached_weight = None
    layer.register_parameter("v", nn.Parameter(v.detach(), requires_grad=v.requires_grad))
    g = compute_norms(units).to(v.dtype) if g is None else g.detach().clone()
    if g_mode == "free":
        layer.register_parameter("g", nn.Parameter(g))
    if g_mode == "fixed":
        layer.register_buffer("g", g)
    if g_mode == "exponential":
        layer.register_parameter("s", nn.Parameter(torch.zeros_like(g)))
        set_g_(layer, g)


def draw_v(shape: torch.Size, *, generator: torch.Generator | None) -> Float[Tensor, "..."]:
    """v ~ N(0, 0.05) (Section 3), float32 on the generator's device: the same numbers for a network on any device."""
    device = torch.device("cpu") if generator is None else generator.device
    return torch.randn(shape, generator=generator, device=device).mul_(V_STANDARD_DEVIATION)


def reparameterize_(
    layer: nn.Module, *, g_mode: str, output_axis: int, groups: int, generator: torch.Generator | None
) -> None:
    """Turn a just constructed plain layer into a weight-normalized one: v ~ N(0, 0.05), g = ‖v‖, the bias as it is."""
    v = cast(nn.Parameter, layer._parameters.pop("weight"))
    with torch.no_grad():
        v.copy_(draw_v(v.shape, generator=generator))
    adopt_parameters_(layer, v, None, g_mode=g_mode, output_axis=output_axis, groups=groups)

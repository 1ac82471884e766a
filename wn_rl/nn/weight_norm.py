"""What is weight normalization? The equation, its gradient, and how a layer holds v and g.

Salimans & Kingma 2016, "Weight Normalization", arXiv:1602.07868. Every output unit has a weight vector

    w = g v / ‖v‖                                                                              (Eq. 2)

so that ‖w‖ = |g| whatever v is: direction and length are learned apart. ``v`` has the shape of the plain
layer's weight, ``g`` is [O], one number per output unit. The layers are in ``weight_norm_linear``,
``weight_norm_conv``, ``weight_norm_transposed`` and ``weight_norm_recurrent``.

A weight-normalized layer is a subclass of PyTorch's layer with the parameter ``v``, the bias as it is, and
``g_mode``, which says what is learned beside the direction: "free" the parameter ``g``; "fixed" nothing,
``g`` is a buffer; "exponential" the parameter ``s``, with g = exp(s). ``output_axis`` is the axis of v that
counts output units (1 in transposed convolutions, 0 elsewhere) and ``groups`` the number of groups of a
convolution (1 elsewhere). Its ``weight`` is w, computed from v and g at every use.
"""

from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError

GMode = Literal["free", "fixed", "exponential"]
G_MODES: tuple[GMode, ...] = ("free", "fixed", "exponential")

V_STANDARD_DEVIATION = 0.05  # Section 3: v ~ N(0, 0.05)
BLOCK_ELEMENTS = 2**16  # of v, 256 KiB: a fraction of a core's second-level cache


def compute_norms(v: Float[Tensor, "O *rest"]) -> Float[Tensor, "O"]:
    """‖v‖ of every output unit: the 2-norm over all axes but the first, in float32 or better."""
    accumulator = torch.promote_types(v.dtype, torch.float32)
    return torch.linalg.vector_norm(v, dim=tuple(range(1, v.dim())), dtype=accumulator)


def compute_divisors(v: Float[Tensor, "O *rest"]) -> Float[Tensor, "O"]:
    """‖v‖ of every output unit, and infinity where v is zero, so that what is divided by it is 0 and never NaN."""
    norms = compute_norms(v)
    return norms.masked_fill(norms == 0, torch.inf)


def compute_weight(v: Float[Tensor, "O *rest"], g: Float[Tensor, "O"]) -> Float[Tensor, "O *rest"]:
    """w = g v / ‖v‖ (Eq. 2, Salimans & Kingma 2016), the norm taken over all axes but the first.

    Its gradient is Eq. 3: ∇g L = (∇w L · v) / ‖v‖ and ∇v L = (g/‖v‖) ∇w L − (g ∇g L / ‖v‖²) v; it can be
    differentiated twice. A unit whose v is zero gets w = 0 and no gradient, never NaN.
    """
    if uses_plain_operations():
        return (v * per_unit(g / compute_divisors(v), like=v)).to(v.dtype)
    return _FusedWeight.apply(v, g)


def uses_plain_operations() -> bool:
    """True where a compiler or torch.func traces the equation and no hand-written gradient may stand in its way."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


class _FusedWeight(torch.autograd.Function):
    """``compute_weight`` by PyTorch's fused kernels: one pass over v forward, one over v and ∇w backward.

    Three deliberate oddities: PyTorch's own double backward of these kernels takes ‖v‖ for a constant and is wrong, so
    the gradient is written out where it is differentiated in turn; the kernels give NaN for a zero unit, and on a CPU
    end the process for a v without elements; they want contiguous tensors, so that a v in another memory format
    (``channels_last``) is seen through the permutation that makes it one, which the norm does not notice.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, g: Tensor) -> Tensor:
        ctx.order = memory_order(v)
        dense_v = v.permute(ctx.order)
        if v.device.type == "cpu" and v.numel() > 0:
            weight, divisors = torch._weight_norm_interface(dense_v.contiguous(), per_unit(g, like=v), 0)
            has_zero = not divisors.all()
        else:  # elsewhere, to look for a zero would wait for the device
            has_zero = True
        if has_zero:
            divisors = compute_divisors(v)
            weight = (dense_v * per_unit(g / divisors, like=v)).to(v.dtype)
        ctx.save_for_backward(v, g, divisors)
        return weight.permute(invert(ctx.order))

    @staticmethod
    def backward(ctx: Any, grad_weight: Tensor) -> tuple[Tensor, Tensor]:
        v, g, divisors = ctx.saved_tensors
        if torch.is_grad_enabled() or v.numel() == 0:
            return _compute_gradients(v, g, grad_weight)
        column = per_unit(g, like=v)
        grad_v, grad_g = torch.ops.aten._weight_norm_interface_backward(
            grad_weight.permute(ctx.order).contiguous(),
            v.permute(ctx.order).contiguous(),
            column,
            divisors.view_as(column),
            0,
        )
        return grad_v.permute(invert(ctx.order)), grad_g.flatten()


def memory_order(v: Tensor) -> list[int]:
    """The axes of v in the order in which memory runs through them, axis 0 first."""
    if v.is_contiguous():
        return list(range(v.dim()))
    return [0, *sorted(range(1, v.dim()), key=lambda axis: (-v.stride()[axis], axis))]


def invert(order: list[int]) -> list[int]:
    """The permutation that undoes ``order``."""
    return [order.index(axis) for axis in range(len(order))]


def _compute_gradients(v: Tensor, g: Tensor, grad_weight: Tensor) -> tuple[Tensor, Tensor]:
    """∇v and ∇g of Eq. 3, in operations that are differentiable in v, g and ∇w."""
    divisors = compute_divisors(v)
    grad_g = (grad_weight * v).flatten(1).sum(1) / divisors
    along = per_unit(g / divisors, like=v) * grad_weight
    radial = per_unit(g * grad_g / divisors.square(), like=v) * v
    return (along - radial).to(v.dtype), grad_g.to(g.dtype)


def per_unit(values: Float[Tensor, "O"], *, like: Float[Tensor, "O *rest"]) -> Float[Tensor, "O *ones"]:
    """One number per output unit, shaped to broadcast against a weight with the units on axis 0."""
    return values.view(-1, *(1,) * (like.dim() - 1))


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
    """The w of a layer (Eq. 2), in the shape of the plain layer's weight."""
    weight = compute_weight(layer_units(layer), layer_g(layer))
    return from_units(weight, output_axis=layer.output_axis, groups=layer.groups)


@torch.no_grad()
def write_weight_(layer: Any, weight: Float[Tensor, "..."]) -> None:
    """Write the w of a layer (Eq. 2) into ``weight``, without a temporary of its size where axis 0 counts units."""
    if layer.output_axis != 0:
        weight.copy_(layer_weight(layer))
        return
    scale = per_unit(layer_g(layer) / compute_divisors(layer.v), like=layer.v)
    if weight.dtype == layer.v.dtype or layer.v.device.type != "cpu":
        torch.mul(layer.v, scale, out=weight)
        return
    # Into another dtype, torch.mul goes through a temporary: rows by rows it is small enough for the cache.
    num_blocks = max(1, layer.v.numel() // BLOCK_ELEMENTS)
    for rows in zip(*(tensor.chunk(num_blocks) for tensor in (layer.v, scale, weight)), strict=True):
        torch.mul(rows[0], rows[1], out=rows[2])


@torch.no_grad()
def set_g_(layer: Any, g: Float[Tensor, "O"]) -> None:
    """Give every output unit the length |g|. Raises ConfigurationError for g <= 0 where g = exp(s)."""
    if layer.g_mode != "exponential":
        layer.g.copy_(g)
        return
    if not bool((g > 0).all()):
        raise ConfigurationError("g = exp(s) is positive and cannot take g <= 0; use g_mode='free'")
    layer.s.copy_(g.log())


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
    layer: nn.Module, v: Tensor, g: Tensor | None, *, g_mode: GMode, output_axis: int, groups: int
) -> None:
    """Make ``v`` and ``g`` the parameters of a layer in the place of its weight.

    ``v`` has the plain weight's shape; without ``g``, g = ‖v‖, so that w = v. Raises ConfigurationError for
    an unknown ``g_mode``, a unit whose v is zero, and g <= 0 where g = exp(s).
    """
    if g_mode not in G_MODES:
        raise ConfigurationError(f"g_mode={g_mode!r} is unknown; known: {', '.join(G_MODES)}")
    units = to_units(v.detach(), output_axis=output_axis, groups=groups)
    require_directions(units)
    layer._parameters.pop("weight", None)
    held: Any = layer
    held.g_mode, held.output_axis, held.groups = g_mode, output_axis, groups
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
    layer: nn.Module, *, g_mode: GMode, output_axis: int, groups: int, generator: torch.Generator | None
) -> None:
    """Turn a just constructed plain layer into a weight-normalized one: v ~ N(0, 0.05), g = ‖v‖, the bias as it is."""
    v = cast(nn.Parameter, layer._parameters.pop("weight"))
    with torch.no_grad():
        v.copy_(draw_v(v.shape, generator=generator))
    adopt_parameters_(layer, v, None, g_mode=g_mode, output_axis=output_axis, groups=groups)

"""Weight normalization itself: the equation and its gradient.

Salimans & Kingma 2016, "Weight Normalization", arXiv:1602.07868. Every output unit has a weight vector

    w = g v / ‖v‖                                                                              (Eq. 2)

so that ‖w‖ = |g| whatever v is: direction and length are learned apart. ``v`` has the shape of the plain
layer's weight, ``g`` is [O], one number per output unit. How a layer holds v and g is in
``weight_norm_layer``; the layers are in ``weight_norm_linear``, ``weight_norm_conv``, ``weight_norm_transposed``
and ``weight_norm_recurrent``.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wn_rl.nn import cpu_kernels


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
        return _compute_plainly(v, g).weight
    return _Weights.apply(None, 1, v, g)[0]


class ComputedWeight(NamedTuple):
    """w = g v / ‖v‖ without a graph, in whatever dtype, and what v was divided by: ‖v‖, or infinity where it is 0."""

    weight: Float[Tensor, "O *rest"]
    divisors: Float[Tensor, "O"]


def compute_weights(
    vs: Sequence[Tensor], gs: Sequence[Tensor], known: Sequence[ComputedWeight] | None = None
) -> tuple[Tensor, ...]:
    """``compute_weight`` of several layers at once: for small ones, whose cost is bookkeeping, that is cheaper.

    Where the weights of these ``vs`` and ``gs`` are ``known`` already, they are given the graph that leads to v and g,
    and nothing is computed.
    """
    if uses_plain_operations():
        return tuple(compute_weight(v, g) for v, g in zip(vs, gs, strict=True))
    return _Weights.apply(known, len(vs), *vs, *gs)


def uses_plain_operations() -> bool:
    """True where a compiler, torch.jit or torch.func follows the operations, and none of ours may hide from it."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active()


class _Weights(torch.autograd.Function):
    """w of several layers, differentiable twice.

    On a CPU by ``cpu_kernels``. Elsewhere ∇v comes from PyTorch's fused kernel; its own double backward takes ‖v‖ for a
    constant and is wrong, so that the gradient is written out where it is differentiated in turn.
    """

    @staticmethod
    def forward(ctx: Any, known: Sequence[ComputedWeight] | None, count: int, *vs_and_gs: Tensor) -> tuple[Tensor, ...]:
        vs, gs = vs_and_gs[:count], vs_and_gs[count:]
        weights = known or [_compute(v, g) for v, g in zip(vs, gs, strict=True)]
        ctx.count = count
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*vs, *gs, *(divisors for _, divisors in weights))
        return tuple(weight.detach() for weight, _ in weights)

    @staticmethod
    def backward(ctx: Any, *grad_weights: Tensor | None) -> tuple[Tensor | None, ...]:
        saved, count = ctx.saved_tensors, ctx.count
        parts = zip(saved[:count], saved[count : 2 * count], saved[2 * count :], grad_weights, strict=True)
        gradients = [
            (None, None) if grad is None else _compute_gradients(v, g, divisors, grad) for v, g, divisors, grad in parts
        ]
        return None, None, *(grad_v for grad_v, _ in gradients), *(grad_g for _, grad_g in gradients)


def _compute(v: Tensor, g: Tensor) -> ComputedWeight:
    """Eq. 2 without a graph."""
    if not cpu_kernels.can_compute(v):
        return _compute_plainly(v, g)
    is_last = is_channels_last(v)
    weight = torch.empty_like(v, memory_format=torch.channels_last if is_last else torch.contiguous_format)
    return ComputedWeight(weight, write_normalized_(v, g, weight))


def _compute_plainly(v: Tensor, g: Tensor) -> ComputedWeight:
    """Eq. 2 for any v on any device, in operations that a compiler can trace."""
    divisors = compute_divisors(v)
    return ComputedWeight((v * per_unit(g / divisors, like=v)).to(v.dtype), divisors)


def write_normalized_(
    v: Float[Tensor, "O *rest"], g: Float[Tensor, "O"], out: Float[Tensor, "O *rest"]
) -> Float[Tensor, "O"]:
    """Write w = g v / ‖v‖ into ``out``, of any dtype and memory format, and return what v was divided by."""
    if not cpu_kernels.can_compute(v, out):
        weight, divisors = _compute_plainly(v, g)
        out.copy_(weight)
        return divisors
    rows = as_rows(v)
    is_in_place = is_channels_last(out) if is_channels_last(v) else out.is_contiguous()  # as_rows(out) is a view then
    written = as_rows(out) if is_in_place else torch.empty_like(rows, dtype=out.dtype)
    divisors = cpu_kernels.write_weight(rows, g.float(), written)
    if not is_in_place:
        out.copy_(from_rows(written, like=v))
    return divisors


def _compute_gradients(v: Tensor, g: Tensor, divisors: Tensor, grad_weight: Tensor) -> tuple[Tensor, Tensor]:
    """∇v and ∇g of Eq. 3; in operations that are differentiable in v, g and ∇w where they are asked for again."""
    if torch.is_grad_enabled() or v.numel() == 0:
        divisors = compute_divisors(v)
        grad_g = (grad_weight * v).flatten(1).sum(1) / divisors
        along = per_unit(g / divisors, like=v) * grad_weight
        radial = per_unit(g * grad_g / divisors.square(), like=v) * v
        return (along - radial).to(v.dtype), grad_g.to(g.dtype)
    is_known = cpu_kernels.can_compute(v, grad_weight)
    dtype = grad_weight.dtype if is_known else v.dtype
    if grad_weight.stride() != v.stride() or grad_weight.dtype != dtype:
        grad_weight = torch.empty_like(v, dtype=dtype).copy_(grad_weight)
    if is_known:
        grad_v, grad_g = cpu_kernels.compute_gradients(as_rows(grad_weight), as_rows(v), g.float(), divisors)
    else:
        grad_v, grad_g = torch.ops.aten._weight_norm_interface_backward(
            as_rows(grad_weight), as_rows(v), g.unsqueeze(1), divisors.unsqueeze(1), 0
        )
    return from_rows(grad_v, like=v), grad_g.flatten().to(g.dtype)


def is_channels_last(v: Tensor) -> bool:
    """True for a kernel whose channels, and not its last spatial axis, are next to each other in memory."""
    return v.dim() == 4 and not v.is_contiguous() and v.is_contiguous(memory_format=torch.channels_last)


def as_rows(v: Tensor) -> Tensor:
    """v as a contiguous [O, K], each unit's numbers in the order of memory: a norm does not notice the order."""
    if is_channels_last(v):
        return v.as_strided((v.shape[0], v.stride(0)), (v.stride(0), 1))
    return v.contiguous().flatten(1)


def from_rows(rows: Tensor, *, like: Tensor) -> Tensor:
    """The inverse of :func:`as_rows`, in the shape and memory format of ``like``."""
    return rows.as_strided(like.shape, like.stride()) if is_channels_last(like) else rows.view(like.shape)


def per_unit(values: Float[Tensor, "O"], *, like: Float[Tensor, "O *rest"]) -> Float[Tensor, "O *ones"]:
    """One number per output unit, shaped to broadcast against a weight with the units on axis 0."""
    return values.view(-1, *(1,) * (like.dim() - 1))

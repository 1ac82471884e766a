"""Weight normalization itself: the equation and its gradient.

Salimans & Kingma 2016, "Weight Normalization", arXiv:1602.07868. Every output unit has a weight vector

    w = g v / ‖v‖                                                                              (Eq. 2)

so that ‖w‖ = |g| whatever v is: direction and length are learned apart. ``v`` has the shape of the plain
layer's weight, ``g`` is [O], one number per output unit. How a layer holds v and g is in
``weight_norm_layer``; the layers are in ``weight_norm_linear``, ``weight_norm_conv``, ``weight_norm_transposed``
and ``weight_norm_recurrent``.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wn_rl.errors import ConfigurationError
from wn_rl.nn import cpu_kernels


def compute_norms(v: Float[Tensor, "O *rest"]) -> Float[Tensor, "O"]:
    """‖v‖ of every output unit: the 2-norm over all axes but the first, in float32 or better."""
    accumulator = torch.promote_types(v.dtype, torch.float32)
    return torch.linalg.vector_norm(v, dim=tuple(range(1, v.dim())), dtype=accumulator)


DEVICES_WITHOUT_FLOAT64 = {"mps"}  # Apple's GPU


def to_float64(t: Tensor) -> Tensor:
    """t in float64: on its own device, or on the CPU where that has no such numbers."""
    return (t.cpu() if t.device.type in DEVICES_WITHOUT_FLOAT64 else t).double()


def compute_divisors(v: Float[Tensor, "O *rest"]) -> Float[Tensor, "O"]:
    """‖v‖ of every output unit, and infinity where v is zero, so that what is divided by it is 0 and never NaN."""
    norms = compute_norms(v)
    return norms.masked_fill(norms == 0, torch.inf)


def compute_weight(v: Tensor, g: Tensor) -> Float[Tensor, "O *rest"]:
    """w = g v / ‖v‖ (Eq. 2, Salimans & Kingma 2016) of v [O, ...] and g [O], the norm over all axes but the first.

    Its gradient is Eq. 3: ∇g L = (∇w L · v) / ‖v‖ and ∇v L = (g/‖v‖) ∇w L − (g ∇g L / ‖v‖²) v; it can be
    differentiated twice. A unit whose v is zero gets w = 0 and no gradient, never NaN. Raises ConfigurationError where
    v and g do not fit each other.

    Examples:
        >>> compute_weight(torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([10.0, 1.0]))
        tensor([[6., 8.],
                [0., 1.]])
    """
    if _is_fused(v, g):
        return _compute_fused(v, g)
    _require_fitting(v, g)
    if uses_plain_operations():
        return _compute_plainly(v, g).weight
    if not torch.is_grad_enabled():
        return _compute(v, g).weight
    return _Weights.apply(None, 1, v, g)[0]


def _require_fitting(v: Tensor, g: Tensor) -> None:
    if v.dim() < 2 or g.shape != v.shape[:1]:
        raise ConfigurationError(
            f"v of shape {[*v.shape]} and g of shape {[*g.shape]} do not fit: v is [O, ...] and g is [O]"
        )
    if g.device != v.device or not (v.is_floating_point() and g.is_floating_point()):
        raise ConfigurationError(
            f"v is {v.dtype} on {v.device} and g is {g.dtype} on {g.device}; w needs real numbers on one device"
        )


class ComputedWeight(NamedTuple):
    """w = g v / ‖v‖ without a graph, in whatever dtype, and what v was divided by: ‖v‖, or infinity where it is 0."""

    weight: Float[Tensor, "O *rest"]
    divisors: Float[Tensor, "O"]


def compute_weights(
    vs: Sequence[Tensor], gs: Sequence[Tensor], known: Sequence[ComputedWeight] | None = None
) -> tuple[Tensor, ...]:
    """``compute_weight`` of several layers at once: for small ones, whose cost is bookkeeping, that is cheaper.

    Where the weights of these ``vs`` and ``gs`` are ``known`` already, they are given the graph that leads to v and g,
    and nothing is computed. Raises ConfigurationError where a v and its g do not fit each other.
    """
    for v, g in zip(vs, gs, strict=True):
        _require_fitting(v, g)
    if uses_plain_operations():
        return tuple(compute_weight(v, g) for v, g in zip(vs, gs, strict=True))
    return _Weights.apply(known, len(vs), *vs, *gs)


def uses_plain_operations() -> bool:
    """True where a compiler, torch.jit or torch.func follows the operations, and none of ours may hide from it."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active()


def _is_fused(v: Tensor, g: Tensor) -> bool:
    """Whether PyTorch's own kernel on a CPU computes w of one layer with its graph, as fast as ours and with less ado.

    The rest of what a layer costs beyond that kernel is in these lines: they are in the order of what tells most.
    """
    return (
        v.is_cpu and g.is_cpu and v.dtype == g.dtype and v.dtype in _FUSED_DTYPES
        and v.dim() > 1 and g.dim() == 1 and len(g) == len(v) and g.is_contiguous() and v.numel() > 0
        and torch.is_grad_enabled() and not uses_plain_operations()
    )  # fmt: skip


_FUSED_DTYPES = (torch.float32, torch.float64)


def _compute_fused(v: Tensor, g: Tensor) -> Tensor:
    """w of one layer on a CPU by PyTorch's fused kernel, with its graph; it divides by zero where v is zero."""
    is_last = is_channels_last(v)
    rows = v.permute(0, 2, 3, 1) if is_last else v.contiguous()
    weight, norms = torch._weight_norm_interface(rows, g, 0)
    if norms.amin().item() == 0:
        return _Weights.apply(None, 1, v, g)[0]
    return weight.permute(0, 3, 1, 2) if is_last else weight


def _compute_differentiable_gradients(
    grad_weight: Tensor, v: Tensor, g: Tensor, norms: Tensor, dim: int
) -> tuple[Tensor, Tensor]:
    """Eq. 3 in operations that are differentiable in turn, for units that lie on axis ``dim``; ∇g has g's shape.

    PyTorch's own takes ``norms``, the ‖v‖ of the forward pass, for constants, so that second derivatives are wrong.
    """
    axes = [axis for axis in range(v.dim()) if axis != dim]
    norms = torch.linalg.vector_norm(v, dim=axes, keepdim=True)
    length = g.view_as(norms)
    grad_length = (grad_weight * v).sum(axes, keepdim=True) / norms
    grad_v = length / norms * grad_weight - length * grad_length / norms.square() * v
    return grad_v, grad_length.view_as(g)


def _correct_second_derivative() -> torch.library.Library:
    """Put the right second derivative in the place of PyTorch's, for its own layers too, as long as this is kept.

    What only ``create_graph=True`` calls costs nothing else anything; a hook on every w would.
    """
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Overriding a previously registered kernel", which is the purpose
        library.impl(
            "_weight_norm_differentiable_backward", _compute_differentiable_gradients, "CompositeImplicitAutograd"
        )
    return library


_CORRECTED = _correct_second_derivative()


class _Weights(torch.autograd.Function):
    """w of several layers, differentiable twice.

    On a CPU by ``cpu_kernels``; elsewhere by plain operations, and ∇v and ∇g by PyTorch's fused kernel.
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


def write_normalized_(v: Tensor, g: Tensor, out: Tensor) -> Float[Tensor, "O"]:
    """Write w = g v / ‖v‖ into ``out``, of any dtype and memory format, and return what v was divided by.

    v and ``out`` are [O, ...], g is [O]. Raises ConfigurationError where v, g and ``out`` do not fit each other.
    """
    _require_fitting(v, g)
    if out.shape != v.shape:
        raise ConfigurationError(f"w of v, {[*v.shape]}, is written into a tensor of its shape, not {[*out.shape]}")
    if not cpu_kernels.can_compute(v, out):
        weight, divisors = _compute_plainly(v, g)
        out.copy_(weight)
        return divisors
    rows = as_rows(v)
    is_view = is_channels_last(out) if is_channels_last(v) else out.is_contiguous()  # of as_rows(out)
    is_in_place = is_view and not _shares_memory(out, v, g)
    written = as_rows(out) if is_in_place else torch.empty_like(rows, dtype=out.dtype)
    divisors = cpu_kernels.write_weight(rows, g.float(), written)
    if not is_in_place:
        out.copy_(from_rows(written, like=v))
    return divisors


def _compute_gradients(v: Tensor, g: Tensor, divisors: Tensor, grad_weight: Tensor) -> tuple[Tensor, Tensor]:
    """∇v and ∇g of Eq. 3; in operations that are differentiable in v, g and ∇w where they are asked for again."""
    if torch.is_grad_enabled() or v.numel() == 0:
        return _compute_gradients_plainly(v, g, grad_weight)
    if not cpu_kernels.can_compute(v, grad_weight):
        return _compute_gradients_fused(v, g, divisors, grad_weight)
    if grad_weight.stride() != v.stride():
        grad_weight = torch.empty_like(v, dtype=grad_weight.dtype).copy_(grad_weight)
    grad_v, grad_g = cpu_kernels.compute_gradients(as_rows(grad_weight), as_rows(v), g.float(), divisors)
    return from_rows(grad_v, like=v), grad_g.to(g.dtype)


def _compute_gradients_plainly(v: Tensor, g: Tensor, grad_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 3 in operations that are differentiable in turn."""
    divisors = compute_divisors(v)
    grad_g = (grad_weight * v).flatten(1).sum(1) / divisors
    along = per_unit(g / divisors, like=v) * grad_weight
    radial = per_unit(g * grad_g / divisors.square(), like=v) * v
    return (along - radial).to(v.dtype), grad_g.to(g.dtype)


def _compute_gradients_fused(v: Tensor, g: Tensor, divisors: Tensor, grad_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 3 by PyTorch's kernel, which is given the ‖v‖, or infinity where it is 0, of the forward pass."""
    if grad_weight.stride() != v.stride() or grad_weight.dtype != v.dtype:
        grad_weight = torch.empty_like(v).copy_(grad_weight)
    grad_v, grad_g = torch.ops.aten._weight_norm_interface_backward(
        as_rows(grad_weight), as_rows(v), g.unsqueeze(1), divisors.view(-1, 1), 0
    )
    return from_rows(grad_v, like=v), grad_g.flatten().to(g.dtype)


def _shares_memory(out: Tensor, *tensors: Tensor) -> bool:
    """Whether what is written into ``out`` might change what is still to be read."""
    place = out.untyped_storage().data_ptr()
    return any(tensor.untyped_storage().data_ptr() == place for tensor in tensors)


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

"""How is a linear layer weight-normalized at no cost? Where it is large, by scaling its outputs.

(g v/‖v‖) x + b = (g/‖v‖) (v x) + b: with B examples, B·O products in the place of O·I, and no tensor of w's
size beside those that a plain layer makes. The same holds backward: ∇g comes from the outputs, and the term
of Eq. 3 that makes ∇v orthogonal to v is one pass over ∇v. On a CPU, where an update of a Nature DQN is bound
by memory, what is left of weight norm's cost is that pass and one over v for the norms; where folding has just
made that one (``weight_cache.lent_weights``), the first alone.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wn_rl.nn.weight_norm import ComputedWeight, compute_divisors, uses_plain_operations
from wn_rl.nn.weight_norm_layer import layer_g, layer_weight, reparameterize_

# Below this size of v the bookkeeping costs more than the passes over memory that it saves.
SMALLEST_SCALED = 2**18


class WeightNormLinear(nn.Linear):
    """y = w x + b with w = g v / ‖v‖ (Eq. 2): ``nn.Linear`` with the parameters v [O, I], g [O] and bias [O].

    Takes ``nn.Linear``'s arguments and ``g_mode`` ("free", "fixed" or "exponential"). v ~ N(0, 0.05) and g =
    ‖v‖ at first; ``initialization.initialize_from_data`` gives the paper's g and bias. ``weight`` is w,
    computed from v and g and not assignable.
    """

    v: nn.Parameter
    g_mode: str
    output_axis: int
    groups: int
    lent_weight: ComputedWeight | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        g_mode: str = "free",
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        reparameterize_(self, g_mode=g_mode, output_axis=0, groups=1, generator=generator)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """w = g v / ‖v‖, [O, I]."""
        return layer_weight(self)

    def forward(self, input: Float[Tensor, "*B I"]) -> Float[Tensor, "*B O"]:
        """y = w x + b, [..., I] -> [..., O]."""
        if is_worth_scaling(input, self.v):
            return scaled_linear(input, self.v, layer_g(self), self.bias, known=self.lent_weight)
        return nn.functional.linear(input, self.weight, self.bias)


def is_large(v: Tensor) -> bool:
    """Whether v is that of a linear layer on a CPU, and large enough for scaled outputs."""
    return v.dim() == 2 and v.device.type == "cpu" and v.numel() >= SMALLEST_SCALED


def is_worth_scaling(x: Tensor, v: Tensor) -> bool:
    """True for a large v and fewer examples than inputs; a compiler fuses the plain equation better."""
    return is_large(v) and not uses_plain_operations() and x.dim() == 2 and x.shape[0] < v.shape[1]


def scaled_linear(
    x: Float[Tensor, "B I"],
    v: Float[Tensor, "O I"],
    g: Float[Tensor, "O"],
    bias: Float[Tensor, "O"] | None,
    *,
    known: ComputedWeight | None = None,
) -> Float[Tensor, "B O"]:
    """y = (g/‖v‖) (v x) + b, in the autocast dtype where autocast is on, as ``nn.functional.linear`` is.

    Where w is ``known`` in that dtype, y = w x + b costs what a plain layer's product does; no g may be zero then.
    """
    device_type = x.device.type
    is_autocast = torch.is_autocast_enabled(device_type)
    dtype = torch.get_autocast_dtype(device_type) if is_autocast else v.dtype
    with torch.autocast(device_type, enabled=False):
        if known is None:
            return _ScaledLinear.apply(x.to(dtype), v, g, bias)
        return _KnownLinear.apply(x.to(dtype), v, g, bias, *known)


class _ScaledLinear(torch.autograd.Function):
    """y = s t + b with t = x vᵀ and s = g/‖v‖. Differentiable twice.

    With ∇t = s ∇y and ∇s = Σ_B ∇y t:  ∇x = ∇t v,  ∇b = Σ_B ∇y,  ∇g = ∇s/‖v‖  and
    ∇v = ∇tᵀ x − (s ∇g/‖v‖) v  (Eq. 3, Salimans & Kingma 2016).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, v: Tensor, g: Tensor, bias: Tensor | None) -> Tensor:
        cast_v, divisors = v.to(x.dtype), compute_divisors(v)
        t = torch.mm(x, cast_v.t())
        scale = g / divisors
        y = t * scale if bias is None else torch.addcmul(bias, t, scale)
        ctx.has_bias = bias is not None
        ctx.save_for_backward(x, v, g, cast_v, divisors, scale, t)
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        x, v, g, cast_v, divisors, scale, t = ctx.saved_tensors
        is_differentiated_again = torch.is_grad_enabled()
        if is_differentiated_again:  # then from the inputs, so that the graph reaches them
            cast_v, divisors = v.to(x.dtype), compute_divisors(v)
            scale, t = g / divisors, torch.mm(x, cast_v.t())
        grad_g = (grad_y * t).sum(0, dtype=scale.dtype) / divisors
        grad_t = (grad_y * scale).to(x.dtype)
        radial = (scale / divisors * grad_g).to(x.dtype).unsqueeze(1)
        grad_v = torch.mm(grad_t.t().contiguous(), x)  # contiguous: twice as fast in bfloat16 on a CPU
        subtract = Tensor.addcmul if is_differentiated_again else Tensor.addcmul_
        grad_v = subtract(grad_v, radial, cast_v, value=-1)
        grad_x = torch.mm(grad_t, cast_v) if ctx.needs_input_grad[0] else None
        grad_bias = grad_y.sum(0, dtype=g.dtype) if ctx.has_bias else None
        return grad_x, grad_v.to(v.dtype), grad_g.to(g.dtype), grad_bias


class _KnownLinear(torch.autograd.Function):
    """y = w x + b where w = s v, s = g/‖v‖ and ‖v‖ are known, and no s is zero; its gradient is that of _ScaledLinear.

    In terms of w, with u = y − b:  ∇x = ∇y w,  ∇b = Σ_B ∇y,  ∇g = Σ_B ∇y u / g  and
    ∇v = (s ∇y)ᵀ x − (∇g/‖v‖) w.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v: Tensor, g: Tensor, bias: Tensor | None, weight: Tensor, norms: Tensor
    ) -> Tensor:
        y = nn.functional.linear(x, weight, None if bias is None else bias.to(x.dtype))
        ctx.has_bias = bias is not None
        ctx.save_for_backward(x, v, g, g.new_zeros(()) if bias is None else bias, weight, norms, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        x, v, g, bias, weight, norms, y = ctx.saved_tensors
        if torch.is_grad_enabled():  # it is differentiated again: from the inputs, so that the graph reaches them
            inputs = [x, v, g, *([bias] if ctx.has_bias else [])]
            with torch.enable_grad():
                again = _ScaledLinear.apply(*inputs[:3], bias if ctx.has_bias else None)
            gradients = torch.autograd.grad(again, inputs, grad_y, create_graph=True, allow_unused=True)
            return *gradients, *(None,) * (6 - len(inputs))
        grad_bias = grad_y.sum(0, dtype=g.dtype)
        grad_g = ((grad_y * y).sum(0, dtype=g.dtype) - bias * grad_bias) / g
        scaled = (grad_y * (g / norms).to(x.dtype)).t().contiguous()
        grad_v = torch.mm(scaled, x).addcmul_((grad_g / norms).to(x.dtype).unsqueeze(1), weight, value=-1)
        grad_x = torch.mm(grad_y, weight) if ctx.needs_input_grad[0] else None
        return grad_x, grad_v.to(v.dtype), grad_g, grad_bias if ctx.has_bias else None, None, None

"""The weight-normalized linear layers and convolutions: PyTorch's classes, with v and g in the place of the weight.

``g_mode`` says what is learned beside the direction: "free" the parameter ``g`` [O]; "fixed" nothing, ``g`` is a
buffer; "exponential" the parameter ``s`` [O], with g = exp(s) (Section 2.1, Salimans & Kingma 2016).

The norm of an output unit runs over its inputs and its kernel: all axes of v but the output axis, which is 0, and 1 in
transposed convolutions. (PyTorch's parametrization takes axis 0 unless told otherwise, which is there the norm over the
outputs.)
"""

import inspect
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from wn_rl.errors import ConfigurationError
from wn_rl.nn.weight_norm import compute_norms, compute_weight, is_channels_last, write_normalized_

G_MODES = ("free", "fixed", "exponential")
V_STD = 0.05  # Section 3: v ~ N(0, 0.05)


class WeightNormLayer(nn.Module):
    """w = g v / ‖v‖ (Eq. 2) in the place of a layer's weight: what is mixed into each of PyTorch's classes.

    The parameters are v, of the shape of the plain weight, g [O] and the bias. v ~ N(0, 0.05) and g = ‖v‖ at first;
    ``initialize_from_data`` gives the paper's g and bias. ``weight`` is w, computed from v and g at every use (but see
    ``folding.cached_weights``), and not assignable.

    Args:
        *args, **kwargs: those of PyTorch's class, ``device`` and ``dtype`` among them.
        g_mode: "free", "fixed" or "exponential".
        generator: the stream of v, PyTorch's global one if None.

    Examples:
        >>> layer = WeightNormLinear(3, 2, g_mode="fixed")
        >>> {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
        {'bias': (2,), 'v': (2, 3)}
        >>> with torch.no_grad(): _ = layer.v.mul_(5.0)  # w does not depend on the length of v
        >>> bool((layer.weight.norm(dim=1) - layer.compute_g()).abs().max() < 1e-6)
        True
    """

    output_axis = 0
    """The axis of v that counts output units."""
    groups = 1
    v: Tensor
    g_mode: str
    cached_weight: Tensor | None

    def __init__(
        self, *args: Any, g_mode: str = "free", generator: torch.Generator | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        v = cast(nn.Parameter, self._parameters.pop("weight"))
        redraw_v_(v, generator=generator)
        self.adopt_(v, None, g_mode=g_mode, is_g_learned=True)

    @torch.no_grad()
    def adopt_(self, v: Tensor, g: Float[Tensor, "O"] | None, *, g_mode: str, is_g_learned: bool) -> None:
        """Make ``v`` and ``g`` the parameters; without ``g``, g = ‖v‖, so that w = v.

        Raises ConfigurationError for an unknown ``g_mode``, a unit whose v is zero, and g <= 0 where g = exp(s).
        """
        self.register_parameter("v", nn.Parameter(v.detach(), requires_grad=v.requires_grad))
        self.g_mode, self.cached_weight = g_mode, None
        register_g_(self, "", self.compute_units(), g, g_mode=g_mode, is_learned=is_g_learned)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw v anew, with g = ‖v‖, and the bias as PyTorch's layer does."""
        self.cached_weight = None
        cast(Any, super()).reset_parameters()  # while the layer is made, there is PyTorch's weight and no v
        if "v" in self._parameters:
            redraw_v_(self.v)
            write_g_(self, "", compute_norms(self.compute_units()))

    def compute_units(self) -> Float[Tensor, "O ..."]:
        """v with the output units on axis 0: a view where the layout allows, else a copy."""
        return to_units(self.v, output_axis=self.output_axis, groups=self.groups)

    def compute_g(self) -> Float[Tensor, "O"]:
        """g of every output unit: ``g`` itself, or exp(s) where g is exponential."""
        return read_g(self, "")

    @torch.no_grad()
    def set_g_(self, g: Float[Tensor, "O"]) -> None:
        """Give every output unit the length |g|. Raises ConfigurationError for g <= 0 where g = exp(s)."""
        self.cached_weight = None  # which is that of another g
        write_g_(self, "", g)

    def _compute_weight(self) -> Tensor:
        """w, in the shape of the plain layer's weight; the one of ``cached_weights`` inside it."""
        weight = self.cached_weight  # read once: a block of another thread may end in between
        if weight is not None:
            return weight
        if self.output_axis == 0:
            return compute_weight(self.v, self.compute_g())
        return to_units(
            compute_weight(self.compute_units(), self.compute_g()), output_axis=self.output_axis, groups=self.groups
        )

    weight: Tensor = cast(Any, property(_compute_weight))

    @torch.no_grad()
    def write_weight_(self, out: Tensor) -> Float[Tensor, "O"] | None:
        """Write w into ``out``, of any dtype and memory format, without a temporary of its size.

        Returns what v was divided by, ‖v‖, or infinity where it is 0; None for transposed convolutions, whose axis 0
        does not count units.
        """
        if self.output_axis == 0:
            return write_normalized_(self.v, self.compute_g(), out)
        out.copy_(self.weight)
        return None


class WeightNormLinear(WeightNormLayer, nn.Linear):
    """y = w x + b with w = g v / ‖v‖: ``nn.Linear`` with v [O, I]."""


class WeightNormConv1d(WeightNormLayer, nn.Conv1d):
    """``nn.Conv1d`` with w = g v / ‖v‖ and v [O, I/groups, K]."""


class WeightNormConv2d(WeightNormLayer, nn.Conv2d):
    """``nn.Conv2d`` with w = g v / ‖v‖ and v [O, I/groups, K, K]."""


class WeightNormConv3d(WeightNormLayer, nn.Conv3d):
    """``nn.Conv3d`` with w = g v / ‖v‖ and v [O, I/groups, K, K, K]."""


class WeightNormConvTranspose1d(WeightNormLayer, nn.ConvTranspose1d):
    """``nn.ConvTranspose1d`` with w = g v / ‖v‖ and v [I, O/groups, K]."""

    output_axis = 1


class WeightNormConvTranspose2d(WeightNormLayer, nn.ConvTranspose2d):
    """``nn.ConvTranspose2d`` with w = g v / ‖v‖ and v [I, O/groups, K, K]."""

    output_axis = 1


class WeightNormConvTranspose3d(WeightNormLayer, nn.ConvTranspose3d):
    """``nn.ConvTranspose3d`` with w = g v / ‖v‖ and v [I, O/groups, K, K, K]."""

    output_axis = 1


WEIGHT_NORM_OF: dict[type[nn.Module], type[WeightNormLayer]] = {
    nn.Linear: WeightNormLinear,
    nn.Conv1d: WeightNormConv1d,
    nn.Conv2d: WeightNormConv2d,
    nn.Conv3d: WeightNormConv3d,
    nn.ConvTranspose1d: WeightNormConvTranspose1d,
    nn.ConvTranspose2d: WeightNormConvTranspose2d,
    nn.ConvTranspose3d: WeightNormConvTranspose3d,
}
PLAIN_OF: dict[type[nn.Module], type[nn.Module]] = {normed: plain for plain, normed in WEIGHT_NORM_OF.items()}


def plain_type(layer: nn.Module) -> type[nn.Module] | None:
    """The ``torch.nn`` class that a plain or weight-normalized affine layer corresponds to; None for other modules."""
    kind = parametrize.type_before_parametrizations(layer)
    return kind if kind in WEIGHT_NORM_OF else PLAIN_OF.get(kind)


def require_plain_type(layer: nn.Module) -> type[nn.Module]:
    """The same of what must be an affine layer. Raises ConfigurationError for other modules, and subclasses."""
    kind = plain_type(layer)
    if kind is None:
        known = ", ".join(known.__name__ for known in WEIGHT_NORM_OF)
        raise ConfigurationError(f"{type(layer).__name__} is not exactly one of the affine layers {known}; give one")
    return kind


def output_axis(layer: nn.Module) -> int:
    """The axis of an affine layer's weight that counts output units."""
    return WEIGHT_NORM_OF[require_plain_type(layer)].output_axis


def constructor_arguments(layer: nn.Module) -> dict[str, Any]:
    """The arguments with which both classes make an affine layer of this shape, stride and padding."""
    names = inspect.signature(require_plain_type(layer)).parameters.keys() - {"bias", "device", "dtype"}
    return {name: getattr(layer, name) for name in names} | {"bias": layer.bias is not None}


def make_plain_like(layer: nn.Module, **changes: bool) -> nn.Module:
    """A plain layer of the geometry, device, dtype and memory format of an affine one, but for ``changes``.

    Its parameters are not initialized.
    """
    example, arguments = next(layer.parameters()), constructor_arguments(layer) | changes
    plain = nn.utils.skip_init(require_plain_type(layer), **arguments, device=example.device, dtype=example.dtype)
    if any(is_channels_last(parameter) for parameter in layer.parameters()):
        plain.to(memory_format=torch.channels_last)
    return plain


def to_units(weight: Float[Tensor, "..."], *, output_axis: int, groups: int) -> Float[Tensor, "O ..."]:
    """A layer's weight with its output units on axis 0, and its own inverse.

    A transposed convolution stores [in, out/groups, ...]; its output unit (group, channel) becomes row
    group * out/groups + channel: two axes are exchanged inside every group. The weight of every other layer is returned
    as it is.
    """
    if output_axis == 0:
        return weight
    return weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)


def weight_to_units(layer: nn.Module, weight: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """A weight of an affine layer's shape with its output units on axis 0, and its own inverse."""
    axis = output_axis(layer)
    return to_units(weight, output_axis=axis, groups=cast(int, layer.groups) if axis else 1)


def draw_v(shape: torch.Size, *, generator: torch.Generator | None) -> Float[Tensor, "..."]:
    """v ~ N(0, 0.05), float32 on the generator's device: the same numbers for a network on any device."""
    device = torch.device("cpu") if generator is None else generator.device
    return torch.randn(shape, generator=generator, device=device).mul_(V_STD)


@torch.no_grad()
def redraw_v_(v: Float[Tensor, "..."], *, generator: torch.Generator | None = None) -> None:
    """Give a layer's v the numbers of :func:`draw_v`; nothing is drawn for one on the meta device, which has none."""
    if not v.is_meta:
        v.copy_(draw_v(v.shape, generator=generator))


def read_g(layer: Any, suffix: str) -> Float[Tensor, "O"]:
    """g as its layer holds it under ``g<suffix>``, or exp of ``s<suffix>``."""
    if layer.g_mode == "exponential":
        return getattr(layer, f"s{suffix}").exp()
    return getattr(layer, f"g{suffix}")


def is_g_learned(layer: Any, suffix: str) -> bool | None:
    """Whether g or s requires a gradient; None where g is fixed, and is no parameter."""
    parameter = layer._parameters.get(f"s{suffix}" if layer.g_mode == "exponential" else f"g{suffix}")
    return None if parameter is None else parameter.requires_grad


def write_g_(layer: Any, suffix: str, g: Float[Tensor, "O"]) -> None:
    """The inverse of :func:`read_g`. Raises ConfigurationError for g <= 0 where g = exp(s)."""
    if layer.g_mode == "exponential":
        _require_positive(g)
        getattr(layer, f"s{suffix}").copy_(g.log())
    else:
        getattr(layer, f"g{suffix}").copy_(g)


def register_g_(
    layer: nn.Module,
    suffix: str,
    units: Float[Tensor, "O ..."],
    g: Float[Tensor, "O"] | None,
    *,
    g_mode: str,
    is_learned: bool,
) -> None:
    """Let a layer hold a copy of ``g``, or ‖v‖ of its ``units`` without one, under ``g<suffix>`` or ``s<suffix>``.

    ``is_learned`` says whether that parameter requires a gradient; where g is fixed it is a buffer.

    Raises ConfigurationError for an unknown ``g_mode``, a unit whose v is zero, and g <= 0 where g = exp(s).
    """
    if g_mode not in G_MODES:
        raise ConfigurationError(f"g_mode={g_mode!r} is unknown; known: {', '.join(G_MODES)}")
    norms = compute_norms(units)
    rows = [] if norms.is_meta else torch.nonzero(norms == 0).flatten().tolist()
    if rows:
        raise ConfigurationError(
            f"the weights of output units {rows[:8]} are all zero, so w = g v / ‖v‖ has no direction there;"
            " give them nonzero weights before weight normalization"
        )
    g = norms.to(units.dtype) if g is None else g.detach().clone()
    if g_mode == "fixed":
        layer.register_buffer(f"g{suffix}", g)
    elif g_mode == "free":
        layer.register_parameter(f"g{suffix}", nn.Parameter(g, requires_grad=is_learned))
    else:
        _require_positive(g)
        layer.register_parameter(f"s{suffix}", nn.Parameter(g.log(), requires_grad=is_learned))


def _require_positive(g: Float[Tensor, "O"]) -> None:
    if not g.is_meta and not bool((g > 0).all()):
        raise ConfigurationError("g = exp(s) is positive and cannot take g <= 0; use g_mode='free'")

"""Weight normalization's rivals: modules that hold an affine layer t = w x + b as ``layer``, and normalize t or w.

Batch statistics are taken per output unit, over all other axes of t: output units are on the last axis of a linear
layer's [B, ..., O], and before space in a convolution's [B, O, H, W].
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.nn.weight_norm import compute_norms, per_unit
from wn_rl.nn.weight_norm_layers import require_plain_type, weight_to_units

BATCH_MOMENTUM = 0.1  # share of the newest minibatch in the running statistics; PyTorch's BatchNorm default
BATCH_EPSILON = 1e-5  # added to the variance; PyTorch's BatchNorm default
# By axes of one example.
BATCH_NORMS: dict[int, type[nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d]] = {
    1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d, 4: nn.BatchNorm3d,
}  # fmt: skip
POWER_ITERATIONS_AT_START = 15  # PyTorch's spectral_norm takes as many before the first use

AffineLayer = (
    nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
)


def find_unit_axis(layer: AffineLayer) -> int:
    """The axis of an affine layer's outputs that counts output units, from the end: -1, or before the axes of space."""
    require_plain_type(layer)
    return -1 if isinstance(layer, nn.Linear) else -1 - len(layer.kernel_size)


def unit_mean(t: Float[Tensor, "..."], *, unit_axis: int) -> Float[Tensor, "O"]:
    """Mean of every output unit over all other axes, in float32 or better.

    Raises ConfigurationError for a t of one example, without an axis for the minibatch.
    """
    if t.dim() == -unit_axis:
        raise ConfigurationError(
            f"outputs of shape {[*t.shape]} are one example; a batch norm needs a minibatch of them"
        )
    accumulator = torch.promote_types(t.dtype, torch.float32)
    return t.mean(dim=[axis for axis in range(t.dim()) if axis != t.dim() + unit_axis], dtype=accumulator)


def take_bias(layer: AffineLayer) -> nn.Parameter:
    """Remove the bias from an affine layer and return it (zeros for a layer without), for the module around it.

    Raises ConfigurationError for a module that is not exactly one of the affine layers.
    """
    require_plain_type(layer)
    bias = layer.bias
    layer.register_parameter("bias", None)
    if bias is not None:
        return cast(nn.Parameter, bias)
    example = next(layer.parameters())
    return nn.Parameter(example.new_zeros(count_units(layer)), requires_grad=example.requires_grad)


def count_units(layer: AffineLayer) -> int:
    """O, the number of output units."""
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def add_per_unit(t: Float[Tensor, "..."], shift: Float[Tensor, "O"], *, unit_axis: int) -> Float[Tensor, "..."]:
    """t plus one number per output unit, in t's dtype."""
    return t + shift.to(t.dtype).view(-1, *(1,) * (-unit_axis - 1))


class MeanOnlyBatchNorm(nn.Module):
    """t̃ = t − μ[t] + b with t = w x (Eq. 7, Salimans & Kingma 2016): no division by a standard deviation.

    μ[t] is the minibatch's mean in training mode, whose gradient is centered in turn (Eq. 8), and the running
    mean in evaluation mode. Around a plain layer or a weight-normalized one.
    """

    def __init__(self, layer: AffineLayer) -> None:
        super().__init__()
        self.bias = take_bias(layer)
        self.layer = layer
        self.running_mean: Tensor
        self.register_buffer("running_mean", torch.zeros_like(self.bias.detach()))

    def forward(self, x: Float[Tensor, "B *rest"]) -> Float[Tensor, "B *units"]:
        t, unit_axis = self.layer(x), find_unit_axis(self.layer)
        if not self.training:
            return add_per_unit(t, self.bias - self.running_mean, unit_axis=unit_axis)
        mean = unit_mean(t, unit_axis=unit_axis)
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), BATCH_MOMENTUM)
        return add_per_unit(t, self.bias - mean, unit_axis=unit_axis)


class BatchNorm(nn.Module):
    """Batch normalization (Ioffe & Szegedy 2015) of t = w x: ``norm`` is PyTorch's ``BatchNorm1d`` to ``3d``."""

    def __init__(self, layer: AffineLayer) -> None:
        super().__init__()
        bias = take_bias(layer)
        self.layer = layer
        self.norm = BATCH_NORMS[-find_unit_axis(layer)](
            count_units(layer), BATCH_EPSILON, BATCH_MOMENTUM, device=bias.device, dtype=bias.dtype
        )

    def forward(self, x: Float[Tensor, "B *rest"]) -> Float[Tensor, "B *units"]:
        t = self.layer(x)
        if isinstance(self.layer, nn.Linear) and t.dim() > 2:  # BatchNorm1d would look for units on axis 1
            return self.norm(t.flatten(0, -2)).view_as(t)
        return self.norm(t)


class SpectralNorm(nn.Module):
    """y = w x / σ(w) + b, where σ(w) is the largest singular value of w as a matrix [O, rest] (Miyato et al. 2018).

    σ = leftᵀ w right with singular vectors estimated by one power iteration per forward pass in training
    mode, and left as they are in evaluation mode. The gradient flows through σ, not through the vectors.
    """

    def __init__(self, layer: AffineLayer) -> None:
        super().__init__()
        self.bias = take_bias(layer)
        self.layer = layer
        matrix = self._matrix().detach()
        self.left: Tensor
        self.right: Tensor
        self.register_buffer("left", torch.zeros_like(matrix[:, 0]))
        # A start that depends on the weights alone, so that equal weights have equal estimates.
        self.register_buffer("right", nn.functional.normalize(matrix.abs().sum(0), dim=0))
        self.update_vectors(POWER_ITERATIONS_AT_START)

    def _matrix(self) -> Float[Tensor, "O I"]:
        return weight_to_units(self.layer, self.layer.weight).flatten(1)

    @torch.no_grad()
    def update_vectors(self, num_iterations: int) -> None:
        """Bring ``left`` and ``right`` nearer to the singular vectors of the largest singular value."""
        matrix = self._matrix()
        for _ in range(num_iterations):
            torch.nn.functional.normalize(matrix @ self.right, dim=0, out=self.left)
            torch.nn.functional.normalize(matrix.t() @ self.left, dim=0, out=self.right)

    def compute_sigma(self) -> Float[Tensor, ""]:
        """The estimate of σ(w), differentiable in w."""
        return torch.dot(self.left.clone(), torch.mv(self._matrix(), self.right.clone()))

    def forward(self, x: Float[Tensor, "B *rest"]) -> Float[Tensor, "B *units"]:
        if self.training:
            self.update_vectors(1)
        t = self.layer(x)
        t = t * (1 / self.compute_sigma()).to(t.dtype)
        return add_per_unit(t, self.bias, unit_axis=find_unit_axis(self.layer))


class NormProjection(nn.Module):
    """An affine layer one of whose parameters is put back to its initial norm after every update, per output unit.

    ``parameter_name`` is "weight" for a plain layer (what papers since 2024 call weight normalization or
    projection: w keeps its length and nothing learns it) and "v" for a weight-normalized one, where the
    projection leaves the function exactly as it is and holds the effective learning rate (Lyle et al. 2024,
    arXiv:2407.01800). The norms are those at construction, or after ``initialize_from_data``; they are saved
    with the network as ``initial_norms``.
    """

    def __init__(self, layer: AffineLayer, parameter_name: str) -> None:
        super().__init__()
        self.layer = layer
        self.parameter_name = parameter_name
        self.initial_norms: Tensor
        self.register_buffer("initial_norms", compute_norms(self._units().detach()))

    def _units(self) -> Float[Tensor, "O ..."]:
        return weight_to_units(self.layer, self.layer.get_parameter(self.parameter_name))

    @torch.no_grad()
    def remember_norms(self) -> None:
        """Take the present norms as those to return to."""
        self.initial_norms.copy_(compute_norms(self._units()))

    @torch.no_grad()
    def project(self) -> None:
        """Scale every output unit back to its initial norm; a unit that is zero stays zero."""
        units = self._units()
        norms = compute_norms(units)
        factor = torch.where(norms > 0, self.initial_norms / norms, 1.0)
        scaled = units * per_unit(factor.to(units.dtype), like=units)
        self.layer.get_parameter(self.parameter_name).copy_(weight_to_units(self.layer, scaled))

    def forward(self, x: Float[Tensor, "B *rest"]) -> Float[Tensor, "B *units"]:
        return self.layer(x)

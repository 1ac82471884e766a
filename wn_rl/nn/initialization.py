"""Data-dependent initialization: layer after layer, so that every layer sees normalized inputs.

Section 3 of Salimans & Kingma 2016: v ~ N(0, 0.05); on one minibatch t = v · x / ‖v‖, and then

    g ← 1/σ[t],   b ← −μ[t]/σ[t]                                                              (Eq. 6)

so that the pre-activation (t − μ[t])/σ[t] of every output unit has mean 0 and variance 1 (Eq. 5), per channel
over minibatch and space in convolutions. The other normalizers get the same function from the same draw: a
plain layer w = v/(‖v‖ σ[t]) and the same b, batch norms the running statistics of this minibatch. Only
spectral norm, which fixes the scale of w, cannot have variance 1.

The last layer of each of L residual branches in a row gets t/√L in the place of t, by its g or the gain of its norm
(wn_rl/nn/residual.py says why); what follows sees the sums.

That of recurrent layers is in wn_rl/nn/recurrent_initialization.py.
"""

from collections.abc import Callable
from functools import partial, singledispatch
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from wn_rl.errors import ConfigurationError
from wn_rl.nn.noisy_linear import NoisyLinear
from wn_rl.nn.normalized_layers import BatchNorm, MeanOnlyBatchNorm, NormProjection, SpectralNorm
from wn_rl.nn.recurrent_initialization import initialize_cell_, initialize_recurrent_
from wn_rl.nn.residual import Residual
from wn_rl.nn.unit_moments import Statistics, compute_statistics
from wn_rl.nn.weight_norm import compute_norms, per_unit
from wn_rl.nn.weight_norm_layers import WEIGHT_NORM_OF, WeightNormLayer, draw_v, output_axis, plain_type, to_units
from wn_rl.nn.weight_norm_recurrent import plain_recurrent_type

SPECTRAL_ITERATIONS = 50  # after the weights were drawn anew, until the estimate of σ(w) has settled


@torch.no_grad()
def initialize_from_data(
    network: nn.Module, inputs: Tensor, *others: Any, generator: torch.Generator | None = None
) -> None:
    """Initialize every affine layer of any module in place, in one pass over ``inputs`` (Eq. 5 and 6).

    ``inputs`` is what the module takes, at least 2 examples on axis 0, and real ones; ``others`` are its other
    arguments, if it has any. v is drawn from ``generator``
    (PyTorch's global one if None) in the order in which the layers are applied, so that networks that differ in their
    normalizer alone get the same function (spectral norm and layer norm apart). LSTM, GRU and RNN are initialized by
    their inputs over minibatch and time, their cells by those of the first step. Subclasses of these layers and the
    norms' own parameters are left as they are, but for the gain of norms that end a residual branch. Call it before the
    optimizer and
    copies of the network exist. A unit that is constant on the minibatch keeps g = 1. Raises ConfigurationError for
    fewer than 2 examples, and for layers under PyTorch's own weight norm.

    Examples:
        >>> from wn_rl.nn import WeightNormLinear
        >>> layer, x = WeightNormLinear(4, 3), 2 + torch.randn(64, 4)
        >>> initialize_from_data(layer, x)
        >>> y = layer(x)
        >>> torch.allclose(y.mean(0), torch.zeros(3), atol=1e-5), torch.allclose(y.std(0, correction=0), torch.ones(3))
        (True, True)
    """
    if inputs.shape[0] < 2:
        raise ConfigurationError("data-dependent initialization needs at least 2 examples, for a std")
    handles: list[RemovableHandle] = []
    covered: set[nn.Module] = set()
    for module in network.modules():
        initialize_ = _find_initializer(module)
        if module in covered or initialize_ is None:
            continue
        covered.update(module.modules())
        handles.append(module.register_forward_pre_hook(_make_hook(initialize_, generator)))
    for module in network.modules():
        if isinstance(module, Residual):  # after what initializes the layer
            scale = _make_hook(partial(_scale_branch_, factor=module.initial_std), generator)
            handles.append(module.layers[-1].register_forward_pre_hook(scale))
    modes = [(module, module.training) for module in network.modules()]
    try:
        with torch.autocast(inputs.device.type, enabled=False):
            network.eval()(inputs, *others)
    finally:
        for handle in handles:
            handle.remove()
        for module, is_training in modes:
            module.training = is_training


@torch.no_grad()
def scale_(layer: nn.Module, factor: float) -> None:
    """Multiply the outputs of an affine layer by ``factor`` > 0: its weight (or g) and its bias.

    Of what a normalizer made of one: the gain and shift of its norm, where it has these. Raises ConfigurationError for
    spectral norm, which fixes the scale.
    """
    if isinstance(layer, SpectralNorm):
        raise ConfigurationError("spectral norm fixes the scale of a layer's outputs; scale them behind it")
    if isinstance(layer, BatchNorm | nn.Sequential):
        scale_(layer.norm if isinstance(layer, BatchNorm) else layer[-1], factor)  # a layer, and its layer norm
        return
    if isinstance(layer, NormProjection | MeanOnlyBatchNorm):
        scale_(layer.layer, factor)
    if isinstance(layer, NormProjection):
        layer.remember_norms()
        return
    if isinstance(layer, NoisyLinear):
        scale_(layer.layer, factor)
        layer.std_weight.mul_(factor)
        layer.std_bias.mul_(factor)
        return
    if isinstance(layer, MeanOnlyBatchNorm):
        layer.running_mean.mul_(factor)
    elif isinstance(layer, WeightNormLayer):
        layer.set_g_(layer.compute_g() * factor)
    else:
        layer.get_parameter("weight").mul_(factor)
    if layer.bias is not None:
        cast(Tensor, layer.bias).mul_(factor)


def _scale_branch_(layer: nn.Module, x: Tensor, generator: torch.Generator | None, *, factor: float) -> None:
    """The last layer of a residual branch, which has been initialized on its inputs ``x``."""
    if not isinstance(layer, SpectralNorm):
        scale_(layer, factor)


def _make_hook(
    initialize_: Callable[..., Any], generator: torch.Generator | None
) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    """A hook that initializes its layer before the first time that it is applied, and not again."""
    is_initialized = False

    def initialize_before(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal is_initialized
        if not is_initialized:
            initialize_(module, inputs[0], generator)
        is_initialized = True

    return initialize_before


def _find_initializer(module: nn.Module) -> Callable[..., Any] | None:
    """What initializes a module on its inputs with a generator; None for modules that are left as they are."""
    if plain_recurrent_type(module) is not None:
        return initialize_recurrent_ if isinstance(module, nn.RNNBase) else initialize_cell_
    if isinstance(module, tuple(WEIGHT_NORM_OF)) and plain_type(module) is None:
        return None  # a subclass, which may use its weight in ways of its own
    found = _initialize_.dispatch(type(module))
    return None if found is _DEFAULT else found


@singledispatch
def _initialize_(module: nn.Module, x: Tensor, generator: torch.Generator | None) -> Statistics:
    """Initialize ``module`` on its inputs ``x``; returns the statistics of t = v · x / ‖v‖."""
    raise NotImplementedError(f"{type(module).__name__} is not an affine layer")


_DEFAULT = _initialize_.dispatch(object)


def _initialize_affine_(layer: nn.Module, x: Tensor, generator: torch.Generator | None) -> Statistics:
    """Eq. 6, whether w is held as v and g or as itself."""
    parameter = layer._parameters.get("v" if isinstance(layer, WeightNormLayer) else "weight")
    if parameter is None:
        raise ConfigurationError(
            f"the weight of {type(layer).__name__} is computed by PyTorch; convert it with weight_normalize or plain"
        )
    axis, groups = output_axis(layer), getattr(layer, "groups", 1)
    v = draw_v(parameter.shape, generator=generator)
    units = to_units(v, output_axis=axis, groups=groups)
    directions = units / per_unit(compute_norms(units), like=units)
    if isinstance(layer, WeightNormLayer):
        parameter.copy_(v)
        layer.set_g_(torch.ones(len(units)))
    else:
        parameter.copy_(to_units(directions, output_axis=axis, groups=groups))
    statistics = _measure(layer, x)
    if isinstance(layer, WeightNormLayer):
        layer.set_g_(1 / statistics.std)
    else:
        units = directions.to(statistics.std.device)
        units = units / per_unit(statistics.std, like=units)
        parameter.copy_(to_units(units, output_axis=axis, groups=groups))
    if layer.bias is not None:
        cast(Tensor, layer.bias).copy_(-statistics.mean / statistics.std)
    return statistics


def _measure(layer: nn.Module, x: Tensor) -> Statistics:
    """Statistics of the layer's output without its bias."""
    if layer.bias is not None:
        nn.init.zeros_(cast(Tensor, layer.bias))
    unit_axis = -1 if plain_type(layer) is nn.Linear else 1
    return compute_statistics(layer.forward(x), unit_axis=unit_axis)


for _type in WEIGHT_NORM_OF:  # and their subclasses, which are ours, and PyTorch's parametrized layers
    _initialize_.register(_type, _initialize_affine_)


@_initialize_.register
def _initialize_mean_only_(module: MeanOnlyBatchNorm, x: Tensor, generator: torch.Generator | None) -> Statistics:
    statistics = _initialize_(module.layer, x, generator)
    module.running_mean.copy_(statistics.mean / statistics.std)
    module.bias.zero_()
    return statistics


@_initialize_.register
def _initialize_batch_norm_(module: BatchNorm, x: Tensor, generator: torch.Generator | None) -> Statistics:
    statistics = _initialize_(module.layer, x, generator)
    module.norm.reset_parameters()
    cast(Tensor, module.norm.running_mean).copy_(statistics.mean / statistics.std)
    return statistics


@_initialize_.register
def _initialize_spectral_norm_(module: SpectralNorm, x: Tensor, generator: torch.Generator | None) -> Statistics:
    statistics = _initialize_(module.layer, x, generator)
    module.update_vectors(SPECTRAL_ITERATIONS)
    module.bias.copy_(-statistics.mean / statistics.std / module.compute_sigma().to(statistics.std.device))
    return statistics


@_initialize_.register
def _initialize_projection_(module: NormProjection, x: Tensor, generator: torch.Generator | None) -> Statistics:
    statistics = _initialize_(module.layer, x, generator)
    module.remember_norms()
    return statistics

"""How is a network initialized from data? Layer after layer, so that every layer sees normalized inputs.

Section 3 of Salimans & Kingma 2016: v ~ N(0, 0.05); on one minibatch t = v · x / ‖v‖, and then

    g ← 1/σ[t],   b ← −μ[t]/σ[t]                                                              (Eq. 6)

so that the pre-activation (t − μ[t])/σ[t] of every output unit has mean 0 and variance 1 (Eq. 5), per channel
over minibatch and space in convolutions. The other normalizers get the same function from the same draw: a
plain layer w = v/(‖v‖ σ[t]) and the same b, batch norms the running statistics of this minibatch. Only
spectral norm, which fixes the scale of w, cannot have variance 1. What it means for LSTM and GRU, plain or
weight-normalized, is said in ``initialization_recurrent``.
"""

from collections.abc import Callable
from functools import singledispatch
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from wn_rl.errors import ConfigurationError
from wn_rl.nn.geometry import AFFINE_TYPES, WEIGHT_NORM_TYPES, output_axis, plain_type
from wn_rl.nn.initialization_recurrent import initialize_recurrent_
from wn_rl.nn.normalized_layers import BatchNorm, MeanOnlyBatchNorm, NormProjection, SpectralNorm
from wn_rl.nn.unit_statistics import Statistics, compute_statistics
from wn_rl.nn.weight_norm import compute_norms, per_unit
from wn_rl.nn.weight_norm_layer import draw_v, from_units, layer_g, layer_units, set_g_, to_units

SPECTRAL_ITERATIONS = 50  # after the weights were drawn anew, until the estimate of σ(w) has settled


@singledispatch
def _initialize_(module: nn.Module, x: Tensor, generator: torch.Generator | None) -> Statistics:
    """Initialize ``module`` on its inputs ``x``; returns the statistics of t = v · x / ‖v‖."""
    raise NotImplementedError(f"{type(module).__name__} is not an affine layer")


_DEFAULT = _initialize_.dispatch(object)


def _draw_directions(
    layer: nn.Module, shape: torch.Size, *, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """v ~ N(0, 0.05) in the layout of the layer's weight, and v / ‖v‖ per output unit."""
    axis, groups = output_axis(cast(type[nn.Module], plain_type(layer))), getattr(layer, "groups", 1)
    v = draw_v(shape, generator=generator)
    units = to_units(v, output_axis=axis, groups=groups)
    directions = units / per_unit(compute_norms(units), like=units)
    return v, from_units(directions, output_axis=axis, groups=groups)


def _measure(layer: nn.Module, x: Tensor) -> Statistics:
    """Statistics of the layer's output without its bias."""
    if layer.bias is not None:
        nn.init.zeros_(cast(Tensor, layer.bias))
    unit_axis = -1 if plain_type(layer) is nn.Linear else 1
    return compute_statistics(layer.forward(x), unit_axis=unit_axis)


def _set_bias_(layer: nn.Module, statistics: Statistics) -> None:
    if layer.bias is not None:
        cast(Tensor, layer.bias).copy_(-statistics.mean / statistics.deviation)


def _initialize_plain_(layer: nn.Module, x: Tensor, generator: torch.Generator | None) -> Statistics:
    weight = layer._parameters.get("weight")
    if weight is None:
        raise ConfigurationError(
            f"the weight of {type(layer).__name__} is computed by PyTorch; convert it with weight_normalize or plain"
        )
    axis, groups = output_axis(cast(type[nn.Module], plain_type(layer))), getattr(layer, "groups", 1)
    _, directions = _draw_directions(layer, weight.shape, generator=generator)
    weight.copy_(directions)
    statistics = _measure(layer, x)
    units = to_units(directions.to(weight.device), output_axis=axis, groups=groups)
    units = units / per_unit(statistics.deviation, like=units)
    weight.copy_(from_units(units, output_axis=axis, groups=groups))
    _set_bias_(layer, statistics)
    return statistics


def _initialize_weight_norm_(layer: nn.Module, x: Tensor, generator: torch.Generator | None) -> Statistics:
    v = layer.get_parameter("v")
    drawn, _ = _draw_directions(layer, v.shape, generator=generator)
    v.copy_(drawn)
    set_g_(layer, torch.ones(compute_norms(layer_units(layer)).shape))
    statistics = _measure(layer, x)
    set_g_(layer, 1 / statistics.deviation)
    _set_bias_(layer, statistics)
    return statistics


for _type in AFFINE_TYPES:
    _initialize_.register(_type, _initialize_plain_)
for _type in WEIGHT_NORM_TYPES:
    _initialize_.register(_type, _initialize_weight_norm_)


@_initialize_.register
def _initialize_mean_only_(module: MeanOnlyBatchNorm, x: Tensor, generator: torch.Generator | None) -> Statistics:
    statistics = _initialize_(module.layer, x, generator)
    module.running_mean.copy_(statistics.mean / statistics.deviation)
    module.bias.zero_()
    return statistics


@_initialize_.register
def _initialize_batch_norm_(module: BatchNorm, x: Tensor, generator: torch.Generator | None) -> Statistics:
    statistics = _initialize_(module.layer, x, generator)
    module.norm.reset_parameters()
    cast(Tensor, module.norm.running_mean).copy_(statistics.mean / statistics.deviation)
    return statistics


@_initialize_.register
def _initialize_spectral_norm_(module: SpectralNorm, x: Tensor, generator: torch.Generator | None) -> Statistics:
    statistics = _initialize_(module.layer, x, generator)
    module.update_vectors(SPECTRAL_ITERATIONS)
    module.bias.copy_(-statistics.mean / statistics.deviation / module.compute_sigma())
    return statistics


@_initialize_.register
def _initialize_projection_(module: NormProjection, x: Tensor, generator: torch.Generator | None) -> Statistics:
    statistics = _initialize_(module.layer, x, generator)
    module.remember_norms()
    return statistics


def _find_initializer(module: nn.Module) -> Callable[..., Any] | None:
    """What initializes a module on its inputs with a generator; None for modules that are left as they are."""
    if isinstance(module, nn.LSTM | nn.GRU):
        return initialize_recurrent_
    found = _initialize_.dispatch(type(module))
    return None if found is _DEFAULT else found


@torch.no_grad()
def initialize_from_data(network: nn.Module, observations: Tensor, *, generator: torch.Generator | None = None) -> None:
    """Initialize every affine layer of any module in place, in one pass over ``observations`` (Eq. 5 and 6).

    ``observations`` is what the module takes, at least 2 examples on axis 0: for a Q-network, real frames u8
    [B, S, H, W] from the replay. v is drawn from ``generator`` (PyTorch's global one if None) in the order in
    which the layers are applied, so that networks that differ in their normalizer alone get the same function
    (spectral norm and layer norm apart). LSTM and GRU are initialized by their inputs over minibatch and time.
    The norms' own parameters are left as they are. Call it before the optimizer and the target network exist. A
    unit that is constant on the minibatch keeps g = 1. Raises ConfigurationError for fewer than 2 examples, and
    for layers under PyTorch's own weight norm.
    """
    if observations.shape[0] < 2:
        raise ConfigurationError("data-dependent initialization needs at least 2 observations, for a deviation")
    handles: list[RemovableHandle] = []
    covered: set[nn.Module] = set()
    for module in network.modules():
        initialize_ = _find_initializer(module)
        if module in covered or initialize_ is None:
            continue
        covered.update(module.modules())
        handles.append(module.register_forward_pre_hook(_make_hook(initialize_, generator)))
    modes = [(module, module.training) for module in network.modules()]
    try:
        with torch.autocast(observations.device.type, enabled=False):
            network.eval()(observations)
    finally:
        for handle in handles:
            handle.remove()
        for module, is_training in modes:
            module.training = is_training


@torch.no_grad()
def scale_(layer: nn.Module, factor: float) -> None:
    """Multiply the outputs of an affine layer by ``factor`` > 0: its weight (or g) and its bias."""
    if isinstance(layer, NormProjection):
        scale_(layer.layer, factor)
        layer.remember_norms()
        return
    if type(layer) in WEIGHT_NORM_TYPES:
        set_g_(layer, layer_g(layer) * factor)
    else:
        layer.get_parameter("weight").mul_(factor)
    layer.get_parameter("bias").mul_(factor)


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

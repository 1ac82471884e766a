"""How a network's layers fare while it learns: norms, effective learning rates, dormant units, rank of features.

Everything is returned as tensors without a dimension, on the network's device, so that reading costs one transfer.
"""

from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from wn_rl.nn.weight_norm import compute_divisors, compute_norms, to_float64
from wn_rl.nn.weight_norm_layers import WeightNormLayer, plain_type, weight_to_units

NORM_EXPONENTS: dict[type[torch.optim.Optimizer], int] = {
    torch.optim.SGD: 2,
    torch.optim.Adam: 1,
    torch.optim.AdamW: 1,
    torch.optim.Adamax: 1,
    torch.optim.NAdam: 1,
    torch.optim.RAdam: 1,
    torch.optim.RMSprop: 1,
}
"""k in the effective learning rate η/‖v‖^k: 2 where the step is proportional to the gradient, whose length falls as
1/‖v‖, and 1 where it does not depend on the gradient's length (Section 3, van Laarhoven 2017, arXiv:1706.05350)."""


def find_norm_exponent(optimizer: torch.optim.Optimizer) -> int | None:
    """That of its class, or of the nearest one that it is derived from; None where no such thing is known."""
    return next((NORM_EXPONENTS[kind] for kind in type(optimizer).__mro__ if kind in NORM_EXPONENTS), None)


UNNAMED = ("torso", "head", "layers", "layer")  # parts of a module's path that tell a reader nothing


class WeightUnits(NamedTuple):
    """What the optimizer turns in a layer, one row per output unit: v, or w in a layer without weight normalization."""

    parameter: nn.Parameter
    units: Float[Tensor, "O ..."]


def name_layers(network: nn.Module) -> dict[str, nn.Module]:
    """The affine layers of a network in order, plain or weight-normalized, under short names.

    ``conv1``, ``conv2``, ..., ``linear`` in the torso and ``output``, or ``value1``, ``advantage2`` in the head: the
    same for a network with any normalizer, and for its folded copy.
    """
    found = [(_find_stem(path, module), module) for path, module in network.named_modules() if plain_type(module)]
    stems = [stem for stem, _ in found]
    counts = dict.fromkeys(stems, 0)
    named = {}
    for stem, module in found:
        counts[stem] += 1
        named[f"{stem}{counts[stem]}" if stems.count(stem) > 1 else stem] = module
    return named


def _find_stem(path: str, module: nn.Module) -> str:
    words = [part for part in path.split(".") if not part.isdigit() and part not in UNNAMED]
    kind = plain_type(module)
    return "_".join(words) or ("linear" if kind is nn.Linear else "conv")


def find_weight_units(layer: Any) -> WeightUnits:
    """v of a weight-normalized layer, the weight of a plain one."""
    if isinstance(layer, WeightNormLayer):
        return WeightUnits(cast(nn.Parameter, layer.v), layer.compute_units())
    return WeightUnits(layer.weight, weight_to_units(layer, layer.weight))


@torch.no_grad()
def compute_weight_statistics(layer: Any) -> dict[str, Float[Tensor, ""]]:
    """Lengths of a layer's weight vectors, one per output unit, and of the newest gradients, where there are any.

    ``w_norm_mean``, ``w_norm_max``: ‖w‖, which is |g| where w = g v / ‖v‖. There also ``v_norm_mean``,
    ``v_norm_max`` and ``g_mean``. ``gradient_norm``: ‖∇v L‖ (∇w L in plain layers) over the whole layer, and
    ``g_gradient_norm``: ‖∇g L‖ (∇s L where g = exp(s)).
    """
    parameter, units = find_weight_units(layer)
    norms = compute_norms(units)
    if isinstance(layer, WeightNormLayer):
        g = layer.compute_g()
        statistics = {"v_norm_mean": norms.mean(), "v_norm_max": norms.max(), "g_mean": g.mean()}
        norms = g.abs()
        gain = dict(layer.named_parameters(recurse=False)).get("s" if layer.g_mode == "exponential" else "g")
        if gain is not None and gain.grad is not None:
            statistics["g_gradient_norm"] = torch.linalg.vector_norm(gain.grad)
    else:
        statistics = {}
    statistics |= {"w_norm_mean": norms.mean(), "w_norm_max": norms.max()}
    if parameter.grad is not None:
        statistics["gradient_norm"] = torch.linalg.vector_norm(parameter.grad)
    return {name: value.float() for name, value in statistics.items()}


@torch.no_grad()
def compute_effective_learning_rate(
    units: Float[Tensor, "O *rest"], *, learning_rate: float, norm_exponent: int
) -> Float[Tensor, ""]:
    """η/‖v‖^k, the mean over output units: the learning rate of the direction v/‖v‖.

    The loss depends on the direction alone, so a gradient step on v is one on the direction with η/‖v‖² (k = 2), and
    a step whose length does not depend on the gradient's one with η/‖v‖ (k = 1; van Laarhoven 2017). As noise makes
    ‖v‖ grow, it falls. In a plain layer that no norm follows, it is the learning rate relative to ‖w‖.
    A unit that is zero has no direction and counts as 0.
    """
    return (learning_rate * compute_divisors(units).pow(-norm_exponent)).mean()


@torch.no_grad()
def compute_update_angle(before: Float[Tensor, "O *rest"], after: Float[Tensor, "O *rest"]) -> Float[Tensor, ""]:
    """By how much one update turned the weight vectors, in radians, the mean over output units.

    What the effective learning rate comes to with the gradient, the optimizer's averages and any projection in it
    ("average angular update", Kosson et al. 2024, arXiv:2305.17212). Computed from the difference of both, since the
    cosine of so small an angle is 1 in float32.
    """
    step = (after - before).flatten(1)
    before = before.flatten(1)
    length = compute_divisors(before)
    along = (step * before).sum(1) / length
    across = compute_norms(step - (along / length).unsqueeze(1) * before)
    return torch.atan2(across, length + along).mean()


@torch.no_grad()
def compute_dormant(activations: Float[Tensor, "B O *space"], *, threshold: float) -> Float[Tensor, "O"]:
    """1 for every τ-dormant unit, else 0 (Definition 3.1, Sokar et al. 2023, arXiv:2302.12902).

    Unit i is dormant where s_i = E|h_i(x)| / mean_k E|h_k(x)| ≤ τ, with the mean over the minibatch and, for
    convolutions, over space. In a layer that is silent altogether every unit is dormant.
    """
    activity = activations.abs().transpose(0, 1).flatten(1).mean(1)
    return (activity <= threshold * activity.mean()).float()


@torch.no_grad()
def compute_effective_rank(features: Float[Tensor, "B F"], *, threshold: float) -> Float[Tensor, ""]:
    """srank_δ = min {k : Σ_{i ≤ k} σ_i ≥ (1 − δ) Σ σ_i}, σ falling (Kumar et al. 2021, arXiv:2010.14498).

    σ are the singular values of the features of B examples, so that the rank is at most min(B, F); 0 of features that
    are all zero. Taken from the eigenvalues of the smaller product, in float64: ten times as fast, and exact enough.
    """
    exact = to_float64(features)
    product = exact.T @ exact if exact.shape[0] > exact.shape[1] else exact @ exact.T
    sigma = torch.linalg.eigvalsh(product).clamp(min=0).sqrt().flip(0)
    share = sigma.cumsum(0) / sigma.sum()  # NaN, which is not below anything, where all are zero
    return ((share < 1 - threshold).sum().float() + (sigma[0] > 0).float()).to(features.device)


@torch.no_grad()
def compute_activation_statistics(
    network: nn.Module, inputs: Shaped[Tensor, "B *rest"], *, dormant_threshold: float, rank_threshold: float
) -> dict[str, Float[Tensor, ""]]:
    """What the hidden units of a network do on a minibatch.

    ``<layer>/dormant_share``: of the units behind the layer; ``dormant_share``: of all hidden units.
    ``<layer>/effective_rank``: of the features behind a fully connected hidden layer.

    Args:
        network: a copy that nobody else uses, in evaluation mode: hooks are put on it for this one call.
    """
    activations = _collect_activations(network, inputs)
    statistics, dormant = {}, []
    for name, values in activations.items():
        dormant.append(compute_dormant(values, threshold=dormant_threshold))
        statistics[f"{name}/dormant_share"] = dormant[-1].mean()
        if values.dim() == 2:
            statistics[f"{name}/effective_rank"] = compute_effective_rank(values, threshold=rank_threshold)
    return {"dormant_share": torch.cat(dormant).mean(), **statistics}


def _collect_activations(network: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """What every ReLU returns, under the name of the layer before it."""
    activations: dict[str, Tensor] = {}
    newest_name = ""

    def make_hook(name: str) -> Any:
        def note_name(*_: Any) -> None:
            nonlocal newest_name
            newest_name = name

        return note_name

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        activations[newest_name] = output

    handles = [layer.register_forward_hook(make_hook(name)) for name, layer in name_layers(network).items()]
    handles += [module.register_forward_hook(keep) for module in network.modules() if isinstance(module, nn.ReLU)]
    try:
        network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return activations

"""Other layers in the places of a module's: what a copy keeps of those that gave way, and which were left."""

import copy
from collections.abc import Callable, Collection
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize
from torch.nn.utils.weight_norm import WeightNorm as TorchHook

from wn_rl.errors import ConfigurationError
from wn_rl.nn.weight_norm_layers import PLAIN_OF, WEIGHT_NORM_OF, plain_type
from wn_rl.nn.weight_norm_recurrent import PLAIN_RECURRENT, WEIGHT_NORM_RECURRENT, plain_recurrent_type

REPLACED_TYPES = (*WEIGHT_NORM_OF, *WEIGHT_NORM_RECURRENT)
OWN_ATTRIBUTES = ("g_mode", "cached_weight")  # of our layers, which no other has
HOOKS = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks",
)  # fmt: skip
STATE_HOOKS = (
    "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip


def replace_layers(
    module: nn.Module, replace: Callable[[nn.Module], nn.Module | None]
) -> tuple[nn.Module, Collection[nn.Module]]:
    """A deep copy of ``module`` with ``replace(layer)`` in the place of every layer for which that is not None.

    Returns those layers too. A layer that holds more than PyTorch's does, or does something else, stays. Raises
    ConfigurationError for a layer that shares a parameter with another module, and names the layer in what
    ``replace`` raises.
    """
    replacements: dict[nn.Module, nn.Module] = {}
    for name, layer in module.named_modules():
        if find_peculiarity(layer) is not None:
            continue
        try:
            new = replace(layer)
        except ConfigurationError as error:
            raise ConfigurationError(f"layer {name!r} ({type(layer).__name__}): {error}") from None
        if new is not None:
            _require_untied(layer, module, name=name)
            replacements[layer] = new
    memo: dict[int, Any] = {id(layer): new for layer, new in replacements.items()}
    converted = copy.deepcopy(module, memo)
    for layer, new in replacements.items():
        _keep_(layer, new.train(layer.training), memo)
    return converted, replacements.keys()


def _require_untied(layer: nn.Module, module: nn.Module, *, name: str) -> None:
    own = {id(parameter) for parameter in layer.parameters()}
    inside = set(layer.modules())
    for other_name, other in module.named_modules():
        if other in inside:
            continue
        if any(id(parameter) in own for parameter in other.parameters(recurse=False)):
            raise ConfigurationError(
                f"layer {name!r} shares a parameter with {other_name!r}; separate them before the conversion"
            )


def _keep_(layer: nn.Module, new: nn.Module, memo: dict[int, Any]) -> None:
    """Give ``new`` copies of a layer's hooks, and of its attributes that are not ours."""
    keep_hooks_(layer, new, memo)
    for name, value in vars(layer).items():
        if not (name in vars(new) or name.startswith("_") or name in OWN_ATTRIBUTES or isinstance(value, Tensor)):
            setattr(new, name, copy.deepcopy(value, memo))


def keep_hooks_(layer: nn.Module, new: nn.Module, memo: dict[int, Any]) -> None:
    """Give ``new`` copies of the hooks of a layer, PyTorch's weight norm apart; ``memo`` is deepcopy's."""
    for hooks in HOOKS:
        kept = {key: hook for key, hook in getattr(layer, hooks).items() if not isinstance(hook, TorchHook)}
        getattr(new, hooks).update(copy.deepcopy(kept, memo))
    new._is_full_backward_hook = layer._is_full_backward_hook


def find_peculiarity(layer: nn.Module) -> str | None:
    """What a layer of a class that is replaced has beyond it, so that another would not do the same; else None."""
    if plain_type(layer) is None and plain_recurrent_type(layer) is None:
        return None
    held = {*layer._parameters, *layer._buffers, *layer._modules} - {"parametrizations"}
    more = sorted(name for name in held if name.partition("_")[0] not in ("weight", "bias", "v", "g", "s"))
    if more:
        return f"holds {', '.join(more)} too"
    if "forward" in vars(layer):
        return "has a forward pass of its own"
    if not parametrize.is_parametrized(layer) and any(getattr(layer, hooks) for hooks in STATE_HOOKS):
        return "has hooks on its state"
    return None


def explain_left(module: nn.Module, replaced: Collection[nn.Module]) -> str:
    """Which layers with weight matrices are not among the ``replaced``, and why; empty where there are none."""
    covered = {inner for layer in replaced for inner in layer.modules()}
    left = []
    for name, layer in module.named_modules():
        if layer in covered or not _has_matrix(layer):
            continue
        if parametrize.is_parametrized(layer):
            covered.update(layer.parametrizations.modules())
        left.append(f"{name!r} ({type(layer).__name__}) {_explain(layer)}")
    return "; ".join(left)


def _has_matrix(layer: nn.Module) -> bool:
    if isinstance(layer, nn.LayerNorm | nn.RMSNorm):  # gains, of whatever shape
        return False
    held = layer.parameters(recurse=parametrize.is_parametrized(layer))
    return any(is_lazy(parameter) or parameter.dim() >= 2 for parameter in held)


def _explain(layer: nn.Module) -> str:
    peculiarity = find_peculiarity(layer)
    if peculiarity is not None:
        return peculiarity
    if plain_type(layer) is not None or plain_recurrent_type(layer) is not None:
        return "has a weight that something else computes"
    known = (*REPLACED_TYPES, *PLAIN_OF, *PLAIN_RECURRENT)
    base = next((kind for kind in type(layer).__mro__ if kind in known), None)
    if base is not None:
        return f"is a subclass of {base.__name__} and may use its weight in ways of its own"
    return "has no weight-normalized form"

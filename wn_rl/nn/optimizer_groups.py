"""The parameters that weight decay touches: plain weight matrices and kernels, and nothing else.

Decay of v does not change the function of a weight-normalized layer, only its effective learning rate; decay
of g, of biases and of the norms' gains is no regularization of the weights. So v, g, s, biases and every
vector are excluded, in our layers, PyTorch's parametrization (``original0``, ``original1``) and its old hook
(``weight_g``, ``weight_v``).
"""

from typing import Any

from torch import nn

from wn_rl.errors import ConfigurationError

UNDECAYED_ENDINGS = ("_g", "_v")


def is_decayed(name: str, parameter: nn.Parameter) -> bool:
    """True for a plain weight of two axes or more; ``name`` is the parameter's full name."""
    own_name = name.rpartition(".")[2]
    return parameter.dim() >= 2 and own_name.startswith("weight") and not own_name.endswith(UNDECAYED_ENDINGS)


def make_parameter_groups(network: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for ``torch.optim``: the decayed weights, then everything else with a weight decay of 0.

    Every trained parameter is in exactly one group; empty groups are left out. Each group carries its name as
    ``name`` ("decayed", "undecayed"). Raises ConfigurationError for a negative weight decay.

    Examples:
        >>> from wn_rl.nn import WeightNormLinear
        >>> network = nn.Sequential(nn.Linear(4, 3), WeightNormLinear(3, 2))
        >>> [(g["name"], len(g["params"]), g["weight_decay"]) for g in make_parameter_groups(network, weight_decay=0.1)]
        [('decayed', 1, 0.1), ('undecayed', 4, 0.0)]
    """
    if weight_decay < 0:
        raise ConfigurationError(f"weight_decay={weight_decay} is negative; use 0 for none")
    trained = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    decayed = [parameter for name, parameter in trained if is_decayed(name, parameter)]
    undecayed = [parameter for name, parameter in trained if not is_decayed(name, parameter)]
    groups = [
        {"name": "decayed", "params": decayed, "weight_decay": weight_decay},
        {"name": "undecayed", "params": undecayed, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]

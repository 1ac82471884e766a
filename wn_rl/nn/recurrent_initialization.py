"""Data-dependent initialization of LSTM, GRU and RNN.

The pre-activations of all gates of an LSTM or GRU at step t are

    a_t = W_ih x_t + b_ih + W_hh h_{t−1} + b_hh        (GRU: r ⊙ (W_hn h_{t−1} + b_hn) in the candidate's rows)

h depends on every weight, so that no single pass gives statistics of it that hold after the weights were set:
Section 3 leaves recurrent networks to the standard initialization. But the part of x_t does not depend on h. It gets
Eq. 6, with statistics over minibatch and time; g_hh ← 1 and b_hh ← 0. So W_ih x + b_ih has mean 0 and std 1 for
every unit of every gate (at the first step that is a_1). The past has rows of length 1, as an orthogonal matrix has,
and adds less, as |h| < 1: a std of 0.3 in an LSTM and of 0.6 in a GRU, of 64 units on random walks of 50 steps. A
projection W_hr has rows of length 1 too. Each level sees the outputs of the one before, from a hidden state of zeros.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from wn_rl.errors import ConfigurationError
from wn_rl.nn.unit_moments import Statistics, compute_statistics
from wn_rl.nn.weight_norm import compute_norms, per_unit
from wn_rl.nn.weight_norm_layers import draw_v
from wn_rl.nn.weight_norm_recurrent import (
    PLAIN_RECURRENT,
    Recurrent,
    make_plain_recurrent_like,
    named_weights,
    set_matrix_,
    weight_names,
)

MATRICES = ("weight_ih", "weight_hh", "weight_hr")  # the last in an LSTM with projections alone


def initialize_recurrent_(
    layer: nn.RNNBase, inputs: Tensor | PackedSequence, generator: torch.Generator | None
) -> None:
    """Initialize an ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``, plain or weight-normalized, on what it is given.

    ``inputs`` is [T, B, I], [B, T, I] or packed; the padding of packed sequences counts nowhere. Raises
    ConfigurationError for a layer under PyTorch's own weight norm.
    """
    _require_own_weights(layer)
    directions = ("", "_reverse") if layer.bidirectional else ("",)
    for level in range(layer.num_layers):
        for direction in directions:
            _initialize_direction_(layer, f"_l{level}{direction}", inputs, generator)
        if level + 1 < layer.num_layers:
            inputs = _apply_level(layer, level, inputs)


def initialize_cell_(cell: nn.RNNCellBase, inputs: Float[Tensor, "B I"], generator: torch.Generator | None) -> None:
    """The same of a cell, on what it is given first."""
    _require_own_weights(cell)
    _initialize_direction_(cell, "", inputs, generator)


def _require_own_weights(layer: Recurrent) -> None:
    if type(layer) not in PLAIN_RECURRENT and any(name not in layer._parameters for name in weight_names(layer)):
        raise ConfigurationError(
            f"weights of {type(layer).__name__} are computed by PyTorch; convert it with weight_normalize or plain"
        )


def _initialize_direction_(
    layer: Recurrent, suffix: str, inputs: Tensor | PackedSequence, generator: torch.Generator | None
) -> None:
    """All parameters whose names end with ``suffix``: those of one direction of one layer."""
    x = inputs.data if isinstance(inputs, PackedSequence) else inputs
    shapes = {name: weight.shape for name, weight in named_weights(layer).items()}
    for name in (f"{matrix}{suffix}" for matrix in MATRICES):
        if name not in shapes:
            continue
        v = draw_v(shapes[name], generator=generator).to(x)
        g = torch.ones_like(v[:, 0])
        if name.startswith("weight_ih"):
            directions = v / per_unit(compute_norms(v), like=v)  # in float32 or better
            statistics = compute_statistics(x.to(directions.dtype) @ directions.t(), unit_axis=-1)
            g = (1 / statistics.std).to(v)
            _set_biases_(layer, suffix, statistics)
        set_matrix_(layer, name, v, g)


def _set_biases_(layer: Recurrent, suffix: str, statistics: Statistics) -> None:
    if layer.bias:
        layer.get_parameter(f"bias_ih{suffix}").copy_(-statistics.mean / statistics.std)
        layer.get_parameter(f"bias_hh{suffix}").zero_()


def _apply_level(layer: nn.RNNBase, level: int, inputs: Tensor | PackedSequence) -> Tensor | PackedSequence:
    """The outputs of one of the layers, in both of its directions, from a hidden state of zeros."""
    weights = named_weights(layer)
    input_size = weights[f"weight_ih_l{level}"].shape[1]
    alone = make_plain_recurrent_like(layer, num_layers=1, input_size=input_size, dropout=0)
    for name, parameter in alone.named_parameters():
        parameter.copy_(weights[name.replace("_l0", f"_l{level}")])
    return alone(inputs)[0]

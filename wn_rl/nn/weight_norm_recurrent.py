"""Weight-normalized LSTM and GRU: each row of each weight matrix is a unit of its own.

Salimans & Kingma 2016 normalize DRAW's LSTM so. For every matrix ``weight_*`` of PyTorch's layer (4H or 3H
rows: the units of all gates) the layer has parameters ``v_*`` of the same shape and ``g_*``, one number per
row, with w = g v / ‖v‖ (Eq. 2); ``g_*`` is a buffer where g is fixed, and exp of ``s_*`` where it is exponential.
All matrices are computed once per call, however long the sequence is.
"""

from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import PackedSequence

from wn_rl.nn.weight_norm import compute_norms, compute_weight, per_unit
from wn_rl.nn.weight_norm_layers import draw_v, read_g, register_g_, write_g_


class Matrix(NamedTuple):
    """A weight matrix taken apart: ``v`` [R, C] and ``g`` [R], or None where v is the matrix itself."""

    v: Tensor
    g: Tensor | None


def weight_names(layer: nn.RNNBase) -> list[str]:
    """The names of a plain recurrent layer's matrices, biases left out: "weight_ih_l0", "weight_hh_l0", ..."""
    return [name for name in layer._flat_weights_names if name.startswith("weight_")]


def bias_names(layer: nn.RNNBase) -> list[str]:
    """The names of the biases, where it has any: "bias_ih_l0", "bias_hh_l0", ..."""
    return [name for name in layer._flat_weights_names if name.startswith("bias_")]


def _suffix(weight_name: str) -> str:
    """What v and g of a matrix have in their names: "weight_ih_l0" -> "_ih_l0"."""
    return weight_name.removeprefix("weight")


def read_matrix(layer: Any, weight_name: str) -> Matrix:
    """v and g of a matrix of a weight-normalized layer."""
    suffix = _suffix(weight_name)
    return Matrix(getattr(layer, f"v{suffix}"), read_g(layer, suffix))  # not get_parameter: see torch.func


def named_weights(layer: nn.RNNBase) -> dict[str, Tensor]:
    """w of every matrix (Eq. 2 where it is weight-normalized) and the biases, in the order of PyTorch's kernels."""
    if type(layer) not in PLAIN_RECURRENT:
        return {name: getattr(layer, name) for name in layer._flat_weights_names}
    weights: dict[str, Tensor] = {name: getattr(layer, name) for name in bias_names(layer)}
    for name in weight_names(layer):
        v, g = read_matrix(layer, name)
        weights[name] = compute_weight(v, cast(Tensor, g))
    return {name: weights[name] for name in layer._flat_weights_names}


@torch.no_grad()
def adopt_matrices_(layer: Any, matrices: dict[str, Matrix], *, g_mode: str) -> None:
    """Make copies of ``matrices`` the parameters of a layer, by the names of its plain ones; without g, g = ‖v‖.

    Raises ConfigurationError for an unknown ``g_mode``, a row of v that is zero, and g <= 0 where g = exp(s).
    """
    layer.g_mode = g_mode
    for name, (v, g) in matrices.items():
        layer._parameters.pop(name, None)
        parameter = nn.Parameter(v.detach().clone(), requires_grad=v.requires_grad)
        layer.register_parameter(f"v{_suffix(name)}", parameter)
        register_g_(layer, _suffix(name), v, g, g_mode=g_mode)
    _forget_weights(layer)


@torch.no_grad()
def set_matrix_(layer: Any, weight_name: str, v: Float[Tensor, "R C"], g: Float[Tensor, "R"]) -> None:
    """Give a matrix of a plain or weight-normalized layer the value g v / ‖v‖ (g > 0), and these v and g if it has."""
    if type(layer) not in PLAIN_RECURRENT:
        layer.get_parameter(weight_name).copy_(v * per_unit(g / compute_norms(v), like=v))
        return
    layer.get_parameter(f"v{_suffix(weight_name)}").copy_(v)
    write_g_(layer, _suffix(weight_name), g)


def _forget_weights(layer: nn.RNNBase) -> None:
    """Let go of the computed weights: they carry a graph, which no copy or checkpoint of the layer may hold."""
    layer._flat_weights = [None] * len(layer._flat_weights_names)


class _WeightNormRecurrent(nn.RNNBase):
    """w = g v / ‖v‖ in the place of every matrix, computed when the layer is applied, and let go of after it.

    v ~ N(0, 0.05) and g = ‖v‖ at first; ``initialize_from_data`` gives g and biases from data. Inputs and outputs are
    those of PyTorch's layer.

    Args:
        *args, **kwargs: those of PyTorch's class.
        g_mode: "free", "fixed" or "exponential".
        generator: the stream of v, PyTorch's global one if None.
    """

    g_mode: str

    def __init__(
        self, *args: Any, g_mode: str = "free", generator: torch.Generator | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        plain = {name: self.get_parameter(name) for name in weight_names(self)}
        drawn = {name: draw_v(w.shape, generator=generator).to(w).requires_grad_() for name, w in plain.items()}
        adopt_matrices_(self, {name: Matrix(v, None) for name, v in drawn.items()}, g_mode=g_mode)

    def _update_flat_weights(self) -> None:
        """PyTorch's layer looks here for changed parameters; ours computes its weights at every call."""

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> Any:
        """As PyTorch's layer: the outputs of all steps, and the last state."""
        self._flat_weights = [*named_weights(self).values()]
        try:
            return super().forward(input, hx)
        finally:
            _forget_weights(self)


class WeightNormLSTM(_WeightNormRecurrent, nn.LSTM):
    """``nn.LSTM`` with w = g v / ‖v‖ in the place of every matrix."""


class WeightNormGRU(_WeightNormRecurrent, nn.GRU):
    """``nn.GRU`` with w = g v / ‖v‖ in the place of every matrix."""


PLAIN_RECURRENT: dict[type[nn.Module], type[nn.LSTM] | type[nn.GRU]] = {WeightNormLSTM: nn.LSTM, WeightNormGRU: nn.GRU}
WEIGHT_NORM_RECURRENT: dict[type[nn.Module], type[WeightNormLSTM] | type[WeightNormGRU]] = {
    nn.LSTM: WeightNormLSTM,
    nn.GRU: WeightNormGRU,
}


def plain_recurrent_type(layer: nn.Module) -> type[nn.LSTM] | type[nn.GRU] | None:
    """The ``torch.nn`` class that an LSTM or GRU of any kind corresponds to; None for other modules."""
    kind = parametrize.type_before_parametrizations(layer)
    plain = PLAIN_RECURRENT.get(kind, kind)
    return cast(Any, plain) if plain in WEIGHT_NORM_RECURRENT else None


def recurrent_arguments(layer: nn.RNNBase) -> dict[str, Any]:
    """The arguments with which PyTorch's class has the layer's shape."""
    names = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"]
    if isinstance(layer, nn.LSTM):
        names.append("proj_size")
    return {name: getattr(layer, name) for name in names}


def make_plain_recurrent_like(layer: nn.RNNBase, **changes: int) -> nn.RNNBase:
    """A plain layer of the shape, device and dtype of an LSTM or GRU, but for ``changes``; not initialized."""
    kind, example = plain_recurrent_type(layer), next(layer.parameters())
    assert kind is not None
    arguments = recurrent_arguments(layer) | changes
    return kind(**arguments, device="meta", dtype=example.dtype).to_empty(device=example.device)


@torch.no_grad()
def make_weight_norm_recurrent(layer: nn.RNNBase, matrices: dict[str, Matrix], *, g_mode: str) -> nn.RNNBase:
    """A weight-normalized layer of the shape of an LSTM or GRU, with its biases and ``matrices`` by their plain names.

    Raises what :func:`adopt_matrices_` does.
    """
    example, kind = next(layer.parameters()), plain_recurrent_type(layer)
    assert kind is not None
    new = WEIGHT_NORM_RECURRENT[kind](**recurrent_arguments(layer), g_mode=g_mode).to(example.device, example.dtype)
    adopt_matrices_(new, matrices, g_mode=g_mode)
    copy_biases_(layer, new)
    return new


@torch.no_grad()
def copy_biases_(layer: nn.RNNBase, new: nn.RNNBase) -> None:
    """Copy the biases of a layer into one of the same shape, and whether they are trained."""
    for name in bias_names(layer):
        bias = layer.get_parameter(name)
        new.get_parameter(name).copy_(bias).requires_grad_(bias.requires_grad)


@torch.no_grad()
def write_recurrent_(layer: nn.RNNBase, plain: nn.RNNBase) -> None:
    """Write w of every matrix, and the biases, into a plain layer of the same shape."""
    for name, weight in named_weights(layer).items():
        plain.get_parameter(name).copy_(weight)

"""Weight-normalized LSTM, GRU and RNN, and their cells: each row of each weight matrix is a unit of its own.

Salimans & Kingma 2016 normalize DRAW's LSTM so. For every matrix ``weight_*`` of PyTorch's layer or cell (4H, 3H or H
rows: the units of all gates) there are parameters ``v_*`` of the same shape and ``g_*``, one number per row, with
w = g v / ‖v‖ (Eq. 2); ``g_*`` is a buffer where g is fixed, and exp of ``s_*`` where it is exponential. A layer
computes all matrices once per call, however long the sequence is; a cell, which is called step by step, at every step.
"""

from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import PackedSequence

from wn_rl.nn.weight_norm import compute_norms, compute_weight, per_unit
from wn_rl.nn.weight_norm_layers import read_g, redraw_v_, register_g_, write_g_

Recurrent = nn.RNNBase | nn.RNNCellBase


class Matrix(NamedTuple):
    """A weight matrix taken apart: ``v`` [R, C] and ``g`` [R], or None where v is the matrix itself."""

    v: Tensor
    g: Tensor | None
    is_g_learned: bool = True


def _names(layer: Recurrent) -> list[str]:
    """The names of a plain layer's or cell's matrices and biases, in the order of PyTorch's kernels."""
    if isinstance(layer, nn.RNNBase):
        return layer._flat_weights_names
    return ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if layer.bias else [])]


def weight_names(layer: Recurrent) -> list[str]:
    """The names of the matrices, biases left out: "weight_ih_l0", "weight_hh_l0", ...; without "_l0" in cells."""
    return [name for name in _names(layer) if name.startswith("weight_")]


def bias_names(layer: Recurrent) -> list[str]:
    """The names of the biases, where it has any: "bias_ih_l0", "bias_hh_l0", ..."""
    return [name for name in _names(layer) if name.startswith("bias_")]


def suffix_of(weight_name: str) -> str:
    """What v and g of a matrix have in their names: "weight_ih_l0" -> "_ih_l0"."""
    return weight_name.removeprefix("weight")


def read_matrix(layer: Any, weight_name: str) -> Matrix:
    """v and g of a matrix of a weight-normalized layer."""
    suffix = suffix_of(weight_name)
    return Matrix(getattr(layer, f"v{suffix}"), read_g(layer, suffix))  # not get_parameter: see torch.func


def named_weights(layer: Recurrent) -> dict[str, Tensor]:
    """w of every matrix (Eq. 2 where it is weight-normalized) and the biases, in the order of PyTorch's kernels."""
    if type(layer) not in PLAIN_RECURRENT:
        return {name: getattr(layer, name) for name in _names(layer)}
    return {
        name: _compute_matrix(layer, name) if name.startswith("weight_") else getattr(layer, name)
        for name in _names(layer)
    }


def _compute_matrix(layer: nn.Module, weight_name: str) -> Float[Tensor, "R C"]:
    v, g, _ = read_matrix(layer, weight_name)
    return compute_weight(v, cast(Tensor, g))


@torch.no_grad()
def adopt_matrices_(layer: Any, matrices: dict[str, Matrix], *, g_mode: str) -> None:
    """Make copies of ``matrices`` the parameters of a layer, by the names of its plain ones; without g, g = ‖v‖.

    Raises ConfigurationError for an unknown ``g_mode``, a row of v that is zero, and g <= 0 where g = exp(s).
    """
    layer.g_mode = g_mode
    for name, (v, g, is_g_learned) in matrices.items():
        layer._parameters.pop(name, None)
        parameter = nn.Parameter(v.detach().clone(), requires_grad=v.requires_grad)
        layer.register_parameter(f"v{suffix_of(name)}", parameter)
        register_g_(layer, suffix_of(name), v, g, g_mode=g_mode, is_learned=is_g_learned)


@torch.no_grad()
def set_matrix_(layer: Any, weight_name: str, v: Float[Tensor, "R C"], g: Float[Tensor, "R"]) -> None:
    """Give a matrix of a plain or weight-normalized layer the value g v / ‖v‖ (g > 0), and these v and g if it has."""
    if type(layer) not in PLAIN_RECURRENT:
        layer.get_parameter(weight_name).copy_(v * per_unit(g / compute_norms(v), like=v))
        return
    layer.get_parameter(f"v{suffix_of(weight_name)}").copy_(v)
    write_g_(layer, suffix_of(weight_name), g)


class _WeightNormMatrices(nn.Module):
    """w = g v / ‖v‖ in the place of every matrix of a recurrent layer or cell: what is mixed into PyTorch's classes.

    v ~ N(0, 0.05) and g = ‖v‖ at first; ``initialize_from_data`` gives g and biases from data. Inputs and outputs are
    those of PyTorch's class.

    Args:
        *args, **kwargs: those of PyTorch's class, ``device`` and ``dtype`` among them.
        g_mode: "free", "fixed" or "exponential".
        generator: the stream of v, PyTorch's global one if None.
    """

    g_mode: str

    def __init__(
        self, *args: Any, g_mode: str = "free", generator: torch.Generator | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        vs = {name: self.get_parameter(name) for name in weight_names(cast(Recurrent, self))}
        for v in vs.values():
            redraw_v_(v, generator=generator)
        adopt_matrices_(self, {name: Matrix(v, None) for name, v in vs.items()}, g_mode=g_mode)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw v anew, with g = ‖v‖, and the biases as PyTorch's class does."""
        cast(Any, super()).reset_parameters()  # while the layer is made, there are PyTorch's weights and no v
        for suffix in map(suffix_of, weight_names(cast(Recurrent, self))):
            if f"v{suffix}" in self._parameters:
                v = self.get_parameter(f"v{suffix}")
                redraw_v_(v)
                write_g_(self, suffix, compute_norms(v))


class _WeightNormRecurrent(_WeightNormMatrices, nn.RNNBase):
    """A layer, which computes its matrices when it is applied, and keeps none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._flat_weights = [None] * len(self._flat_weights_names)  # those that gave way to v

    def _update_flat_weights(self) -> None:
        """PyTorch's layer looks here for changed parameters; ours computes its weights at every call."""

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> Any:
        """As PyTorch's layer: the outputs of all steps, and the last state."""
        applied = object.__new__(type(self))  # the layer with w, for this call: another thread makes its own
        applied.__dict__ = self.__dict__ | {"_flat_weights": [*named_weights(self).values()]}
        return super(_WeightNormRecurrent, applied).forward(input, hx)


class WeightNormLSTM(_WeightNormRecurrent, nn.LSTM):
    """``nn.LSTM`` with w = g v / ‖v‖ in the place of every matrix."""


class WeightNormGRU(_WeightNormRecurrent, nn.GRU):
    """``nn.GRU`` with w = g v / ‖v‖ in the place of every matrix."""


class WeightNormRNN(_WeightNormRecurrent, nn.RNN):
    """``nn.RNN`` with w = g v / ‖v‖ in the place of every matrix."""


class _WeightNormCell(_WeightNormMatrices):
    """A cell, whose ``weight_ih`` and ``weight_hh`` are computed at every use."""

    weight_ih: Tensor = cast(Any, property(lambda self: _compute_matrix(self, "weight_ih")))
    weight_hh: Tensor = cast(Any, property(lambda self: _compute_matrix(self, "weight_hh")))


class WeightNormLSTMCell(_WeightNormCell, nn.LSTMCell):
    """``nn.LSTMCell`` with w = g v / ‖v‖ in the place of both matrices."""


class WeightNormGRUCell(_WeightNormCell, nn.GRUCell):
    """``nn.GRUCell`` with w = g v / ‖v‖ in the place of both matrices."""


class WeightNormRNNCell(_WeightNormCell, nn.RNNCell):
    """``nn.RNNCell`` with w = g v / ‖v‖ in the place of both matrices."""


WEIGHT_NORM_RECURRENT: dict[type[nn.Module], type[_WeightNormMatrices]] = {
    nn.LSTM: WeightNormLSTM,
    nn.GRU: WeightNormGRU,
    nn.RNN: WeightNormRNN,
    nn.LSTMCell: WeightNormLSTMCell,
    nn.GRUCell: WeightNormGRUCell,
    nn.RNNCell: WeightNormRNNCell,
}
PLAIN_RECURRENT: dict[type[nn.Module], type[nn.Module]] = {
    normed: plain for plain, normed in WEIGHT_NORM_RECURRENT.items()
}


def plain_recurrent_type(layer: nn.Module) -> type[nn.Module] | None:
    """The ``torch.nn`` class that a recurrent layer or cell of any kind corresponds to; None for other modules."""
    kind = parametrize.type_before_parametrizations(layer)
    plain = PLAIN_RECURRENT.get(kind, kind)
    return cast(Any, plain) if plain in WEIGHT_NORM_RECURRENT else None


def recurrent_arguments(layer: Recurrent) -> dict[str, Any]:
    """The arguments with which PyTorch's class has the layer's shape."""
    names = ["input_size", "hidden_size", "bias"]
    if isinstance(layer, nn.RNNBase):
        names += ["num_layers", "batch_first", "dropout", "bidirectional"]
    if isinstance(layer, nn.LSTM):
        names.append("proj_size")
    if isinstance(layer, nn.RNN | nn.RNNCell):
        names.append("nonlinearity")
    return {name: getattr(layer, name) for name in names}


def make_plain_recurrent_like(layer: Recurrent, **changes: int) -> Recurrent:
    """A plain one of the shape, device and dtype of a recurrent layer or cell, but for ``changes``; not initialized."""
    kind, example = plain_recurrent_type(layer), next(layer.parameters())
    assert kind is not None
    arguments = recurrent_arguments(layer) | changes
    return cast(Recurrent, kind(**arguments, device="meta", dtype=example.dtype).to_empty(device=example.device))


@torch.no_grad()
def make_weight_norm_recurrent(layer: Recurrent, matrices: dict[str, Matrix], *, g_mode: str) -> Recurrent:
    """A weight-normalized one of the shape of a recurrent layer or cell, with its biases, and ``matrices`` by name.

    Raises what :func:`adopt_matrices_` does.
    """
    kind = plain_recurrent_type(layer)
    assert kind is not None
    new = WEIGHT_NORM_RECURRENT[kind](**recurrent_arguments(layer), g_mode=g_mode, device="meta")
    adopt_matrices_(new, matrices, g_mode=g_mode)
    copy_biases_(layer, new)
    return cast(Recurrent, new)


@torch.no_grad()
def copy_biases_(layer: Recurrent, new: nn.Module) -> None:
    """Give ``new``, of the same shape, copies of the layer's biases, and of whether they are trained."""
    for name in bias_names(layer):
        bias = layer.get_parameter(name)
        setattr(new, name, nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad))


@torch.no_grad()
def write_recurrent_(layer: Recurrent, plain: nn.Module) -> None:
    """Write w of every matrix, and the biases, into a plain layer of the same shape."""
    for name, weight in named_weights(layer).items():
        plain.get_parameter(name).copy_(weight)

"""How are recurrent layers weight-normalized? LSTM and GRU, each row of each weight matrix a unit of its own.

Salimans & Kingma 2016 normalize DRAW's LSTM so. For every matrix ``weight_*`` of PyTorch's layer (4H or 3H
rows: the units of all gates) the layer has parameters ``v_*`` of the same shape and ``g_*``, one number per
row, with w = g v / ‖v‖ (Eq. 2). All matrices are computed once per call, however long the sequence is.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from wn_rl.nn.weight_norm import compute_norms, compute_weight
from wn_rl.nn.weight_norm_layer import draw_v, require_directions


def weight_names(layer: nn.RNNBase) -> list[str]:
    """The names of a plain recurrent layer's matrices, biases left out: "weight_ih_l0", "weight_hh_l0", ..."""
    return [name for name in layer._flat_weights_names if name.startswith("weight_")]


def v_name(weight_name: str) -> str:
    """ "weight_ih_l0" -> "v_ih_l0"."""
    return weight_name.replace("weight_", "v_", 1)


def g_name(weight_name: str) -> str:
    """ "weight_ih_l0" -> "g_ih_l0"."""
    return weight_name.replace("weight_", "g_", 1)


def flat_weights(layer: nn.RNNBase) -> list[Tensor]:
    """w of every matrix (Eq. 2) and the biases, in the order in which PyTorch's kernels take them."""
    is_matrix = set(weight_names(layer))
    return [
        compute_weight(layer.get_parameter(v_name(name)), layer.get_parameter(g_name(name)))
        if name in is_matrix
        else layer.get_parameter(name)
        for name in layer._flat_weights_names
    ]


@torch.no_grad()
def adopt_matrices_(layer: nn.RNNBase, matrices: dict[str, Tensor]) -> None:
    """Make v = w and g = ‖w‖ of ``matrices`` the parameters of a layer, by the names of its plain matrices.

    Raises ConfigurationError for a row that is zero.
    """
    for name, matrix in matrices.items():
        require_directions(matrix)
        layer._parameters.pop(name, None)
        layer.register_parameter(v_name(name), nn.Parameter(matrix.detach().clone()))
        layer.register_parameter(g_name(name), nn.Parameter(compute_norms(matrix).to(matrix.dtype)))
    _forget_weights(layer)


def _forget_weights(layer: nn.RNNBase) -> None:
    """Let go of the computed weights: they carry a graph, which no copy or checkpoint of the layer may hold."""
    layer._flat_weights = [None] * len(layer._flat_weights_names)


def _reparameterize_(layer: nn.RNNBase, generator: torch.Generator | None) -> None:
    """v ~ N(0, 0.05) and g = ‖v‖ in a just constructed plain layer; the biases as they are."""
    plain = {name: layer.get_parameter(name) for name in weight_names(layer)}
    adopt_matrices_(
        layer, {name: draw_v(w.shape, generator=generator).to(w.device, w.dtype) for name, w in plain.items()}
    )


class WeightNormLSTM(nn.LSTM):
    """``nn.LSTM`` with w = g v / ‖v‖ in the place of every matrix; takes its arguments, and ``generator`` for v.

    v ~ N(0, 0.05) and g = ‖v‖ at first. Inputs and outputs are those of ``nn.LSTM``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size)
        _reparameterize_(self, generator)

    def _update_flat_weights(self) -> None:
        """PyTorch's layer looks here for changed parameters; ours computes its weights at every call."""

    def forward(self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None) -> Any:
        """As ``nn.LSTM``: the outputs of all steps, and the last hidden and cell state."""
        self._flat_weights = [*flat_weights(self)]
        try:
            return super().forward(input, hx)
        finally:
            _forget_weights(self)


class WeightNormGRU(nn.GRU):
    """``nn.GRU`` with w = g v / ‖v‖ in the place of every matrix; takes its arguments, and ``generator`` for v.

    v ~ N(0, 0.05) and g = ‖v‖ at first. Inputs and outputs are those of ``nn.GRU``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        _reparameterize_(self, generator)

    def _update_flat_weights(self) -> None:
        """PyTorch's layer looks here for changed parameters; ours computes its weights at every call."""

    def forward(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> Any:
        """As ``nn.GRU``: the outputs of all steps, and the last hidden state."""
        self._flat_weights = [*flat_weights(self)]
        try:
            return super().forward(input, hx)
        finally:
            _forget_weights(self)


PLAIN_RECURRENT: dict[type[nn.Module], type[nn.LSTM] | type[nn.GRU]] = {WeightNormLSTM: nn.LSTM, WeightNormGRU: nn.GRU}
WEIGHT_NORM_RECURRENT: dict[type[nn.Module], type[WeightNormLSTM] | type[WeightNormGRU]] = {
    nn.LSTM: WeightNormLSTM,
    nn.GRU: WeightNormGRU,
}


def _arguments(layer: nn.RNNBase) -> dict[str, Any]:
    names = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"]
    if isinstance(layer, nn.LSTM):
        names.append("proj_size")
    return {name: getattr(layer, name) for name in names}


@torch.no_grad()
def normalize_recurrent(layer: nn.RNNBase) -> nn.RNNBase:
    """The weight-normalized layer of the same function as a plain ``nn.LSTM`` or ``nn.GRU``: v = w, g = ‖w‖."""
    example = next(layer.parameters())
    new = WEIGHT_NORM_RECURRENT[type(layer)](**_arguments(layer)).to(example.device, example.dtype)
    names = set(weight_names(layer))
    adopt_matrices_(new, {name: layer.get_parameter(name) for name in weight_names(layer)})
    for name in layer._flat_weights_names:
        if name not in names:
            new.get_parameter(name).copy_(layer.get_parameter(name))
    return new


@torch.no_grad()
def make_plain_recurrent(layer: nn.RNNBase) -> nn.RNNBase:
    """The plain ``nn.LSTM`` or ``nn.GRU`` of the same function as a weight-normalized layer."""
    example = next(layer.parameters())
    plain = PLAIN_RECURRENT[type(layer)](**_arguments(layer)).to(example.device, example.dtype)
    write_recurrent_(layer, plain)
    return plain


@torch.no_grad()
def write_recurrent_(layer: nn.RNNBase, plain: nn.RNNBase) -> None:
    """Write w of every matrix, and the biases, into a plain layer of the same shape."""
    for name, weight in zip(layer._flat_weights_names, flat_weights(layer), strict=True):
        plain.get_parameter(name).copy_(weight)

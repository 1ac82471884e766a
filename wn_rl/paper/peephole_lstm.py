"""An LSTM whose gates see the cell (Gers & Schmidhuber 2000), as the code has that the paper's DRAW was made with."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class CellState(NamedTuple):
    """``hidden`` and ``cell`` [B, H] each."""

    hidden: Float[Tensor, "B H"]
    cell: Float[Tensor, "B H"]


class PeepholeLSTM(nn.Module):
    """One step: with a = W x + b + U h, in parts of H rows each,

        i = σ(a_i + p_i ⊙ c),   f = σ(a_f + p_f ⊙ c),   c' = f ⊙ c + i ⊙ tanh(a_c),
        o = σ(a_o + p_o ⊙ c'),  h' = o ⊙ tanh(c')

    W and U are affine layers, and so weight-normalized by row as any: whoever applies several steps in one forward pass
    does it within ``cached_weights``, and w is computed once.

    Args:
        make_linear: from inputs, outputs and whether there is a bias to an affine layer.
        num_inputs, num_units: I and H.
        initial_peepholes: [3, H], p of i, f and o.
    """

    def __init__(
        self, make_linear: Callable[[int, int, bool], nn.Module], *, num_inputs: int, num_units: int,
        initial_peepholes: Float[Tensor, "3 H"],
    ) -> None:  # fmt: skip
        super().__init__()
        self.input = make_linear(num_inputs, 4 * num_units, True)
        self.recurrent = make_linear(num_units, 4 * num_units, False)
        self.peepholes = nn.Parameter(initial_peepholes)

    def forward(self, x: Float[Tensor, "B I"], state: CellState) -> CellState:
        in_part, forget_part, cell_part, out_part = (self.input(x) + self.recurrent(state.hidden)).chunk(4, dim=1)
        in_peephole, forget_peephole, out_peephole = self.peepholes
        kept = torch.sigmoid(forget_part + forget_peephole * state.cell) * state.cell
        cell = kept + torch.sigmoid(in_part + in_peephole * state.cell) * torch.tanh(cell_part)
        return CellState(torch.sigmoid(out_part + out_peephole * cell) * torch.tanh(cell), cell)

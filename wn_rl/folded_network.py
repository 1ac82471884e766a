"""A frozen plain copy of the online network: what acts, and what the targets are computed with."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from wn_rl.nn.folding import fold_, make_folded
from wn_rl.nn.q_network import QNetwork
from wn_rl.nn.weight_cache import lent_weights
from wn_rl.nn.weight_norm import ComputedWeight


class FoldedNetwork(nn.Module):
    """The online network as of its last ``sync``, in plain weights: normalization costs nothing here.

    The whole state moves at once: weights, biases and the effect of running statistics.

    Args:
        online: the network that is trained.
        dtype: the precision of the copy.
    """

    def __init__(self, online: QNetwork, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = make_folded(online).to(dtype)
        self._moment = -1
        self._computed: list[ComputedWeight | None] = [None] * len(online.weight_norm_layers)

    @torch.no_grad()
    def forward(self, observation: UInt8[Tensor, "B S H W"]) -> Float32[Tensor, "B A"]:
        """Q-values in float32; no gradient flows."""
        return self.network(observation).q_values.float()

    def sync(self, online: QNetwork, moment: int) -> "FoldedNetwork":
        """Copy the online network now, in place, unless it was copied at this ``moment`` (its number of updates)."""
        if moment != self._moment:
            fold_(online, self.network)
            self._computed = [layer.folded for layer in online.weight_norm_layers]
            self._moment = moment
        return self

    @contextmanager
    def lend_weights(self, online: QNetwork, moment: int) -> Iterator[None]:
        """Inside, weight-normalized layers of ``online`` use the w of this copy, as of ``moment``, and compute none.

        For forward passes in the copy's precision. A network without such layers is left alone.
        """
        if online.weight_norm_layers:
            self.sync(online, moment)
        for layer, computed in zip(online.weight_norm_layers, self._computed, strict=True):
            layer.folded = computed  # callbacks may have folded the network since, in another precision
        with lent_weights(online.weight_norm_layers):
            yield

"""A frozen plain copy of the online network: what acts, and what the targets are computed with."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from jaxtyping import Bool, Float32, Num
from torch import Tensor, nn

from wn_rl.networks.q_network import QNetwork
from wn_rl.nn.folding import ComputedWeights, fold_, lent_weights, make_folded
from wn_rl.nn.weight_norm_layers import WeightNormLayer
from wn_rl.system.threads import run_side_by_side
from wn_rl.types import QOutput


class FoldedNetwork(nn.Module):
    """The online network as of its last ``sync``, in plain weights: normalization costs nothing here.

    The whole state moves at once: weights, biases and the effect of running statistics. Noisy layers stay noisy, by
    noise of their own until the next ``sync`` brings that of the online network.

    Args:
        online: the network that is trained.
        dtype: the precision of the copy, but for its output layers, which are float32 as ever.
    """

    def __init__(self, online: QNetwork, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = cast(QNetwork, make_folded(online, keeps_noise=True)).reduce_precision_(dtype)
        self._can_lend = any(isinstance(module, WeightNormLayer) for module in online.modules())
        self._computed: ComputedWeights = {}
        self._is_expired = True

    def forward(
        self, observation: Num[Tensor, "B S *frame"], memory: Float32[Tensor, "B M"] | None = None
    ) -> Float32[Tensor, "B A"]:
        """Q-values, by what is remembered before each observation; no gradient flows."""
        return self.compute(observation, memory=memory).q_values

    @torch.no_grad()
    def compute(
        self, observation: Num[Tensor, "B S *frame"], taus: Float32[Tensor, "B K"] | None = None,
        memory: Float32[Tensor, "L M"] | None = None, is_first: Bool[Tensor, "L T"] | None = None,
    ) -> QOutput:  # fmt: skip
        """All that the network returns, as it is asked (see ``QNetwork.forward``); no gradient flows."""
        return self.network(observation, taus, memory, is_first)

    def remember(
        self, observation: Num[Tensor, "B S *frame"], memory: Float32[Tensor, "B M"]
    ) -> tuple[Float32[Tensor, "B A"], Float32[Tensor, "B M"]]:
        """Q-values by what is remembered before an observation of B lanes each, and what is remembered after it."""
        output = self.compute(observation, memory=memory)
        return output.q_values, cast(Tensor, output.memory)

    def compute_side_by_side(self, observation: Num[Tensor, "B S *frame"], *, num_parts: int) -> Float32[Tensor, "B A"]:
        """Q-values, by as many threads, each of a part of the observations; no gradient flows."""
        if num_parts == 1:
            return self(observation)
        return torch.cat(run_side_by_side([partial(self._compute_part, part) for part in observation.chunk(num_parts)]))

    def _compute_part(self, observation: Num[Tensor, "B S *frame"]) -> Float32[Tensor, "B A"]:
        with torch.autocast(observation.device.type, enabled=False):  # the copy's own precision, whichever thread it is
            return self(observation)

    def sync(self, online: nn.Module) -> "FoldedNetwork":
        """Copy the online network now, in place, unless it was copied since ``expire`` was called."""
        if self._is_expired:
            self._computed = fold_(online, self.network)
            self._is_expired = False
        return self

    def expire(self) -> None:
        """Note that the online network has changed (PyTorch's counters of changes do not see a fused optimizer)."""
        self._is_expired = True

    @contextmanager
    def lend_weights(self, online: nn.Module) -> Iterator[None]:
        """Inside, weight-normalized layers of ``online`` use the w of this copy and compute none.

        For forward passes in the copy's precision. A network without such layers is left alone.
        """
        if self._can_lend:
            self.sync(online)
        with lent_weights(self._computed):
            yield

"""The target network: a frozen, folded copy of the online network that moves every so many updates."""

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from wn_rl.nn.folding import fold_, make_folded
from wn_rl.types import QOutput


class TargetNetwork(nn.Module):
    """theta_target <- theta_online after every ``period_updates`` updates (Algorithm 1, Mnih et al. 2015).

    The copy is folded: weight normalization costs nothing here, and the whole state (weights, biases and
    running statistics) moves at once.

    Args:
        online: the network that is trained.
        period_updates: updates between two synchronizations, at least 1.
        dtype: the precision of the copy.
    """

    def __init__(self, online: nn.Module, *, period_updates: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.period_updates = period_updates
        self.network = make_folded(online).to(dtype)

    @torch.no_grad()
    def forward(self, observation: UInt8[Tensor, "B S H W"]) -> QOutput:
        """The target network's Q-values; no gradient flows."""
        return self.network(observation)

    def sync(self, online: nn.Module) -> None:
        """Copy the online network now."""
        fold_(online, self.network)

    def sync_if_due(self, online: nn.Module, num_updates: int) -> None:
        """Copy the online network if ``num_updates``, the updates done so far, is a multiple of the period."""
        if num_updates % self.period_updates == 0:
            self.sync(online)

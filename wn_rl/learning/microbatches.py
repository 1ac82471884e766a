"""A minibatch in parts, each of which a thread learns from.

Where no example depends on another, the losses of a minibatch are those of its parts, and its gradient is the sum of
theirs. Weight normalization keeps that so, and batch normalization does not. On a CPU the threads meet twice in an
update, where those that share PyTorch's operations meet hundreds of times.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.nn.geometry import AFFINE_TYPES, WEIGHT_NORM_TYPES
from wn_rl.system.threads import run_side_by_side
from wn_rl.types import Batch, BatchLoss


class _Part(NamedTuple):
    """A plain network on the shared weights, with gradients of its own, and what it computes."""

    network: nn.Module
    loss: BatchLoss

    def compute_gradients(self, grad_loss: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(self.loss.loss, tuple(self.network.parameters()), grad_loss)


class MinibatchParts:
    """Computes losses in parts, each by a copy of the online network with plain weights.

    Args:
        network: the online network.
        folded: its folded copy, whose memory the copies share.
        num_parts: into how many parts a minibatch is taken.

    Raises:
        ConfigurationError: the network has other layers than affine ones, plain or weight-normalized.
    """

    def __init__(self, network: nn.Module, folded: FoldedNetwork, num_parts: int) -> None:
        self.network, self.folded = network, folded
        self._copies = [_share(folded.network) for _ in range(num_parts)]
        layers = dict(network.named_modules())
        paths = [path.rpartition(".") for path, _ in folded.network.named_parameters()]
        self._weights: list[tuple[Any, str]] = [(layers.get(layer), name) for layer, _, name in paths]
        if any(type(layer) not in (*AFFINE_TYPES, *WEIGHT_NORM_TYPES) for layer, _ in self._weights):
            raise ConfigurationError(
                f"minibatch_parts={num_parts} needs a network of plain or weight-normalized layers alone;"
                " say minibatch_parts=1, or normalizer=weight_norm"
            )

    def compute(self, compute: Callable[[nn.Module, Batch], BatchLoss], batch: Batch, moment: int) -> BatchLoss:
        """``compute(network, batch)``, with a graph that leads to the online network as of ``moment``.

        ``moment`` is the online network's number of updates. ``compute`` runs in several threads at the same time.
        """
        chunks = zip(*(tensor.chunk(len(self._copies)) for tensor in batch), strict=True)
        tasks = [
            partial(_compute_part, compute, network, Batch(*chunk))
            for network, chunk in zip(self._copies, chunks, strict=False)  # of few examples there are fewer parts
        ]
        self.folded.sync(self.network, moment)
        with self.folded.lend_weights(self.network, moment):
            weights = [getattr(layer, name) for layer, name in self._weights]
        return BatchLoss(*_SideBySide.apply(tasks, *weights))


def _share(network: nn.Module) -> nn.Module:
    """The same network in the same memory, with gradients of its own."""
    shared = copy.deepcopy(network)
    for parameter, original in zip(shared.parameters(), network.parameters(), strict=True):
        parameter.data = original.data
        parameter.requires_grad_(True)
    for buffer, shown in zip(shared.buffers(), network.buffers(), strict=True):
        buffer.set_(shown)  # type: ignore[call-overload]  # PyTorch's stubs know storages alone
    return shared


def _compute_part(compute: Callable[[nn.Module, Batch], BatchLoss], network: nn.Module, batch: Batch) -> _Part:
    """In the copy's own precision, whichever thread this is."""
    with torch.enable_grad(), torch.autocast(batch.s_tm1.device.type, enabled=False):
        return _Part(network, compute(network, batch))


class _SideBySide(torch.autograd.Function):
    """The losses of all parts one after the other, as a function of the weights that they have in common."""

    @staticmethod
    def forward(ctx: Any, tasks: list[Callable[[], _Part]], *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.parts = run_side_by_side(tasks)
        loss, priority, q_tm1 = (
            torch.cat(tensors).detach() for tensors in zip(*(part.loss for part in ctx.parts), strict=True)
        )
        ctx.mark_non_differentiable(priority, q_tm1)
        return loss, priority, q_tm1

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        shares = grad_loss.split([len(part.loss.loss) for part in ctx.parts])
        tasks = [partial(part.compute_gradients, share) for part, share in zip(ctx.parts, shares, strict=True)]
        gradients = run_side_by_side(tasks)
        return None, *(sum(parts[1:], start=parts[0]) for parts in zip(*gradients, strict=True))

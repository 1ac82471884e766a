"""A minibatch in parts, each of which a thread learns from: microbatches, side by side.

Where no example depends on another, the losses of a minibatch are those of its parts, and its gradient is the sum of
theirs. Weight and layer normalization keep that so, and batch normalization does not. On a CPU the threads meet once
in an update, where those that share PyTorch's operations meet hundreds of times.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.nn.noisy_linear import NoisyLinear
from wn_rl.nn.weight_norm_layers import plain_type
from wn_rl.system.threads import run_side_by_side
from wn_rl.types import BatchLoss

PER_EXAMPLE_LAYERS = (nn.LayerNorm, nn.GroupNorm, NoisyLinear)


class MicrobatchGradient:
    """Each part's loss and gradient by a copy of the online network with plain weights, in one task of one thread.

    Args:
        network: the online network, whose parameters get the gradient.
        folded: its folded copy, whose memory the copies share.
        compute_loss: the losses of a part by a copy; runs in several threads at the same time.
        num_parts: into how many parts a minibatch is taken.

    Raises:
        ConfigurationError: the network has other layers than affine ones, plain or weight-normalized, noisy ones of
            these, and PyTorch's norms of single examples.
    """

    def __init__(
        self, network: nn.Module, folded: FoldedNetwork, compute_loss: Callable[[nn.Module, Any], BatchLoss],
        num_parts: int,
    ) -> None:  # fmt: skip
        self._network, self._folded, self._compute_loss = network, folded, compute_loss
        self._copies = [_share(folded.network) for _ in range(num_parts)]
        layers = dict(network.named_modules())
        paths = [path.rpartition(".") for path, _ in folded.network.named_parameters()]
        self._weights: list[tuple[Any, str]] = [(layers.get(layer), name) for layer, _, name in paths]
        if any(plain_type(layer) is None and not isinstance(layer, PER_EXAMPLE_LAYERS) for layer, _ in self._weights):
            raise ConfigurationError(
                f"minibatch_parts={num_parts} needs a network of layers under which no example depends on another;"
                " say minibatch_parts=1, or normalizer=weight_norm"
            )

    def __call__(self, batch: Any) -> BatchLoss:
        """The losses of all examples; the gradient of their mean goes through weight normalization once."""
        tasks = [
            partial(_learn, self._compute_loss, network, part, 1 / len(batch.a_tm1))
            for network, part in zip(self._copies, _take_apart(batch, len(self._copies)), strict=False)
        ]
        self._folded.sync(self._network)
        with self._folded.lend_weights(self._network):
            weights: list[Tensor] = [getattr(layer, name) for layer, name in self._weights]
        losses, gradients = zip(*run_side_by_side(tasks), strict=True)
        sums = [sum(parts[1:], start=parts[0]) for parts in zip(*gradients, strict=True)]
        torch.autograd.backward(weights, [total.to(w.dtype) for total, w in zip(sums, weights, strict=True)])
        return BatchLoss(*(torch.cat(tensors) for tensors in zip(*losses, strict=True)))


def _take_apart(batch: Any, num_parts: int) -> list[Any]:
    """``num_parts`` batches of consecutive examples, or fewer where there are few; what is None is None in each."""
    present = [name for name, tensor in zip(batch._fields, batch, strict=True) if tensor is not None]
    chunks = zip(*(getattr(batch, name).chunk(num_parts) for name in present), strict=True)
    return [batch._replace(**dict(zip(present, chunk, strict=True))) for chunk in chunks]


def _share(network: nn.Module) -> nn.Module:
    """The same network in the same memory, with gradients of its own."""
    shared = copy.deepcopy(network)
    for parameter, original in zip(shared.parameters(), network.parameters(), strict=True):
        parameter.data = original.data
        parameter.requires_grad_(True)
    for buffer, shown in zip(shared.buffers(), network.buffers(), strict=True):
        buffer.set_(shown)  # type: ignore[call-overload]  # PyTorch's stubs know storages alone
    return shared


def _learn(
    compute_loss: Callable[[nn.Module, Any], BatchLoss], network: nn.Module, batch: Any, share: float
) -> tuple[BatchLoss, tuple[Tensor, ...]]:
    """Losses, and the gradient of ``share`` times their sum, in the copy's own precision, whichever thread this is."""
    with torch.enable_grad(), torch.autocast(batch.s_tm1.device.type, enabled=False):
        result = compute_loss(network, batch)
        gradient = torch.autograd.grad(result.loss, tuple(network.parameters()), torch.full_like(result.loss, share))
    return BatchLoss(*(tensor.detach() for tensor in result)), gradient

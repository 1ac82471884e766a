"""How the gradient of a minibatch's loss is computed: whole, compiled, or in microbatches side by side.

Each way leaves the gradient of the mean loss in the online network's parameters, and what it learned from is an
algorithm's affair: ``compute_loss(network, batch)``, with a loss per example of a named tuple of tensors.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from wn_rl.learning.microbatches import MicrobatchGradient
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.networks.q_network import QNetwork
from wn_rl.system.memory import is_memory_error
from wn_rl.types import BatchLoss

LossFunction = Callable[[nn.Module, Any], BatchLoss]
GradientFunction = Callable[[Any], BatchLoss]


def make_gradient_function(
    network: QNetwork, folded: FoldedNetwork, compute_loss: LossFunction, *, num_microbatches: int, compiled: bool
) -> GradientFunction:
    """What computes a minibatch's gradient; it returns the losses, without their graph.

    Args:
        network: the online network; parameters get the gradient.
        folded: its copy that acts, from which w is lent.
        compute_loss: by the online network, or a copy of it with gradients of its own.
        num_microbatches: into how many parts a minibatch is taken, each learned from by a thread of its own.
        compiled: whether torch.compile makes one piece of the loss and its gradient.

    Raises:
        ConfigurationError: minibatches of this network cannot be taken apart.
    """
    if compiled:
        return CompiledGradient(network, folded, compute_loss)
    if num_microbatches > 1:
        return MicrobatchGradient(network, folded, compute_loss, num_microbatches)
    return WholeGradient(network, folded, compute_loss)


class WholeGradient:
    """The gradient of all examples together, with the w that folding has computed already."""

    def __init__(self, network: QNetwork, folded: FoldedNetwork, compute_loss: LossFunction) -> None:
        self._network, self._folded, self._compute_loss = network, folded, compute_loss

    def __call__(self, batch: Any) -> BatchLoss:
        with self._folded.lend_weights(self._network):
            result = self._compute_loss(self._network, batch)
        return _backward(result)


class CompiledGradient:
    """Loss and gradient as one piece of a fixed shape, on a GPU as CUDA graphs.

    If PyTorch cannot compile here, the first call says so in a line, and all is computed as without.
    """

    def __init__(self, network: QNetwork, folded: FoldedNetwork, compute_loss: LossFunction) -> None:
        self._network, self._compute_loss = network, compute_loss
        self._whole = WholeGradient(network, folded, compute_loss)
        self._shall_compile = True
        self._compiled: LossFunction | None = None

    def __call__(self, batch: Any) -> BatchLoss:
        if self._shall_compile:
            self._compile(batch)
        if self._compiled is None:
            return self._whole(batch)
        return _backward(self._compiled(self._network, batch))

    def _compile(self, batch: Any) -> None:
        """Compile, by a first call and its gradient, of which no trace stays in the network."""
        self._shall_compile = False
        before = [buffer.clone() for buffer in self._network.buffers()]  # running statistics
        try:
            compiled = torch.compile(self._compute_loss, dynamic=False, mode="reduce-overhead")
            torch.autograd.grad(compiled(self._network, batch).loss.sum(), list(self._network.parameters()))
            self._compiled = compiled
        except (RuntimeError, OSError) as error:  # a compiler that is missing, or fails
            if is_memory_error(error):
                raise
            reason = str(error).strip().partition("\n")[0]  # advice for PyTorch's developers follows
            print(f"compile=true: PyTorch cannot compile here, so nothing is compiled ({reason})")
        for buffer, kept in zip(self._network.buffers(), before, strict=True):
            buffer.copy_(kept)


def _backward(result: BatchLoss) -> BatchLoss:
    result.loss.mean().backward()
    return BatchLoss(*(tensor.detach() for tensor in result))

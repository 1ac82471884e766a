"""The loss of a minibatch: the values of the networks and what Q-learning makes of them, compiled or not."""

from collections.abc import Callable

import torch
from torch import nn

from wn_rl.learning.microbatches import MinibatchParts
from wn_rl.losses.advantage_learning import compute_advantage
from wn_rl.losses.q_learning import compute_q_learning_loss
from wn_rl.losses.quantile_regression import compute_quantile_loss
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.networks.q_network import QNetwork
from wn_rl.system.memory import is_memory_error
from wn_rl.types import Batch, BatchLoss, QOutput


class BatchLossFunction:
    """Computes the loss of a minibatch by the online network, the target and the folded copy that acts.

    Compiled, what one call computes is one piece with its gradient, for a fixed shape, on a GPU as CUDA graphs. If
    PyTorch cannot compile here, the first call says so in a line, and all is computed as without.

    Args:
        network, acting, target: the online network, its folded copy, and the target network.
        double: whether the online network selects the action that the target network evaluates.
        error_function: "mse" or "huber", of values; quantiles have their own.
        advantage_learning: alpha of advantage learning; 0 is Q-learning.
        num_parts: into how many parts a minibatch is taken, each computed by a thread (``MinibatchParts``).
        compiled: whether to compile.

    Raises:
        ConfigurationError: minibatches of this network cannot be taken apart.
    """

    def __init__(
        self, network: QNetwork, acting: FoldedNetwork, target: FoldedNetwork, *,
        double: bool, error_function: str, advantage_learning: float, num_parts: int, compiled: bool,
    ) -> None:  # fmt: skip
        self.network, self.acting, self.target = network, acting, target
        self.double, self.error_function, self.advantage_learning = double, error_function, advantage_learning
        self._parts = MinibatchParts(network, acting, num_parts) if num_parts > 1 else None
        self._shall_compile = compiled
        self._compiled: Callable[[nn.Module, Batch], BatchLoss] | None = None

    def __call__(self, batch: Batch, moment: int) -> BatchLoss:
        """The loss, with the graph that leads to the online network; ``moment`` is its number of updates."""
        if self.double:
            self.acting.sync(self.network, moment)
        if self._shall_compile:
            self._compile(batch)
        if self._compiled is not None:
            return self._compiled(self.network, batch)
        if self._parts is not None:
            return self._parts.compute(self._compute, batch, moment)
        with self.acting.lend_weights(self.network, moment):  # which know w already
            return self._compute(self.network, batch)

    def _compute(self, network: nn.Module, batch: Batch) -> BatchLoss:
        """By the online network, or a copy of it with gradients of its own."""
        output_t = self.target.compute(batch.s_t)
        selector = self.acting.compute(batch.s_t) if self.double else output_t
        return self._compare(batch, network(batch.s_tm1), output_t, selector)

    def _compare(self, batch: Batch, output_tm1: QOutput, output_t: QOutput, selector: QOutput) -> BatchLoss:
        """Distributions by their quantiles where the head has them, else values."""
        r_t = batch.r_t
        if self.advantage_learning > 0:
            r_t = r_t + self.advantage_learning * compute_advantage(output_tm1.q_values, batch.a_tm1)
        experience = (batch.a_tm1, r_t, batch.discount_t)
        if output_tm1.quantiles is not None and output_t.quantiles is not None:
            loss, priority = compute_quantile_loss(
                output_tm1.quantiles, *experience, output_t.quantiles, selector.q_values
            )
        else:
            loss, priority = compute_q_learning_loss(
                output_tm1.q_values, *experience, output_t.q_values, selector.q_values,
                error_function=self.error_function,
            )  # fmt: skip
        return BatchLoss(loss, priority, output_tm1.q_values)

    def _compile(self, batch: Batch) -> None:
        """Compile, by a first call and its gradient, of which no trace stays in the network."""
        self._shall_compile = False
        before = [buffer.clone() for buffer in self.network.buffers()]  # running statistics
        try:
            compiled = torch.compile(self._compute, dynamic=False, mode="reduce-overhead")
            torch.autograd.grad(compiled(self.network, batch).loss.sum(), list(self.network.parameters()))
            self._compiled = compiled
        except (RuntimeError, OSError) as error:  # a compiler that is missing, or fails
            if is_memory_error(error):
                raise
            reason = str(error).strip().partition("\n")[0]  # advice for PyTorch's developers follows
            print(f"compile=true: PyTorch cannot compile here, so nothing is compiled ({reason})")
        for buffer, kept in zip(self.network.buffers(), before, strict=True):
            buffer.copy_(kept)

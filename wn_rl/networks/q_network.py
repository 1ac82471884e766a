"""The Q-network: a torso and a head, and a memory between them if any, each layer passed through one normalizer."""

import copy
from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Bool, Float, Float32, Num
from torch import Tensor, nn

from wn_rl.networks.distributions import HeadSizes
from wn_rl.networks.episode_memory import DEFAULT_UNITS, Memory, make_memory
from wn_rl.networks.heads import HEADS, DuelingHead, Head, LinearHead, make_embedding, make_stream
from wn_rl.networks.impala import IMPALA_WIDTHS
from wn_rl.networks.pixels import ScaleNumbers, ScalePixels
from wn_rl.networks.torsos import TORSOS
from wn_rl.nn.folding import cached_weights
from wn_rl.nn.initialization import initialize_from_data, scale_
from wn_rl.nn.noisy_linear import make_noisy
from wn_rl.nn.normalizers import make_normalizer
from wn_rl.nn.weight_norm_layers import WeightNormLayer
from wn_rl.system.fields import parse
from wn_rl.system.registry import look_up
from wn_rl.types import ObservationSpec, QOutput


class QNetwork(nn.Module):
    """q(s, a) for all actions of a batch of frame stacks: ``head(torso(observations))``.

    ``torso``, which may be a user's own, maps [B, S, *frame] to features [B, F], ``head`` maps those to a QOutput. With
    a ``memory`` between them the observations are those of L lanes, one lane after the other, and a value depends on
    the steps before, too.
    """

    def __init__(self, torso: nn.Module, head: Head, memory: Memory | None = None) -> None:
        super().__init__()
        self.torso = torso
        self.memory = memory
        self.head = head
        self._layers = [module for module in self.modules() if isinstance(module, WeightNormLayer)]

    def compute_features(self, observations: Num[Tensor, "B S *frame"]) -> Float[Tensor, "B F"]:
        """The torso's output, for those who want to look at it."""
        return self.torso(observations)

    def initialize_from_data(
        self, observations: Num[Tensor, "B S *frame"], q_std: float, generator: torch.Generator | None,
        *, is_first: Bool[Tensor, "L T"] | None = None,
    ) -> None:  # fmt: skip
        """Data-dependent initialization (wn_rl/nn/initialization.py) with Q-values of mean 0 and std ``q_std``.

        With a memory the observations are those of L lanes, before which nothing is remembered.

        Pixels are centered on these observations first, where the network centers them; vectors always.

        (In a head of quantiles that is each quantile's standard deviation, and their mean has less; of atoms each
        logit's.)

        The paper has 1. Less is worth it where rewards are rare: a target takes the maximum of the first Q-values for
        a truth, which is then a standard deviation or so above it, and which rewards must outweigh.
        """
        for module in self.modules():
            if isinstance(module, ScalePixels | ScaleNumbers):
                module.center_(observations)
        initialize_from_data(self, observations, None, None, is_first, generator=generator)
        for layer in self.head.output_layers:
            scale_(layer, q_std)

    def reduce_precision_(self, dtype: torch.dtype) -> "QNetwork":
        """Convert all but the output layers and the memory, which stay float32 (see heads.py and episode_memory.py)."""
        exact = [*self.head.output_layers, *([] if self.memory is None else [self.memory])]
        states = [copy.deepcopy(module.state_dict()) for module in exact]
        self.to(dtype)
        for module, state in zip(exact, states, strict=True):
            module.float().load_state_dict(state)
        return self

    def forward(
        self, observations: Num[Tensor, "B S *frame"], taus: Float32[Tensor, "B K"] | None = None,
        memory: Float32[Tensor, "L M"] | None = None, is_first: Bool[Tensor, "L T"] | None = None,
    ) -> QOutput:  # fmt: skip
        """Values of all actions, and what is remembered, if anything is.

        Args:
            observations: of a network with a memory those of L lanes, T steps of each in a row.
            taus: the probabilities that an implicit quantile head is asked for; None: those that it acts by.
            memory, is_first: what is remembered, and where episodes begin; see :class:`Memory`.
        """
        if torch.compiler.is_compiling():  # which fuses the layers' own computation of w
            return self.head(self.torso(observations), taus)
        with cached_weights(self._layers):
            features = self.torso(observations)
            if self.memory is None:
                return self.head(features, taus)
            features, memory = self.memory(features, memory, is_first)
            return self.head(features, taus)._replace(memory=memory)


def make_q_network(
    *,
    torso: str,
    head: str,
    normalizer: str,
    num_actions: int,
    stack_size: int,
    observation: ObservationSpec,
    hidden_units: int,
    generator: torch.Generator | None,
    center_pixels: bool = False,
    dueling: bool = False,
    noisy: bool = False,
    sizes: HeadSizes | None = None,
    impala_widths: Sequence[int] = IMPALA_WIDTHS,
    impala_pooled_size: int | None = None,
    memory: str | None = None,
    memory_units: int = DEFAULT_UNITS,
) -> QNetwork:
    """A Q-network of the torso ("nature", "vector", ...), head ("linear", ...) and normalizer of these names.

    ``hidden_units`` is the width of the last hidden layer (of each stream of dueling heads); ``center_pixels`` whether
    pixels are centered on the frames of ``initialize_from_data``, ``dueling`` whether value and advantage have streams
    of their own, ``noisy`` whether linear layers have a learned noise, but for the embedding of probabilities, which
    chooses nothing; ``sizes`` how many quantiles or atoms the head has, and so on; ``impala_widths`` and
    ``impala_pooled_size`` are those of ``ImpalaTorso``; ``memory`` is the name of a recurrent layer of ``memory_units``
    between torso and head, or None (agents of before say none of these). The parameters are drawn
    from ``generator`` (PyTorch's global one if None) as PyTorch's layers draw them, the same for every normalizer;
    ``initialize_from_data`` draws them as the weight-normalization paper does. Raises ConfigurationError for an unknown
    name, for frames that do not fit the torso, and for a memory that the normalizer has nothing for.
    """
    make_torso, is_residual = look_up(torso, TORSOS, what="torso")
    entry = look_up(head, HEADS, what="head")
    plain_normalizer = make_normalizer(normalizer)
    normalize = make_noisy(plain_normalizer) if noisy else plain_normalizer
    has_hidden_layer = dueling or entry.has_hidden_layer
    made_torso = make_torso(
        stack_size=stack_size,
        observation=observation,
        hidden_units=None if has_hidden_layer else hidden_units,
        center_pixels=center_pixels,
        normalizer=normalize,
        generator=generator,
        **({"widths": impala_widths, "pooled_size": impala_pooled_size} if is_residual else {}),
    )
    num_features = made_torso.num_features
    made_memory = None
    if memory is not None:
        made_memory = make_memory(memory, num_features, memory_units, normalizer=normalizer, generator=generator)
        num_features = made_memory.num_features
    distribution = entry.distribution(
        sizes or parse({}, HeadSizes)[0],
        partial(make_embedding, num_features=num_features, normalizer=plain_normalizer, generator=generator),
    )
    made_head = (DuelingHead if dueling else LinearHead)(
        num_actions=num_actions,
        distribution=distribution,
        make_stream=partial(
            make_stream,
            num_features,
            hidden_units=hidden_units if has_hidden_layer else None,
            normalizer=normalize,
            generator=generator,
        ),
    )
    return QNetwork(made_torso, made_head, made_memory)

"""DQN of a network with a memory: DRQN (Hausknecht & Stone 2015), and R2D2 (Kapturowski et al. 2019).

What is different from dqn.py stands here: it learns from sequences, whose values are computed anew from what was
remembered before them. The target is the same, and so is all else.
"""

from math import ceil
from typing import Any

import torch
from torch import Tensor, nn

from wn_rl.acting.collector import Round
from wn_rl.algorithms.dqn import DQN, Outputs
from wn_rl.losses.sequence_priority import compute_sequence_priority
from wn_rl.replay.sequences import SequenceReplay
from wn_rl.types import BatchLoss, QOutput, SequenceBatch


class RecurrentDQN(DQN):
    """Deep Q-learning from sequences of steps, with the arguments of ``DQN``."""

    replay: SequenceReplay

    def _store(self, played: Round) -> None:
        assert played.state.memory is not None
        self.replay.remember(played.state.memory)
        super()._store(played)

    def _initialize_from_data(self) -> None:
        """On whole sequences of random play, before which nothing is remembered."""
        settings = self.settings
        num_positions = settings.sequence.count_positions(settings.replay.n_step)
        num_sequences = ceil(settings.initialization_batch_size / num_positions)
        batch = self.replay.sample_sequences(num_sequences, self.generator)
        self.network.initialize_from_data(
            batch.observations, settings.initial_q_std, self.generator, is_first=batch.is_first
        )

    def _draw_batch(self) -> SequenceBatch:
        """Sequences that begin where learning does, after the burn-in."""
        settings = self.settings
        batch = self.replay.sample_sequences(settings.batch_size // settings.sequence.length, self.generator)
        self._draw_noise()
        return self.burn_in(batch)

    def burn_in(self, batch: SequenceBatch) -> SequenceBatch:
        """Play through the first observations, by both networks, so that each has a memory of its own making.

        What was stored comes from the network as it was then, and may mean nothing to the network of now. Nothing is
        learned of these steps, and no gradient goes through them (Section 3, Kapturowski et al. 2019).
        """
        num_steps, shape = self.settings.sequence.burn_in, batch.is_first.shape
        if num_steps == 0:
            return batch
        self.acting.sync(self.network)
        observations = batch.observations.unflatten(0, shape)
        past, is_first = observations[:, :num_steps].flatten(0, 1), batch.is_first[:, :num_steps]
        memory, target_memory = (
            network.compute(past, memory=batch.memory, is_first=is_first).memory
            for network in (self.acting, self.target)
        )
        assert memory is not None
        assert target_memory is not None
        return batch._replace(
            observations=observations[:, num_steps:].flatten(0, 1), is_first=batch.is_first[:, num_steps:],
            memory=memory, target_memory=target_memory,
        )  # fmt: skip

    def apply_networks(self, online: nn.Module, batch: Any) -> Outputs:
        """Both networks on whole sequences; s_tm1 and s_t are places in them."""
        num_sequences, num_positions = batch.is_first.shape
        every = torch.arange(num_sequences * num_positions, device=batch.num_steps.device)
        places_tm1 = every.view(num_sequences, -1)[:, : len(batch.a_tm1) // num_sequences].flatten()
        places_t = places_tm1 + batch.num_steps
        output = online(batch.observations, memory=batch.memory, is_first=batch.is_first)
        target = self.target.compute(batch.observations, memory=batch.target_memory, is_first=batch.is_first)
        selector = output.q_values.detach() if self.settings.double else target.q_values
        target_tm1 = target.q_values[places_tm1] if self.settings.munchausen else None
        return Outputs(_take(output, places_tm1), _take(target, places_t), selector[places_t], target_tm1)

    def compute_loss(self, online: nn.Module, batch: Any) -> BatchLoss:
        """That of every step; where nothing was done, loss and error are 0."""
        loss, error, q_tm1 = super().compute_loss(online, batch)
        return BatchLoss(loss, torch.where(batch.num_steps > 0, error, 0.0), q_tm1)

    def _note_errors(self, batch: SequenceBatch, error: Tensor) -> None:
        shape = (len(batch.index), -1)
        priority = compute_sequence_priority(
            error.view(shape), batch.num_steps.view(shape) > 0, max_share=self.settings.sequence.max_priority_share
        )
        self.replay.update_priorities(batch.index, priority)


def _take(output: QOutput, places: Tensor) -> QOutput:
    """What is said of some of the observations."""
    quantiles = None if output.quantiles is None else output.quantiles[places]
    logits = None if output.logits is None else output.logits[places]
    return output._replace(q_values=output.q_values[places], quantiles=quantiles, logits=logits)

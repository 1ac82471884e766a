"""A replay of sequences, for a network with a memory (Hausknecht & Stone 2015, Kapturowski et al. 2019).

It answers which steps are learned from together, and what was remembered before them. The k-th sequence of a lane are
the W positions from k P on (see lanes.py): B that are played through, T that are learned from, and n that these lead
to. It is complete when all of them are written, and gone when its first, or one of the S - 1 before it, is overwritten.
Episodes end and begin amid it. What was remembered is kept where sequences begin, that is once in P agent steps.

As rows of a ring, so sequences: the k-th of lane l lies in place l K + k mod K.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, Num
from torch import Tensor

from wn_rl.errors import ConfigurationError
from wn_rl.replay.replay import Replay
from wn_rl.replay.replay_settings import ReplaySettings
from wn_rl.replay.samplers import Sampler, UniformSampler
from wn_rl.replay.saved_state import copy_array, get_entry
from wn_rl.replay.sequence_settings import SequenceSection
from wn_rl.replay.storage import FrameStorage
from wn_rl.system.memory import send
from wn_rl.types import SequenceBatch, Step


class SequenceReplay(Replay):
    """A replay that is told what is remembered, and sampled by sequences.

    Args:
        settings, storage, device: see ``Replay``.
        sequence: B, T, P, and whether sequences begin with what was remembered or with nothing.
        sampler: which sequences are drawn.
        memory_size: M, the numbers that the network remembers of an episode.
    """

    def __init__(
        self, settings: ReplaySettings, *, storage: FrameStorage, sampler: Sampler, device: torch.device,
        sequence: SequenceSection, memory_size: int,
    ) -> None:  # fmt: skip
        super().__init__(settings, storage=storage, sampler=UniformSampler(), device=device)
        self.sequence, self._sequence_sampler = sequence, sampler
        self._num_positions, self._memory_size = sequence.count_positions(settings.n_step), memory_size
        self._stored_size = memory_size if sequence.start == "stored" else 0
        self._num_places = -(-self.lanes.num_slots // sequence.period)  # K: more of a lane are never stored
        self._memory: Float32[np.ndarray, "N K M"] = np.zeros((0, 0, 0), np.float32)
        self._first, self._stop = np.zeros((2, settings.num_lanes), np.int64)

    @property
    def num_sequences(self) -> int:
        """Those that can be sampled now."""
        return int((self._stop - self._first).sum())

    def required_bytes(self) -> int:
        """With what was remembered, and the sampler's books."""
        num_places = self.lanes.num_lanes * self._num_places
        own = 4 * num_places * self._stored_size + self._sequence_sampler.required_bytes(num_places)
        return super().required_bytes() + own

    def allocate(self) -> None:
        """Take the memory, once; see ``Replay``."""
        if self._is_allocated:
            return
        super().allocate()
        shape = (self.lanes.num_lanes, self._num_places, self._stored_size)
        self._memory = np.zeros(shape, np.float32)
        self._sequence_sampler.allocate(shape[0] * shape[1])

    def remember(self, memory: Float32[Tensor, "N M"]) -> None:
        """What every lane remembered before its newest observation; to be said before what was done there is added."""
        positions = self.lanes.heads - 1
        lanes = np.flatnonzero(positions % self.sequence.period == 0)
        if self._stored_size > 0 and len(lanes) > 0:
            places = positions[lanes] // self.sequence.period % self._num_places
            self._memory[lanes, places] = memory[torch.from_numpy(lanes).to(memory.device)].cpu().numpy()

    def start(self, frames: Num[np.ndarray, "N *frame"], mask: Bool[np.ndarray, "N"]) -> None:
        """Begin episodes; see ``Replay``."""
        super().start(frames, mask)
        self._count_sequences()

    def add(self, step: Step, actions: Int64[np.ndarray, "N"]) -> None:
        """Store an agent step of every lane; see ``Replay``."""
        super().add(step, actions)
        self._count_sequences()

    def _count_sequences(self) -> None:
        """Tell the sampler which sequences are complete now, and which are gone."""
        first, stop = self._find_complete()
        self._sequence_sampler.on_invalid(self._find_places(self._first, first))
        self._sequence_sampler.on_new(self._find_places(self._stop, stop))
        self._first, self._stop = first, stop

    def _find_complete(self) -> tuple[Int64[np.ndarray, "N"], Int64[np.ndarray, "N"]]:
        """The first complete sequence of each lane, and the one after the last."""
        period, tails = self.sequence.period, self.lanes.tails
        oldest = np.where(tails > 0, tails + self.lanes.stack_size - 1, 0)  # whose stack is whole, whatever its age
        stop = np.maximum((self.lanes.heads - self._num_positions) // period + 1, 0)
        return np.minimum(-(-oldest // period), stop), stop

    def _find_places(self, begin: Int64[np.ndarray, "N"], end: Int64[np.ndarray, "N"]) -> Int64[np.ndarray, "K"]:
        """The places of each lane's sequences from ``begin`` to ``end`` - 1."""
        counts = end - begin
        lanes = np.repeat(np.arange(len(counts)), counts)
        numbers = np.arange(len(lanes)) - np.repeat(np.cumsum(counts) - counts, counts) + begin[lanes]
        return lanes * self._num_places + numbers % self._num_places

    def _find_valid(self) -> Bool[np.ndarray, "N K"]:
        valid = np.zeros((self.lanes.num_lanes, self._num_places), np.bool_)
        valid.reshape(-1)[self._find_places(self._first, self._stop)] = True
        return valid

    def sample_sequences(self, num_sequences: int, generator: torch.Generator) -> SequenceBatch:
        """Draw L sequences, with replacement; ``generator`` (on the host) is the only source of chance.

        Their observations are all W of each. They hold what was remembered before the first for both networks.

        Raises:
            ValueError: no sequence is complete yet.
        """
        num_filled = min(int(self._stop.max()), self._num_places)
        places, weight = self._sequence_sampler.draw(
            num_sequences, valid=self._find_valid(), num_filled=num_filled, generator=generator
        )
        lanes, slots = np.divmod(places, self._num_places)
        numbers = self._first[lanes] + (slots - self._first[lanes]) % self._num_places
        rows = self.lanes.find_windows(lanes, numbers * self.sequence.period, self._num_positions)
        learned = rows[:, self.sequence.burn_in :][:, : self.sequence.length].reshape(-1)
        num_steps = self._columns.num_steps[learned].astype(np.int64)
        weights = np.where(num_steps > 0, np.repeat(weight, self.sequence.length), np.float32(0))
        floats = np.stack([self._columns.reward[learned], self._columns.discount[learned], weights])
        integers = np.stack([self._columns.action[learned].astype(np.int64), num_steps])
        r_t, discount_t, weights_there = send(torch.from_numpy(floats), self._device)
        a_tm1, steps_there = send(torch.from_numpy(integers), self._device)
        remembered = np.zeros((len(lanes), self._memory_size), np.float32)
        remembered[:, : self._stored_size] = self._memory[lanes, slots]
        memory = send(torch.from_numpy(remembered), self._device)
        return SequenceBatch(
            observations=self._read_stacks(rows), is_first=torch.from_numpy(self._find_first(rows)), memory=memory,
            target_memory=memory, a_tm1=a_tm1, r_t=r_t, discount_t=discount_t, num_steps=steps_there,
            weight=weights_there, index=torch.from_numpy(places),
        )  # fmt: skip

    def _find_first(self, rows: Int64[np.ndarray, "L W"]) -> Bool[np.ndarray, "L W"]:
        """Where an episode begins: after an observation at which nothing was done.

        Before a sequence's first, if that is one, nothing was remembered anyway.
        """
        is_first = np.zeros(rows.shape, np.bool_)
        is_first[:, 1:] = self._columns.num_steps[rows[:, :-1]] == 0
        return is_first

    def set_importance_exponent(self, exponent: float) -> None:
        """Weigh the draws of sequences from now on with this beta."""
        self._sequence_sampler.set_importance_exponent(exponent)

    def update_priorities(self, index: Tensor, priority: Tensor) -> None:
        """Tell the sampler how surprising the sequences of a batch were."""
        self._sequence_sampler.update_priorities(index, priority)

    def state_dict(self) -> dict[str, Any]:
        """That of a replay, what was remembered, and the sampler's books."""
        sequences = {"memory": torch.from_numpy(self._memory.copy()), "sampler": self._sequence_sampler.state_dict()}
        return {**super().state_dict(), "sequences": sequences}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over everything but the frames.

        Raises:
            ConfigurationError: the state is of other settings or damaged.
        """
        super().load_state_dict(state)
        sequences = get_entry(state, "sequences", dict)
        copy_array(self._memory, sequences, "memory")
        if not np.isfinite(self._memory).all():
            raise ConfigurationError("the saved replay's 'memory' is not finite: the checkpoint is damaged")
        self._first, self._stop = self._find_complete()
        books = get_entry(sequences, "sampler", dict)
        self._sequence_sampler.load_state_dict(books, valid=self._find_valid().reshape(-1))

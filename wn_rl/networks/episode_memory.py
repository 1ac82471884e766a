"""Memory, by name: a recurrent layer between torso and head, so that values depend on what was seen before.

Hausknecht & Stone 2015 ("DRQN") put an LSTM there, and so do Kapturowski et al. 2019 ("R2D2") and CleanRL's
pqn_atari_envpool_lstm.py. It computes in float32, whatever the rest does: what it holds is added to for hundreds of
steps, and bfloat16 would soon add nothing.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from wn_rl.nn.normalizers import RECURRENT_NORMALIZERS
from wn_rl.system.registry import look_up


class MemoryEntry(NamedTuple):
    """A memory by its name: PyTorch's layer, and the numbers that it holds per unit: an LSTM h and c, a GRU h."""

    layer: type[nn.LSTM] | type[nn.GRU]
    numbers_per_unit: int


DEFAULT_UNITS = 128  # CleanRL's pqn_atari_envpool_lstm.py; agents without a memory say none
MEMORIES = {"lstm": MemoryEntry(nn.LSTM, 2), "gru": MemoryEntry(nn.GRU, 1)}


def compute_memory_size(memory: str | None, memory_units: int) -> int:
    """M, the numbers that a network remembers of an episode; 0 without a memory."""
    return 0 if memory is None else MEMORIES[memory].numbers_per_unit * memory_units


class Memory(nn.Module):
    """Features of L lanes of T steps to outputs that depend on the steps before, back to an episode's first.

        h_t, c_t = LSTM(x_t, h_{t−1}, c_{t−1})        (a GRU has no c)

    What is remembered of a lane is one row of M numbers: h and c side by side, zeros before an episode's first step.

    Args:
        layer: an LSTM or GRU of one level, plain or weight-normalized.
        numbers_per_unit: of what it holds.
    """

    def __init__(self, layer: nn.RNNBase, *, numbers_per_unit: int) -> None:
        super().__init__()
        self.layer, self._numbers_per_unit = layer, numbers_per_unit
        self.num_features = layer.hidden_size
        self.size = numbers_per_unit * layer.hidden_size

    def forward(
        self,
        features: Float[Tensor, "B F"],
        memory: Float32[Tensor, "L M"] | None,
        is_first: Bool[Tensor, "L T"] | None,
    ) -> tuple[Float[Tensor, "B H"], Float32[Tensor, "L M"]]:
        """Outputs, in the features' precision, and what is remembered after the last step of each lane.

        Args:
            features: of L T steps, all of a lane in a row.
            memory: what is remembered before the first step of each lane; None: nothing.
            is_first: on the host; where an episode begins, before which nothing is remembered; None: nowhere. Where
                ``memory`` is None too, each step is a lane.
        """
        with torch.autocast(features.device.type, enabled=False):
            steps = features.float()
            if memory is None:
                memory = steps.new_zeros(len(steps if is_first is None else is_first), self.size)
            if is_first is None or not is_first.any():
                outputs, memory = self._apply_to_lanes(steps, memory)
            else:
                outputs, memory = self._apply_to_episodes(steps, memory, is_first)
        return outputs.to(features.dtype), memory

    def _apply_to_lanes(self, steps: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        outputs, state = self.layer(steps.unflatten(0, (len(memory), -1)).transpose(0, 1), self._to_state(memory))
        return outputs.transpose(0, 1).flatten(0, 1), self._to_memory(state)

    def _apply_to_episodes(self, steps: Tensor, memory: Tensor, is_first: Tensor) -> tuple[Tensor, Tensor]:
        """Lanes cut where episodes begin: a sequence each, all of them applied at once."""
        num_lanes, num_steps = is_first.shape
        begins = is_first.clone()
        begins[:, 0] = True
        places = begins.flatten().nonzero().flatten()  # the first step of each sequence
        lengths = places.diff(append=places.new_tensor([num_lanes * num_steps])).tolist()
        lane_begins = (places % num_steps == 0).nonzero().flatten().to(memory.device)  # the first sequence of each lane
        initial = memory.new_zeros(len(places), self.size)
        initial[lane_begins] = memory.masked_fill(is_first[:, :1].to(memory.device), 0.0)
        packed = pack_sequence(steps.split(lengths), enforce_sorted=False)
        outputs, state = self.layer(packed, self._to_state(initial))
        lane_ends = torch.cat([lane_begins[1:], lane_begins.new_tensor([len(places)])]) - 1
        return torch.cat(unpack_sequence(outputs)), self._to_memory(state)[lane_ends]

    def _to_state(self, memory: Tensor) -> Tensor | Sequence[Tensor]:
        """What PyTorch's layer takes and returns: [1, L, H], and two of them of an LSTM."""
        parts = tuple(part.unsqueeze(0).contiguous() for part in memory.chunk(self._numbers_per_unit, dim=1))
        return parts if len(parts) > 1 else parts[0]

    def _to_memory(self, state: Tensor | Sequence[Tensor]) -> Tensor:
        parts = [state] if isinstance(state, Tensor) else state
        return torch.cat([part[0] for part in parts], dim=1)


def make_memory(
    name: str, num_features: int, num_units: int, *, normalizer: str, generator: torch.Generator | None
) -> Memory:
    """The memory of this name, [F] -> [num_units], drawn as PyTorch's layers are: U(−1/√H, 1/√H).

    Raises ConfigurationError for an unknown name, and for a normalizer that has nothing for recurrent layers.
    """
    entry = look_up(name, MEMORIES, what="memory")
    normalize = look_up(normalizer, RECURRENT_NORMALIZERS, what="normalizer of a memory")
    layer = entry.layer(num_features, num_units, device="meta").to_empty(device=torch.get_default_device())
    for parameter in layer.parameters():
        bound = 1 / math.sqrt(num_units)
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return Memory(normalize(layer), numbers_per_unit=entry.numbers_per_unit)

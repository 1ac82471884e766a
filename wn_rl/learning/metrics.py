"""What is measured while learning, summed on the device and read once per chunk."""

import time

import torch
from jaxtyping import Float32
from torch import Tensor


class ChunkMetrics:
    """Means over the updates of one chunk, and the speed of the chunk.

    Adding never waits for the device; ``compute_and_reset`` does, once.
    """

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._sums: Tensor | None = None
        self._num_updates_before = 0
        self._agent_steps_before = 0
        self._began = time.perf_counter()
        self.latest: dict[str, float] = {}

    def start(self, agent_steps: int, num_updates: int) -> None:
        """Measure from here on."""
        self._sums = None
        self._num_updates_before, self._agent_steps_before = num_updates, agent_steps
        self._began = time.perf_counter()

    @torch.no_grad()
    def add(self, **values: Float32[Tensor, ""]) -> None:
        """Count one update by its values, the same ones every time; they are logged as ``train/<name>``."""
        newest = torch.stack([value.detach() for value in values.values()])
        self._names = tuple(values)
        self._sums = newest if self._sums is None else self._sums + newest

    def compute_and_reset(self, agent_steps: int, num_updates: int) -> dict[str, float]:
        """The chunk's means and speeds under the names that loggers show, and start the next chunk."""
        seconds = max(time.perf_counter() - self._began, 1e-9)
        updates = num_updates - self._num_updates_before
        row = {
            "speed/agent_steps_per_second": (agent_steps - self._agent_steps_before) / seconds,
            "speed/updates_per_second": updates / seconds,
        }
        if self._sums is not None:
            means = (self._sums / updates).tolist()
            row |= {f"train/{name}": mean for name, mean in zip(self._names, means, strict=True)}
        self.start(agent_steps, num_updates)
        self.latest = row
        return row

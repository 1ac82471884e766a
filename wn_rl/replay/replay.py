"""The replay: every agent step stored once, transitions sampled from it.

It answers what may be sampled, and what a sampled transition is made of. Frames lie in a ``FrameStorage``,
the rest in ``Columns``; ``Lanes`` knows the order of observations, ``Accumulator`` what r_t and discount_t
are, and a ``Sampler`` which transitions are drawn. Frames are stored once per agent step (and once more
per episode, for its first observation), stacks are put together when sampled.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64, Num
from torch import Tensor

from wn_rl.errors import ConfigurationError
from wn_rl.replay.accumulator import Accumulator
from wn_rl.replay.columns import BYTES_PER_ROW, Columns
from wn_rl.replay.lanes import Lanes
from wn_rl.replay.replay_settings import ReplaySettings
from wn_rl.replay.samplers import Sampler
from wn_rl.replay.saved_state import get_entry
from wn_rl.replay.storage import FrameStorage, stack_frames
from wn_rl.system.memory import compute_free_bytes, describe_need, send
from wn_rl.types import Batch, Step


class Replay:
    """Transitions of N environments that step together, one lane of C // N observations each.

    Args:
        settings: what stored transitions depend on.
        storage: where frames lie.
        sampler: which transitions are drawn.
        device: where batches are delivered.

    Raises:
        ConfigurationError: a setting is out of range, or ``capacity`` too small for a single transition.
    """

    def __init__(
        self, settings: ReplaySettings, *, storage: FrameStorage, sampler: Sampler, device: torch.device
    ) -> None:
        settings.check()
        self._settings, self.observation = settings, settings.observation
        num_slots = settings.capacity // settings.num_lanes
        self.lanes = Lanes(num_lanes=settings.num_lanes, num_slots=num_slots, stack_size=settings.stack_size)
        self._accumulator = Accumulator(settings)
        self._storage = storage
        self._sampler = sampler
        self._device = device
        self._columns = Columns(0)
        self._every_lane = np.arange(settings.num_lanes)
        self._is_allocated = False

    def required_bytes(self) -> int:
        """Bytes that a full replay takes on the storage's device and, if another, the host together."""
        num_rows = self.lanes.num_rows
        others = num_rows * BYTES_PER_ROW + self._sampler.required_bytes(num_rows)
        return self._storage.required_bytes(num_rows, self.observation) + others

    def describe_memory(self) -> str:
        """The storage, what a full replay takes, where, and how much is free there."""
        device = self._storage.device
        need = describe_need(self.required_bytes(), free=compute_free_bytes(device), device=device)
        return f"replay.storage={self._storage.name}: up to {need}"

    def check_memory(self) -> None:
        """Make sure that a full replay will fit.

        Raises:
            ConfigurationError: memory is short; the message names a capacity that fits.
        """
        device, needed = self._storage.device, self.required_bytes()
        free = compute_free_bytes(device)
        if free is None or needed <= free:
            return
        capacity = self._settings.capacity
        fitting = int(capacity * free / needed * 0.9)  # a tenth is left for the rest of the run
        alternative = f", or {self._storage.smaller_alternative}" if self._storage.smaller_alternative else ""
        raise ConfigurationError(
            f"replay.capacity={capacity} needs {describe_need(needed, free=free, device=device)};"
            f" set replay.capacity={fitting} or less{alternative}"
        )

    def allocate(self) -> None:
        """Take the memory, once; ``start`` and ``load_state_dict`` do so if nobody did.

        Raises:
            ConfigurationError: memory is short.
        """
        if self._is_allocated:
            return
        self.check_memory()
        self._columns = Columns(self.lanes.num_rows)
        self._storage.allocate(self.lanes.num_rows, self.observation)
        self._sampler.allocate(self.lanes.num_rows)
        self._is_allocated = True

    @property
    def num_valid(self) -> int:
        """Transitions that can be sampled now."""
        return int(np.count_nonzero(self._columns.valid))

    @property
    def num_agent_steps_stored(self) -> int:
        """Agent steps whose action is still stored, those of incomplete transitions included."""
        return int(np.count_nonzero(self._columns.num_steps))

    def start(self, frames: Num[np.ndarray, "N *frame"], mask: Bool[np.ndarray, "N"]) -> None:
        """Begin an episode with its first frame in each lane of ``mask``; other frames are ignored.

        Raises:
            ValueError: an episode is running there: it must end in ``add`` or be cut first.
        """
        if (mask & self.lanes.is_running).any():
            raise ValueError(f"episodes are running in lanes {np.flatnonzero(mask & self.lanes.is_running)}")
        self.allocate()
        lanes = np.flatnonzero(mask)
        self._push(lanes, frames[lanes], is_first=True)

    def add(self, step: Step, actions: Int64[np.ndarray, "N"]) -> None:
        """Store what one agent step in every lane brought: its newest frame and the reward of its action.

        Args:
            step: the environments' answer; where an episode ended, with the final observation's frame.
            actions: what was done, in [0, 256).

        Raises:
            ValueError: a lane has no running episode, or an action does not fit into a byte.
        """
        if not self.lanes.is_running.all():
            raise ValueError(f"no episode is running in lanes {np.flatnonzero(~self.lanes.is_running)}: start it")
        if actions.min() < 0 or actions.max() > 255:
            raise ValueError(f"actions {actions} are not all in [0, 256)")
        recent = self.lanes.find_recent(self._settings.n_step)
        self._columns.action[recent[:, 0]] = actions
        complete = self._accumulator.add(self._columns, rows=recent, step=step)
        self._push(self._every_lane, step.frame, is_first=False)
        self._complete(complete)
        self.lanes.end_episodes(step.ended)

    def cut_episodes(self) -> None:
        """End every running episode here, as a time limit would: what is stored becomes complete."""
        self._complete(self._accumulator.cut(self.lanes.find_recent(self._settings.n_step)))
        self.lanes.end_episodes(self.lanes.is_running)

    def _push(self, lanes: Int64[np.ndarray, "K"], frames: Num[np.ndarray, "K *frame"], *, is_first: bool) -> None:
        rows, invalid = self.lanes.push(lanes, self._columns, is_first=is_first)
        self._sampler.on_invalid(invalid)
        self._storage.write(rows, frames)

    def _complete(self, rows: Int64[np.ndarray, "K"]) -> None:
        self._columns.valid[rows] = True
        self._sampler.on_new(rows)

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Draw a minibatch, with replacement; ``generator`` (on the host) is the only source of chance.

        Raises:
            ValueError: no transition is complete yet.
        """
        valid = self._columns.valid.reshape(self.lanes.num_lanes, -1)
        rows, weight = self._sampler.draw(
            batch_size, valid=valid, num_filled=self.lanes.num_filled, generator=generator
        )
        s_tm1, s_t = self._read_stacks(np.stack([rows, self.lanes.find_next(rows, self._columns)])).chunk(2)
        # Two transfers instead of five.
        floats = np.stack([self._columns.reward[rows], self._columns.discount[rows], weight])
        integers = np.stack([self._columns.action[rows].astype(np.int64), rows])
        r_t, discount_t, weights = send(torch.from_numpy(floats), self._device)
        a_tm1, index = send(torch.from_numpy(integers), self._device)
        return Batch(
            s_tm1=s_tm1, a_tm1=a_tm1, r_t=r_t, discount_t=discount_t, s_t=s_t, weight=weights, index=index
        )  # fmt: skip

    def _read_stacks(self, rows: Int64[np.ndarray, "T B"]) -> Num[Tensor, "TB S *frame"]:
        """The stacks whose newest frames are in ``rows``, on the device where batches are delivered."""
        frame_major = np.ascontiguousarray(self.lanes.find_stacks(rows.reshape(-1), self._columns).T)
        frames = self._storage.read(torch.from_numpy(frame_major).view(-1))
        return stack_frames(frames.view(*frame_major.shape, *self.observation.shape)).to(self._device)

    def set_gamma(self, gamma: float) -> None:
        """Store the steps from now on with this discount, which is not saved: say it anew after loading."""
        self._accumulator.set_gamma(gamma)

    def set_importance_exponent(self, exponent: float) -> None:
        """Weigh the draws from now on with this beta, where they are weighed; it is not saved either."""
        self._sampler.set_importance_exponent(exponent)

    def update_priorities(self, index: Tensor, priority: Tensor) -> None:
        """Tell the sampler what the loss reports of the transitions of a batch."""
        self._sampler.update_priorities(index, priority)

    def read_frames(self, lane: int, start: int, stop: int) -> Num[np.ndarray, "K *frame"]:
        """A copy of the frames at positions ``start`` to ``stop`` - 1 of a lane, for saving."""
        rows = torch.from_numpy(self.lanes.find_range(lane, start, stop))
        return self._storage.read(rows).cpu().numpy()

    def restore_frames(self, lane: int, start: int, frames: Num[np.ndarray, "K *frame"]) -> None:
        """Put back what ``read_frames`` returned."""
        self._storage.write(self.lanes.find_range(lane, start, start + len(frames)), frames)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the frames (for those see persistence.py): plain containers and copied tensors."""
        return {
            "settings": self._settings.to_json(),
            "columns": self._columns.state_dict(),
            "lanes": self.lanes.state_dict(),
            "accumulator": self._accumulator.state_dict(),
            "sampler": self._sampler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over everything but the frames.

        Raises:
            ConfigurationError: the state is of other settings or damaged.
        """
        saved_settings, settings = get_entry(state, "settings", str), self._settings.to_json()
        if saved_settings != settings:
            raise ConfigurationError(
                f"the saved replay has the settings {saved_settings[:400]}, this run {settings}: resume with "
                "the settings that it was started with"
            )
        self.allocate()
        self._columns.load_state_dict(get_entry(state, "columns", dict))
        self.lanes.load_state_dict(get_entry(state, "lanes", dict))
        self._accumulator.load_state_dict(get_entry(state, "accumulator", dict))
        self._columns.check(n_step=self._settings.n_step, stack_size=self._settings.stack_size)
        self._sampler.load_state_dict(get_entry(state, "sampler", dict), valid=self._columns.valid)

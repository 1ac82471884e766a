"""A second replay, of whole episodes in Python lists, that says which transitions the real one must hold.

``History`` plays made-up episodes into a replay and remembers them; ``list_transitions`` is the oracle.
Frames carry a number of their own, so that two frames are equal only if they are the same one.
"""

from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from wn_rl.replay.replay import Replay
from wn_rl.replay.replay_settings import ReplaySettings
from wn_rl.replay.samplers import Draw, UniformSampler
from wn_rl.replay.storage import make_storage
from wn_rl.types import Batch, ObservationSpec, Step

FRAME_SHAPE = (2, 3)
CPU = torch.device("cpu")
CUDA = torch.device("cuda")


class Settings(NamedTuple):
    num_lanes: int
    num_slots: int
    stack_size: int
    n_step: int
    gamma: float
    reward_clip: float | None
    life_loss_ends_discount: bool


@dataclass
class Episode:
    """Frame numbers (one more than actions), and what each action brought."""

    frames: list[int]
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    lives_lost: list[bool] = field(default_factory=list)
    terminated: bool = False
    over: bool = False


def look_ahead(e: Episode, t: int, s: Settings) -> tuple[float, float, int, bool]:
    """Of the action at observation t: r, discount, the observation that follows, and whether that is all of it."""
    r, discount, u, final, steps = np.float32(0), 1.0, t, False, len(e.actions)
    while u < min(t + s.n_step, steps) and not final:
        clip = s.reward_clip or np.inf
        r += np.float32(s.gamma ** (u - t)) * np.float32(min(max(e.rewards[u], -clip), clip))
        u += 1
        final = (e.terminated and u == steps) or (e.lives_lost[u - 1] and s.life_loss_ends_discount)
        discount = 0.0 if final else s.gamma ** (u - t)
    return r.item(), np.float32(discount).item(), u, final or u == t + s.n_step or e.over


def list_transitions(episodes: list[Episode], s: Settings) -> list[tuple[Any, ...]]:
    """Every transition of one lane that may be sampled: (stack, action, r, discount, next stack)."""
    num_frames, before, transitions = sum(len(e.frames) for e in episodes), 0, []
    for e in episodes:
        for t in range(len(e.actions)):
            r, discount, u, known = look_ahead(e, t, s)
            padded = [0] * s.stack_size + e.frames
            stacks = [padded[v + 1 : v + 1 + s.stack_size] for v in (t, u)]
            if known and before + max(t - s.stack_size + 1, 0) >= num_frames - s.num_slots:
                transitions.append((stacks[0], e.actions[t], r, discount, stacks[1]))
        before += len(e.frames)
    return transitions


class EverySampler(UniformSampler):
    """Draws every valid row once, and keeps the books that a prioritized sampler would keep."""

    def __init__(self) -> None:
        self.noted: set[int] = set()

    def on_new(self, rows: np.ndarray) -> None:
        assert not self.noted & set(rows.tolist())
        self.noted |= set(rows.tolist())

    def on_invalid(self, rows: np.ndarray) -> None:
        self.noted -= set(rows.tolist())

    def draw(self, batch_size: int, *, valid: np.ndarray, num_filled: int, generator: torch.Generator) -> Draw:
        rows = np.flatnonzero(valid)
        assert self.noted == set(rows.tolist())
        return Draw(rows, np.ones(len(rows), np.float32))


def make_settings(s: Settings) -> ReplaySettings:
    return ReplaySettings(
        capacity=s.num_lanes * s.num_slots or 1, num_lanes=s.num_lanes,
        observation=ObservationSpec(FRAME_SHAPE, "uint8"), stack_size=s.stack_size, n_step=s.n_step, gamma=s.gamma,
        reward_clip=s.reward_clip,
        life_loss_ends_discount=s.life_loss_ends_discount,
    )  # fmt: skip


def make_replay(s: Settings, sampler: Any = None, device: torch.device = CPU, storage: str = "device") -> Replay:
    sampler = EverySampler() if sampler is None else sampler
    return Replay(make_settings(s), storage=make_storage(storage, device), sampler=sampler, device=device)


def draw_frame(number: int) -> np.ndarray:
    """The frame of this number (of at most 6 bytes)."""
    return np.frombuffer(number.to_bytes(6, "little"), np.uint8).reshape(FRAME_SHAPE)


def read_numbers(stack: torch.Tensor) -> list[int]:
    """The numbers of a stack's frames."""
    return [int.from_bytes(frame.numpy().tobytes(), "little") for frame in stack]


def read_batch(batch: Batch) -> list[tuple[Any, ...]]:
    """The batch in the oracle's form, sorted."""

    columns = (batch.a_tm1.tolist(), batch.r_t.tolist(), batch.discount_t.tolist())
    stacks = [read_numbers(stack) for stack in batch.s_tm1], [read_numbers(stack) for stack in batch.s_t]
    return sorted(zip(stacks[0], *columns, stacks[1], strict=True))


def drop_repeats(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """A sorted batch with each transition once."""
    return [item for i, item in enumerate(found) if i == 0 or item != found[i - 1]]


class History:
    """Plays made-up rounds into replays and remembers the episodes of every lane."""

    def __init__(self, settings: Settings, *replays: Replay) -> None:
        self.settings = settings
        self.replays = list(replays)
        self.lanes: list[list[Episode]] = [[] for _ in range(settings.num_lanes)]
        self._count = 0
        self._start(np.ones(settings.num_lanes, np.bool_))

    def _make_frames(self) -> tuple[list[int], np.ndarray]:
        numbers = [self._count * 1_000 + lane + 1 for lane in range(self.settings.num_lanes)]
        self._count += 1
        return numbers, np.stack([draw_frame(number) for number in numbers])

    def _start(self, mask: np.ndarray) -> None:
        numbers, frames = self._make_frames()
        for lane in np.flatnonzero(mask):
            self.lanes[lane].append(Episode(frames=[numbers[lane]]))
        for replay in self.replays:
            replay.start(frames, mask)

    def cut(self) -> None:
        for episodes in self.lanes:
            episodes[-1].over = True
        for replay in self.replays:
            replay.cut_episodes()
        self._start(np.ones(self.settings.num_lanes, np.bool_))

    def play(self, events: tuple[str, ...]) -> None:
        """One agent step in every lane; an event names what happens there: "go", "life", "life and limit"."""
        numbers, frames = self._make_frames()
        actions = np.array([number % 251 for number in numbers])
        # All distinct, half of them beyond a clip of 1, and not exact in binary.
        rewards = np.array([(number * 0.0137) % 4 - 2 for number in numbers], np.float32)
        names = ("terminal", "limit", "life")
        flags = {name: np.array([name in event for event in events]) for name in names}
        for lane, episodes in enumerate(self.lanes):
            episode = episodes[-1]
            episode.frames.append(numbers[lane])
            episode.actions.append(int(actions[lane]))
            episode.rewards.append(float(rewards[lane]))
            episode.lives_lost.append(bool(flags["life"][lane]))
            episode.terminated = bool(flags["terminal"][lane])
            episode.over = episode.terminated or bool(flags["limit"][lane])
        step = Step(frames, rewards, flags["terminal"], flags["limit"], flags["life"])
        for replay in self.replays:
            replay.add(step, actions)
        frames[:] = 255  # an environment may use its buffer again
        if step.ended.any():
            self._start(step.ended)

    def run(self, rounds: list[tuple[str, ...] | None]) -> None:
        """Play these rounds; None cuts the episodes."""
        for events in rounds:
            if events is None:
                self.cut()
            else:
                self.play(events)

    def list_transitions(self) -> list[tuple[Any, ...]]:
        """What the oracle says of all lanes, sorted."""
        lanes = (list_transitions(episodes, self.settings) for episodes in self.lanes)
        return sorted(chain.from_iterable(lanes))


EVENTS = ["go"] * 6 + ["terminal", "limit", "terminal and limit", "life", "life and limit"]


@st.composite
def draw_plays(draw: st.DrawFn, max_rounds: int = 40) -> tuple[Settings, list[tuple[str, ...] | None]]:
    """Settings of a small replay, and rounds to play into it."""
    stack_size, n_step = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    settings = Settings(
        num_lanes=draw(st.integers(1, 3)),
        num_slots=stack_size + n_step + 2 + draw(st.integers(0, 12)),
        stack_size=stack_size,
        n_step=n_step,
        gamma=draw(st.sampled_from([0.5, 0.9, 0.99])),
        reward_clip=draw(st.sampled_from([None, 1.0])),
        life_loss_ends_discount=draw(st.booleans()),
    )
    events = st.tuples(*[st.sampled_from(EVENTS)] * settings.num_lanes)
    rounds = draw(st.lists(st.one_of(*[events] * 12, st.none()), max_size=max_rounds))
    return settings, rounds

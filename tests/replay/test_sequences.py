"""The replay of sequences holds exactly those that the lanes had, with what was remembered before them."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.replay_oracle import (
    CPU,
    EVENTS,
    Episode,
    EverySampler,
    History,
    Settings,
    look_ahead,
    make_settings,
    read_numbers,
)
from wn_rl.errors import ConfigurationError
from wn_rl.replay.prioritized_sampler import PrioritizedSampler
from wn_rl.replay.samplers import Sampler, UniformSampler
from wn_rl.replay.sequence_settings import SequenceSection
from wn_rl.replay.sequences import SequenceReplay
from wn_rl.replay.storage import make_storage
from wn_rl.types import SequenceBatch

MEMORY_SIZE = 3
Rounds = list[tuple[str, ...] | None]


def make_section(length: int = 3, overlap: int = 1, burn_in: int = 2, start: str = "stored") -> SequenceSection:
    return SequenceSection(length=length, overlap=overlap, burn_in=burn_in, start=start, max_priority_share=0.9)


def make_sequences(s: Settings, section: SequenceSection, sampler: Sampler | None = None) -> SequenceReplay:
    return SequenceReplay(
        make_settings(s), storage=make_storage("ram", CPU), sampler=sampler or EverySampler(), device=CPU,
        sequence=section, memory_size=MEMORY_SIZE,
    )  # fmt: skip


def make_memory(e: Episode) -> list[float]:
    """What is remembered before the newest observation: nothing before an episode's first, else the frames so far."""
    return [0.0] * MEMORY_SIZE if len(e.frames) == 1 else [float(e.frames[-1]), float(len(e.frames)), -0.5]


class RememberingHistory(History):
    """One whose replays are told what is remembered."""

    def play(self, events: tuple[str, ...]) -> None:
        memory = torch.tensor([make_memory(episodes[-1]) for episodes in self.lanes])
        for replay in self.replays:
            assert isinstance(replay, SequenceReplay)
            replay.remember(memory)
        super().play(events)


def list_sequences(episodes: list[Episode], s: Settings, section: SequenceSection) -> list[tuple[Any, ...]]:
    """Every sequence of a lane that may be sampled: memory, and of each observation its stack, whether it is an
    episode's first, and if it is learned from, (action, r, discount, steps until s_t, weight).
    """
    places = [(e, t) for e in episodes for t in range(len(e.frames))]
    num_overwritten, sequences = max(len(places) - s.num_slots, 0), []
    for begin in range(0, len(places), section.length - section.overlap):
        observed = places[begin : begin + section.burn_in + section.length + s.n_step]
        if len(observed) < section.burn_in + section.length + s.n_step:
            continue
        if num_overwritten > 0 and begin < num_overwritten + s.stack_size - 1:
            continue
        steps = []
        for number, (e, t) in enumerate(observed):
            stack = ([0] * s.stack_size + e.frames)[t + 1 : t + 1 + s.stack_size]
            learned: Any = None
            if section.burn_in <= number < section.burn_in + section.length:
                learned = (0, 0.0, 0.0, 0, 0.0)
                if t < len(e.actions):
                    r, discount, u, known = look_ahead(e, t, s)
                    assert known
                    learned = (e.actions[t], r, discount, u - t, 1.0)
            steps.append((stack, number > 0 and t == 0, learned))
        e, t = observed[0]
        acted = t < len(e.actions)  # else nobody asked what is remembered, and nothing follows from it
        memory = make_memory(Episode(frames=e.frames[: t + 1])) if acted and section.start == "stored" else [0.0] * 3
        sequences.append((steps[0][0], memory if acted else None, steps))
    return sequences


def read_sequences(batch: SequenceBatch, section: SequenceSection) -> list[tuple[Any, ...]]:
    """The batch in the oracle's form."""
    num_sequences, num_positions = batch.is_first.shape
    stacks = [read_numbers(stack) for stack in batch.observations]
    columns = zip(
        *(column.tolist() for column in (batch.a_tm1, batch.r_t, batch.discount_t, batch.num_steps, batch.weight)),
        strict=True,
    )
    sequences = []
    for number in range(num_sequences):
        own = stacks[number * num_positions : (number + 1) * num_positions]
        learned = [None] * section.burn_in + [next(columns) for _ in range(section.length)]
        learned += [None] * (num_positions - len(learned))
        steps = list(zip(own, batch.is_first[number].tolist(), learned, strict=True))
        sequences.append((own[0], batch.memory[number].tolist(), steps))
    return sequences


def check_sequences(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> None:
    assert len(found) == len(expected)
    pairs = zip(*(sorted(entries, key=lambda entry: str(entry[2])) for entries in (found, expected)), strict=True)
    for one, other in pairs:
        assert one[2] == other[2]
        assert one[1] == other[1] or other[1] is None


@st.composite
def draw_plays(draw: st.DrawFn) -> tuple[Settings, SequenceSection, Rounds]:
    stack_size, n_step, length = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    section = make_section(
        length=length, overlap=draw(st.integers(0, length - 1)), burn_in=draw(st.integers(0, 3)),
        start=draw(st.sampled_from(["stored", "stored", "zeros"])),
    )  # fmt: skip
    smallest = max(section.count_positions(n_step) + section.period + stack_size - 2, stack_size + n_step + 2)
    its_settings = Settings(
        num_lanes=draw(st.integers(1, 3)), num_slots=smallest + draw(st.integers(0, 12)), stack_size=stack_size,
        n_step=n_step, gamma=0.9, reward_clip=draw(st.sampled_from([None, 1.0])),
        life_loss_ends_discount=draw(st.booleans()),
    )  # fmt: skip
    events = st.tuples(*[st.sampled_from(EVENTS)] * its_settings.num_lanes)
    return its_settings, section, draw(st.lists(st.one_of(*[events] * 12, st.none()), max_size=50))


def list_all(history: History, section: SequenceSection) -> list[tuple[Any, ...]]:
    return [entry for lane in history.lanes for entry in list_sequences(lane, history.settings, section)]


@settings(max_examples=200, deadline=None)
@given(draw_plays())
def test_exactly_the_complete_sequences_are_sampled(plays: tuple[Settings, SequenceSection, Rounds]) -> None:
    """The oracle knows whole lanes: a bug of ends, cuts, wrap-around, n-step sums or what is remembered shows here."""
    its_settings, section, rounds = plays
    replay = make_sequences(its_settings, section)
    history = RememberingHistory(its_settings, replay)
    history.run(rounds)
    expected = list_all(history, section)
    assert replay.num_sequences == len(expected)
    if expected:
        check_sequences(read_sequences(replay.sample_sequences(1, torch.Generator()), section), expected)


PLAIN = Settings(  # with an odd number of slots: those of rows and of sequences go round at different times
    num_lanes=2, num_slots=25, stack_size=2, n_step=2, gamma=0.5, reward_clip=None, life_loss_ends_discount=False
)


def play(sampler: Sampler, num_rounds: int, s: Settings = PLAIN) -> RememberingHistory:
    history = RememberingHistory(s, make_sequences(s, make_section(), sampler))
    history.run([("terminal" if number % 7 == 6 else "go",) * s.num_lanes for number in range(num_rounds)])
    return history


def test_the_oracle_agrees_with_a_lane_worked_by_hand() -> None:
    """Frames 1, 1001, and after the terminal, whose final frame is 2001, 3001, ...; two are played through."""
    its_settings = PLAIN._replace(num_lanes=1)
    history = RememberingHistory(its_settings, make_sequences(its_settings, make_section()))
    history.run([("go",), ("terminal",), ("go",), ("go",), ("go",)])
    (a1, a2), rewards = history.lanes[0][1].actions[:2], history.lanes[0][1].rewards
    (sequence,) = list_sequences(history.lanes[0], its_settings, make_section())
    assert sequence == (
        [0, 1], [0.0, 0.0, 0.0],
        [
            ([0, 1], False, None), ([1, 1001], False, None), ([1001, 2001], False, (0, 0.0, 0.0, 0, 0.0)),
            ([0, 3001], True, (a1, pytest.approx(rewards[0] + 0.5 * rewards[1]), 0.25, 2, 1.0)),
            ([3001, 4001], False, (a2, pytest.approx(rewards[1] + 0.5 * rewards[2]), 0.25, 2, 1.0)),
            ([4001, 5001], False, None), ([5001, 6001], False, None),
        ],
    )  # fmt: skip


@pytest.mark.parametrize(
    "make_sampler",
    [UniformSampler, partial(PrioritizedSampler, priority_exponent=0.5, importance_exponent=0.5)],
    ids=["uniform", "prioritized"],
)
@pytest.mark.parametrize("num_rounds", [7, 20, 60])
def test_sampling_reaches_every_sequence_and_no_other(make_sampler: Any, num_rounds: int) -> None:
    history = play(make_sampler(), num_rounds)
    expected = list_all(history, make_section())
    replay = history.replays[0]
    assert isinstance(replay, SequenceReplay)
    found = read_sequences(
        replay.sample_sequences(40 * len(expected), torch.Generator().manual_seed(0)), make_section()
    )
    distinct = {str(entry[2]): entry for entry in found}
    check_sequences(list(distinct.values()), expected)


def test_nothing_is_sampled_before_a_sequence_is_complete() -> None:
    replay = play(UniformSampler(), 5).replays[0]
    assert isinstance(replay, SequenceReplay)
    with pytest.raises(ValueError, match="no complete"):
        replay.sample_sequences(2, torch.Generator())


def test_a_surprising_sequence_is_drawn_more_often_and_all_its_steps_weigh_less() -> None:
    replay = play(PrioritizedSampler(priority_exponent=1.0, importance_exponent=1.0), 60).replays[0]
    assert isinstance(replay, SequenceReplay)
    index = replay.sample_sequences(100, torch.Generator().manual_seed(0)).index.unique()
    replay.update_priorities(index, torch.where(index == index[3], 9.999, 0.999))
    batch = replay.sample_sequences(1000, torch.Generator().manual_seed(1))
    is_chosen = batch.index == index[3]
    assert is_chosen.float().mean().item() == pytest.approx(10 / (9 + len(index)), abs=0.02)
    expected = torch.where(is_chosen, 0.1, 1.0).unsqueeze(1) * (batch.num_steps.view(1000, -1) > 0)
    torch.testing.assert_close(batch.weight.view(1000, -1), expected)


@pytest.mark.parametrize("start", ["stored", "zeros"])
def test_what_is_loaded_is_sampled_as_what_was_saved(start: str) -> None:
    make = partial(PrioritizedSampler, priority_exponent=0.5, importance_exponent=0.5)
    section = make_section(start=start)
    replays = [make_sequences(PLAIN, section, make()) for _ in range(2)]
    history = RememberingHistory(PLAIN, replays[0])
    history.run([("limit" if number % 5 == 4 else "go",) * 2 for number in range(40)])
    replays[0].update_priorities(torch.tensor([1, 2]), torch.tensor([3.0, 0.5]))
    state = replays[0].state_dict()
    replays[1].load_state_dict(state)
    for lane, (tail, head) in enumerate(zip(replays[0].lanes.tails, replays[0].lanes.heads, strict=True)):
        replays[1].restore_frames(lane, int(tail), replays[0].read_frames(lane, int(tail), int(head)))
    history.replays = replays  # type: ignore[assignment]  # a list of the subclass
    history.run([("go", "terminal"), None, ("go", "go"), ("go", "go"), ("go", "go")])
    batches = [replay.sample_sequences(20, torch.Generator().manual_seed(0)) for replay in replays]
    for name, one, other in zip(SequenceBatch._fields, *batches, strict=True):
        assert one is None or torch.equal(one, other), name
    assert batches[0].memory.any() == (start == "stored")


@pytest.mark.parametrize(
    "damage",
    [
        lambda memory: memory[:, :-1], lambda memory: memory.double(),
        lambda memory: torch.full_like(memory, torch.nan), lambda memory: None,
    ],
)  # fmt: skip
def test_a_damaged_memory_is_refused(damage: Any) -> None:
    replay = play(UniformSampler(), 40).replays[0]
    state = replay.state_dict()
    state["sequences"]["memory"] = damage(state["sequences"]["memory"])
    with pytest.raises(ConfigurationError, match="the saved replay"):
        make_sequences(PLAIN, make_section(), UniformSampler()).load_state_dict(state)


def test_what_is_remembered_counts_as_memory_that_is_needed() -> None:
    sizes = {
        start: make_sequences(PLAIN, make_section(start=start), UniformSampler()).required_bytes()
        for start in ("stored", "zeros")
    }
    num_sequences = PLAIN.num_lanes * 13  # one more than half of the 25 slots
    assert sizes["stored"] - sizes["zeros"] == num_sequences * MEMORY_SIZE * 4


@pytest.mark.parametrize(("burn_in", "overlap", "stack_size"), [(0, 0, 1), (2, 1, 3), (1, 3, 2)])
def test_the_smallest_capacity_always_holds_a_sequence_and_no_slot_is_asked_for_in_vain(
    burn_in: int, overlap: int, stack_size: int
) -> None:
    section = make_section(length=4, burn_in=burn_in, overlap=overlap)
    sizes = {"num_envs": 2, "stack_size": stack_size, "n_step": 2, "batch_size": 8, "warmup_agent_steps": 100}
    with pytest.raises(ConfigurationError, match="where there is always a sequence") as refusal:
        section.check(capacity=1, **sizes)
    smallest = int(str(refusal.value).partition(" = ")[2].partition(",")[0])
    section.check(capacity=smallest, **sizes)
    its_settings = PLAIN._replace(num_slots=smallest // 2, stack_size=stack_size)
    history = RememberingHistory(its_settings, make_sequences(its_settings, section))
    replay, least = history.replays[0], 100
    assert isinstance(replay, SequenceReplay)
    for number in range(200):
        history.run([("limit" if number % 5 == 4 else "go", "go")])
        if number >= section.count_positions(2) - 2:  # the rounds of the shortest warm-up
            least = min(least, *(replay._stop - replay._first).tolist())
    assert least == 1


def test_the_shortest_warm_up_ends_with_a_sequence() -> None:
    section = make_section()
    sizes = {"num_envs": 2, "stack_size": 2, "n_step": 2, "batch_size": 6, "capacity": 100}
    with pytest.raises(ConfigurationError, match="to at least") as refusal:
        section.check(warmup_agent_steps=1, **sizes)
    num_rounds = int(str(refusal.value).rpartition(" ")[2]) // 2
    counts = [play(UniformSampler(), number).replays[0].num_sequences for number in (num_rounds - 1, num_rounds)]  # type: ignore[attr-defined]
    assert counts == [0, 2]


def test_memory_on_a_view_that_changes_is_copied() -> None:
    replay = make_sequences(PLAIN, make_section(), UniformSampler())
    replay.start(np.zeros((2, 2, 3), np.uint8), np.ones(2, np.bool_))
    memory = torch.ones(2, MEMORY_SIZE)
    replay.remember(memory)
    memory.zero_()
    assert replay.state_dict()["sequences"]["memory"][:, 0].eq(1).all()

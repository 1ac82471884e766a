"""The replay holds exactly the transitions that the episodes had, and samples nothing else."""

from functools import partial
from itertools import chain, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from tests.helpers.replay_oracle import (
    CPU,
    CUDA,
    FRAME_SHAPE,
    History,
    Settings,
    draw_plays,
    drop_repeats,
    list_transitions,
    make_replay,
    read_batch,
)
from wn_rl.errors import ConfigurationError
from wn_rl.replay.prioritized_sampler import PrioritizedSampler
from wn_rl.replay.replay import Replay
from wn_rl.replay.replay_settings import ReplaySection
from wn_rl.replay.samplers import UniformSampler
from wn_rl.types import ObservationSpec, Step

PLAIN = Settings(
    num_lanes=1,
    num_slots=20,
    stack_size=4,
    n_step=1,
    gamma=0.9,
    reward_clip=None,
    life_loss_ends_discount=False,
)


def make_generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def read_all(replay: Replay) -> list[tuple]:
    return read_batch(replay.sample(1, make_generator()))


def play(settings: Settings, *events: str) -> History:
    """One lane through these events."""
    history = History(settings, make_replay(settings))
    history.run([(event,) * settings.num_lanes for event in events])
    return history


@settings(max_examples=250, deadline=None)
@given(draw_plays())
def test_exactly_the_complete_transitions_with_all_their_frames_stored_are_sampled(plays) -> None:
    """The oracle knows whole episodes: any bug of n-step sums, borders, stacks or wrap-around shows here."""
    its_settings, rounds = plays
    replay = make_replay(its_settings)
    history = History(its_settings, replay)
    history.run(rounds)
    assert read_all(replay) == history.list_transitions()
    assert replay.num_valid == len(history.list_transitions())


@pytest.mark.parametrize(("stack_size", "n_step"), [(1, 1), (2, 2), (4, 2)])
def test_the_smallest_replay_always_has_something_to_sample(stack_size: int, n_step: int) -> None:
    """After a long episode, whatever ends and begins in the next rounds."""
    smallest = ReplaySection(
        capacity=1, n_step=n_step, gamma=0.9, reward_clip=None, storage="ram", sampler="uniform",
        priority_exponent=0.5, importance_exponent=0.5, final_importance_exponent=None,
        importance_exponent_agent_steps=0, final_gamma=None, gamma_agent_steps=0,
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="to at least") as refusal:
        smallest.check_capacity(num_envs=1, stack_size=stack_size)
    num_slots = int(str(refusal.value).partition("at least ")[2].partition(",")[0])
    its_settings = PLAIN._replace(num_slots=num_slots, stack_size=stack_size, n_step=n_step)
    moments: list[list[tuple[str] | None]] = [[("go",)], [("limit",)], [("limit",), None], [("go",), None]]
    num_least = num_slots
    for chosen in product(moments, repeat=n_step + 1):
        history = History(its_settings, make_replay(its_settings))
        history.run([("go",)] * (num_slots + 1))
        for events in chain.from_iterable(chosen):
            history.run([events])
            num_least = min(num_least, history.replays[0].num_valid)
    assert num_least == 1  # and no slot is asked for in vain


@pytest.mark.parametrize(
    "make_sampler",
    [UniformSampler, partial(PrioritizedSampler, priority_exponent=0.5, importance_exponent=0.5)],
    ids=["uniform", "prioritized"],
)
@settings(max_examples=30, deadline=None)
@given(plays=draw_plays(max_rounds=20))
def test_sampling_reaches_every_transition_and_no_other(make_sampler, plays) -> None:
    """New transitions are drawn equally often by a prioritized sampler too."""
    its_settings, rounds = plays
    replay = make_replay(its_settings, make_sampler())
    history = History(its_settings, replay)
    history.run(rounds)
    expected = history.list_transitions()
    if not expected:
        with pytest.raises(ValueError, match="no complete transition"):
            replay.sample(4, make_generator())
        return
    batch = replay.sample(40 * len(expected), make_generator())  # misses one with probability e^-40
    found = read_batch(batch)
    assert len(found) == 40 * len(expected)
    assert drop_repeats(found) == expected


def test_the_oracle_agrees_with_a_lane_worked_by_hand() -> None:
    """Frames 1, 1001, …, gamma 0.5, n = 2: an oracle of our own must be right before it judges."""
    its_settings = PLAIN._replace(gamma=0.5, n_step=2, stack_size=2)
    history = play(its_settings, "go", "limit", "go")
    rewards = history.lanes[0][0].rewards + history.lanes[0][1].rewards
    r0 = float(np.float32(rewards[0]) + np.float32(0.5) * np.float32(rewards[1]))
    assert list_transitions(history.lanes[0], its_settings) == [
        ([0, 1], 1001 % 251, r0, 0.25, [1001, 2001]),
        ([1, 1001], 2001 % 251, rewards[1], 0.5, [1001, 2001]),
    ]


def test_a_stack_shows_zeros_before_the_first_frame_of_its_episode() -> None:
    history = play(PLAIN, "go", "terminal", "go")  # the second episode's first frame is number 3001
    assert ([0, 0, 0, 3001], 4001 % 251) in [item[:2] for item in read_all(history.replays[0])]


def test_the_next_observation_of_an_end_is_the_final_one_not_the_reset_one() -> None:
    history = play(PLAIN, "go", "limit", "go")  # final frame 2001, reset frame 3001
    last_of_first = next(item for item in read_all(history.replays[0]) if item[0][-1] == 1001)
    assert last_of_first[-1] == [0, 1, 1001, 2001]


def test_a_stack_reaches_over_a_lost_life() -> None:
    history = play(PLAIN._replace(life_loss_ends_discount=True), "go", "life", "go")
    stacks = [item[0] for item in read_all(history.replays[0])]
    assert [0, 1, 1001, 2001] in stacks


@pytest.mark.parametrize("num_overwritten", [1, 2, 3, 7])
def test_no_stack_shows_a_frame_under_the_write_head(num_overwritten: int) -> None:
    """Of L stored frames of one episode, the oldest S-1 lack older ones and the newest has no action."""
    history = play(PLAIN, *["go"] * (PLAIN.num_slots - 1 + num_overwritten))
    oldest_stored = num_overwritten * 1000 + 1
    found = read_all(history.replays[0])
    assert len(found) == PLAIN.num_slots - PLAIN.stack_size
    assert min(number for item in found for number in item[0]) == oldest_stored


def test_cut_episodes_are_truncations_and_new_ones_may_start() -> None:
    its_settings = PLAIN._replace(n_step=3, gamma=0.5)
    history = play(its_settings, "go", "go")
    replay = history.replays[0]
    assert replay.num_valid == 0
    history.cut()
    assert sorted(item[3] for item in read_all(replay)) == [0.25, 0.5]  # gamma^2 and gamma^1: bootstrapped
    history.run([("go",)] * 3)
    assert read_all(replay) == history.list_transitions()


def test_a_batch_has_the_shapes_and_types_of_its_contract() -> None:
    replay = play(PLAIN._replace(num_lanes=2), *["go"] * 9).replays[0]
    batch = replay.sample(1, make_generator())
    num = replay.num_valid
    shapes = {name: (tuple(value.shape), value.dtype) for name, value in batch._asdict().items() if value is not None}
    stack = ((num, 4, *FRAME_SHAPE), torch.uint8)
    assert shapes == {
        "s_tm1": stack,
        "a_tm1": ((num,), torch.int64),
        "r_t": ((num,), torch.float32),
        "discount_t": ((num,), torch.float32),
        "s_t": stack,
        "weight": ((num,), torch.float32),
        "index": ((num,), torch.int64),
    }
    # Channels last in memory, as convolutions read them fastest.
    assert all(stack.permute(0, 2, 3, 1).is_contiguous() for stack in (batch.s_tm1, batch.s_t))
    assert len(set(batch.index.tolist())) == num
    assert batch.weight.tolist() == [1.0] * num


def test_stored_agent_steps_are_counted_without_first_frames() -> None:
    history = play(PLAIN._replace(n_step=3, num_lanes=2), "go", "terminal", "go")
    assert history.replays[0].num_agent_steps_stored == 6
    history = play(PLAIN, *["go"] * 50)
    assert history.replays[0].num_agent_steps_stored == PLAIN.num_slots - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_slots": 4}, r"replay.capacity=4 is less than .* = 7; raise replay.capacity to at least 7"),
        ({"num_lanes": 0}, "replay.num_lanes=0"),
        ({"stack_size": 0}, "replay.stack_size=0"),
        ({"n_step": 0}, "replay.n_step=0"),
        ({"n_step": 256}, "replay.n_step=256"),
        ({"gamma": 1.5}, "replay.gamma=1.5"),
        ({"reward_clip": 0.0}, "replay.reward_clip=0.0"),
    ],
)
def test_impossible_settings_are_refused_with_what_to_do(changes: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_replay(PLAIN._replace(**changes))


def test_calls_in_the_wrong_order_are_refused() -> None:
    replay = make_replay(PLAIN)
    frames, yes, no = np.zeros((1, *FRAME_SHAPE), np.uint8), np.ones(1, np.bool_), np.zeros(1, np.bool_)
    step = Step(frames, np.zeros(1, np.float32), no, no, no)
    with pytest.raises(ValueError, match="no episode is running"):
        replay.add(step, np.zeros(1, np.int64))
    replay.start(frames, yes)
    with pytest.raises(ValueError, match="episodes are running"):
        replay.start(frames, yes)
    with pytest.raises(ValueError, match="actions"):
        replay.add(step, np.array([256]))
    replay.add(step._replace(truncated=yes), np.array([255]))
    with pytest.raises(ValueError, match="no episode is running"):
        replay.add(step, np.zeros(1, np.int64))


@pytest.mark.gpu
def test_a_replay_on_a_gpu_samples_what_one_on_the_host_does() -> None:
    its_settings = PLAIN._replace(n_step=3, num_lanes=2)
    replays = [make_replay(its_settings, UniformSampler(), device) for device in (CPU, CUDA)]
    History(its_settings, *replays).run([("go", "go"), ("limit", "life"), ("go", "terminal")] * 11)
    host, gpu = (replay.sample(256, make_generator()) for replay in replays)
    for name, expected in host._asdict().items():
        found = gpu._asdict()[name]
        assert found.device.type == "cuda"
        assert torch.equal(found.cpu(), expected), name


def test_a_replay_is_told_what_its_section_says() -> None:
    section = ReplaySection(
        capacity=100, n_step=3, gamma=0.9, reward_clip=2.0, storage="ram", sampler="uniform", priority_exponent=0.5,
        importance_exponent=0.5, final_importance_exponent=None, importance_exponent_agent_steps=0, final_gamma=None,
        gamma_agent_steps=0,
    )  # fmt: skip
    told = section.complete(
        num_lanes=2, observation=ObservationSpec((3,), "float32"), stack_size=4, life_loss_ends_discount=True
    )
    assert (told.capacity, told.n_step, told.gamma, told.reward_clip) == (100, 3, 0.9, 2.0)
    assert (told.num_lanes, told.observation.shape, told.stack_size, told.life_loss_ends_discount) == (2, (3,), 4, True)

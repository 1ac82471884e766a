"""Do N games in C++ threads return exactly what Gymnasium's scalar environment returns, and in order?"""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.scalar_atari import MACHADO, NATURE, ODD, ScalarAtari
from wn_rl.acting.policies import Policy
from wn_rl.envs.atari import OBSERVATION, AtariEnvironments
from wn_rl.envs.protocols import Protocol
from wn_rl.errors import ConfigurationError
from wn_rl.types import Step

LARGEST_SEED = 2**31 - 1


def make_environments(game: str, protocol: Protocol, num_envs: int, num_threads: int = 2) -> AtariEnvironments:
    return AtariEnvironments(game=game, protocol=protocol, num_envs=num_envs, num_threads=num_threads)


def play_step(environments: AtariEnvironments, actions: list[int] | np.ndarray) -> Step:
    environments.send(np.asarray(actions, dtype=np.int64))
    return environments.receive()


def assert_equals_scalar_environments(
    game: str, rom: str, protocol: Protocol, seeds: list[int], num_rounds: int
) -> dict[str, int]:
    """Compare every stack, reward, flag and life of all lanes, over every end; return what was met.

    The tolerance is 0: both read the same screens, a terminal's stale ones too, and resize them by area.
    """
    lanes = range(len(seeds))
    environments = make_environments(game, protocol, len(seeds))
    oracles = [ScalarAtari(rom, protocol) for _ in seeds]
    policy = Policy(lambda stacks: stacks, stack_size=4, observation=OBSERVATION, device=torch.device("cpu"))
    frames, is_first = environments.reset(seeds=np.array(seeds)), np.ones(len(seeds), dtype=np.bool_)
    state = policy.observe(frames, is_first, policy.begin(len(seeds)))
    lives = [0] * len(seeds)

    def reset_oracle(lane: int) -> None:
        expected = oracles[lane].reset(int(environments.episode_start_frames[lane]))
        np.testing.assert_array_equal(state.stack[lane], expected)
        lives[lane] = oracles[lane].atari.ale.lives()

    for lane in lanes:
        oracles[lane].seed(seeds[lane])
        assert environments.action_names == oracles[lane].action_names
        reset_oracle(lane)
    met = {"ends": 0, "life_losses": 0, "rewards": 0, "rewards_above_1": 0}
    generator = np.random.default_rng(seeds[0])
    for _ in range(num_rounds):
        actions = generator.integers(environments.num_actions, size=len(seeds))
        step = play_step(environments, actions)
        before, state = state, policy.observe(step.frame, np.zeros_like(is_first), state)
        for lane in lanes:
            expected = oracles[lane].step(int(actions[lane]))
            np.testing.assert_array_equal(state.stack[lane], expected.stack)
            life_lost = 0 < expected.lives < lives[lane] and not expected.terminated
            got = (step.reward[lane], step.terminated[lane], step.truncated[lane], step.life_lost[lane])
            assert got == (expected.reward, expected.terminated, False, life_lost)
            lives[lane] = expected.lives
            met["ends"] += expected.terminated
            met["life_losses"] += life_lost
            met["rewards"] += expected.reward != 0
            met["rewards_above_1"] += expected.reward > 1
        if step.ended.any():
            first_frames = environments.reset(mask=step.ended)
            frames = np.where(step.ended[:, None, None], first_frames, step.frame)
            state = policy.observe(frames, step.ended, before)
            for lane in np.flatnonzero(step.ended):
                reset_oracle(lane)
    environments.close()
    return met


def protocol_name(value: object) -> str:
    return value.name if isinstance(value, Protocol) else str(value)


def test_sticky_breakout_equals_the_scalar_environment_over_lives_and_ends() -> None:
    met = assert_equals_scalar_environments("Breakout", "breakout", MACHADO, [4], 230)
    assert met["life_losses"] >= 4
    assert met["ends"] >= 1


@pytest.mark.parametrize(
    ("game", "rom", "protocol"),
    [("SpaceInvaders", "space_invaders", ODD), ("Seaquest", "seaquest", NATURE)],
    ids=protocol_name,
)
def test_raw_rewards_equal_the_scalar_environment(game: str, rom: str, protocol: Protocol) -> None:
    met = assert_equals_scalar_environments(game, rom, protocol, [4], 150)
    assert met["rewards_above_1"] >= 1


@pytest.mark.parametrize(
    ("game", "rom", "protocol"),
    [("Pong", "pong", NATURE), ("Freeway", "freeway", MACHADO)],
    ids=protocol_name,
)
def test_games_without_lives_equal_the_scalar_environment(game: str, rom: str, protocol: Protocol) -> None:
    met = assert_equals_scalar_environments(game, rom, protocol, [LARGEST_SEED], 60)
    assert met["life_losses"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [MACHADO, NATURE, ODD], ids=protocol_name)
@pytest.mark.parametrize(
    ("rom", "num_rounds"),
    [
        ("breakout", 800),
        ("space_invaders", 1000),
        ("seaquest", 1000),
        ("qbert", 800),
        ("pong", 1400),
        ("freeway", 2800),
    ],
)
def test_whole_games_equal_the_scalar_environment(rom: str, num_rounds: int, protocol: Protocol) -> None:
    met = assert_equals_scalar_environments(rom, rom, protocol, [123_456_789], num_rounds)
    assert met["ends"] >= 1


def test_a_time_limit_truncates_with_the_true_final_frame_and_counts_no_starting_frame() -> None:
    """The emulator's own limit stops before the last screen is read; ours must not show that stale one."""
    max_agent_steps = 40
    protocol = dataclasses.replace(NATURE, max_episode_frames=max_agent_steps * NATURE.frame_skip)
    environments = make_environments("SpaceInvaders", protocol, 1)
    environments.reset(seeds=np.array([3]))
    num_start_frames = int(environments.episode_start_frames[0])
    assert num_start_frames > 0
    # Gymnasium counts the starting frames too
    limited = ScalarAtari("space_invaders", NATURE, max_frames=protocol.max_episode_frames + num_start_frames)
    unlimited = ScalarAtari("space_invaders", NATURE)
    for oracle in (limited, unlimited):
        oracle.seed(3)
        oracle.reset(num_start_frames)
    for agent_step in range(max_agent_steps):
        step = play_step(environments, [agent_step % environments.num_actions])
        ends, continues = (oracle.step(agent_step % environments.num_actions) for oracle in (limited, unlimited))
        assert bool(step.truncated[0]) == ends.truncated == (agent_step == max_agent_steps - 1)
        assert not step.terminated[0]
        np.testing.assert_array_equal(step.frame[0], continues.stack[-1])
    assert (ends.stack[-1] != continues.stack[-1]).any(), "the limited oracle should show a stale frame"
    environments.reset(mask=np.array([True]))
    second_episode = [bool(play_step(environments, [0]).truncated[0]) for _ in range(max_agent_steps)]
    assert second_episode == [False] * (max_agent_steps - 1) + [True]
    environments.close()


def test_the_game_being_over_at_the_time_limit_is_a_terminal_and_no_truncation() -> None:
    def play_until_an_end(protocol: Protocol) -> tuple[int, Step]:
        environments = make_environments("Breakout", protocol, 1)
        environments.reset(seeds=np.array([11]))
        num_agent_steps, ended = 0, False
        while not ended:
            step = play_step(environments, [environments.action_names.index("FIRE")])
            num_agent_steps, ended = num_agent_steps + 1, bool(step.ended[0])
        environments.close()
        return num_agent_steps, step

    length, _ = play_until_an_end(MACHADO)
    limited = dataclasses.replace(MACHADO, max_episode_frames=length * MACHADO.frame_skip)
    limited_length, step = play_until_an_end(limited)
    assert limited_length == length
    assert (step.terminated[0], step.truncated[0]) == (True, False)


def play_rounds(environments: AtariEnvironments, seeds: list[int], num_rounds: int) -> tuple[list[np.ndarray], int]:
    """Play pseudo-random actions from seeded resets; return every array that came back and the resets."""
    arrays, num_resets = [environments.reset(seeds=np.array(seeds)), environments.episode_start_frames], 0
    generator = np.random.default_rng(5)
    for _ in range(num_rounds):
        step = play_step(environments, generator.integers(environments.num_actions, size=len(seeds)))
        arrays.extend(step)
        if step.ended.any():
            num_resets += int(step.ended.sum())
            arrays.extend([environments.reset(mask=step.ended), environments.episode_start_frames])
    return arrays, num_resets


def assert_replays_exactly(protocol: Protocol, seeds: list[int], num_rounds: int) -> int:
    """Play the same seeds and actions with one and with two threads; return the number of unseeded resets."""
    one_thread, two_threads = (
        make_environments("Breakout", protocol, len(seeds), num_threads) for num_threads in (1, 2)
    )
    expected, num_resets = play_rounds(one_thread, seeds, num_rounds)
    # a used instance, in the midst of other episodes, has forgotten them all
    play_rounds(two_threads, [seed // 2 + 1 for seed in seeds], 13)
    actual, _ = play_rounds(two_threads, seeds, num_rounds)
    assert len(actual) == len(expected)
    for actual_array, expected_array in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(actual_array, expected_array)
    one_thread.close()
    two_threads.close()
    return num_resets


def test_unseeded_resets_stay_an_exact_function_of_the_first_seeds_and_the_actions() -> None:
    """An interrupted run finds its environments again by playing an iteration's actions once more."""
    protocol = dataclasses.replace(MACHADO, noop_max=30, max_episode_frames=4 * 30)
    assert assert_replays_exactly(protocol, [5, LARGEST_SEED], 100) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [MACHADO, NATURE, ODD], ids=protocol_name)
def test_long_replays_stay_exact(protocol: Protocol) -> None:
    assert assert_replays_exactly(protocol, [5, 6, 7, 0, LARGEST_SEED], 1000) >= 15


def test_a_partial_reset_leaves_the_other_environments_as_they_are() -> None:
    together, alone = make_environments("Breakout", NATURE, 2), make_environments("Breakout", NATURE, 1)
    first_frames = together.reset(seeds=np.array([1, 9]))
    first_start_frames = together.episode_start_frames
    alone.reset(seeds=np.array([9]))
    generator = np.random.default_rng(0)
    for round_index in range(60):
        actions = generator.integers(4, size=2)
        step, expected = play_step(together, actions), play_step(alone, actions[1:])
        for actual_array, expected_array in zip(step, expected, strict=True):
            np.testing.assert_array_equal(actual_array[1], expected_array[0])
        if round_index in (10, 30, 50):  # amid both episodes
            seeds = np.array([1]) if round_index == 30 else None
            frames = together.reset(seeds=seeds, mask=np.array([True, False]))
            np.testing.assert_array_equal(frames[1], step.frame[1])
            assert together.episode_start_frames[1] == first_start_frames[1]
            is_first_again = bool((frames[0] == first_frames[0]).all())
            assert is_first_again or round_index != 30
    assert not step.ended.any(), "choose other seeds: this test wants one long episode"
    together.close()
    alone.close()


def test_a_life_lost_is_no_end_and_is_reported_once_even_right_after_a_reset() -> None:
    environments = make_environments("Breakout", MACHADO, 1)
    environments.reset(seeds=np.array([0]))
    num_lives_lost, num_games = 0, 0
    while num_games < 2:
        step = play_step(environments, [environments.action_names.index("FIRE")])
        num_lives_lost += int(step.life_lost[0])
        assert not (step.life_lost[0] and step.ended[0])
        if step.terminated[0]:
            assert num_lives_lost == 4, "Breakout has five lives, and the last one is the game's end"
            num_lives_lost, num_games = 0, num_games + 1
            environments.reset(mask=np.array([True]))
    environments.close()


def test_the_drawn_number_of_no_ops_reaches_from_0_to_noop_max_inclusive() -> None:
    environments = make_environments("Pong", dataclasses.replace(NATURE, noop_max=2), 2)
    environments.reset(seeds=np.array([1, 2]))
    counts = set(environments.episode_start_frames.tolist())
    for _ in range(12):
        environments.reset()
        counts |= set(environments.episode_start_frames.tolist())
    assert counts == {0, 1, 2}
    environments.close()


@pytest.mark.parametrize(("use_fire_reset", "expected"), [(False, 0), (True, 1)])
def test_without_no_ops_only_fire_is_played_before_the_first_frame(use_fire_reset: bool, expected: int) -> None:
    protocol = dataclasses.replace(MACHADO, use_fire_reset=use_fire_reset)
    environments = make_environments("Breakout", protocol, 1)
    environments.reset(seeds=np.array([1]))
    assert environments.episode_start_frames.tolist() == [expected]
    environments.close()


@pytest.fixture(scope="module")
def shared_environments() -> Iterator[AtariEnvironments]:
    """Two environments that each test resets for itself: to build them, or to seed them, takes long."""
    environments = make_environments("Breakout", dataclasses.replace(MACHADO, max_episode_frames=8), 2)
    with pytest.raises(RuntimeError, match="before the first reset"):
        environments.send(np.array([0, 1]))
    with pytest.raises(RuntimeError, match="must seed all"):
        environments.reset()
    environments.reset(seeds=np.array([1, 2]))
    yield environments
    environments.close()
    environments.close()
    with pytest.raises(RuntimeError, match="closed"):
        environments.send(np.array([0, 1]))


def test_no_frame_shares_memory_with_an_earlier_one(shared_environments: AtariEnvironments) -> None:
    frames = [shared_environments.reset()]
    copies = [frames[0].copy()]
    for action in (1, 2):
        frames.append(play_step(shared_environments, [action, action]).frame)
        copies.append(frames[-1].copy())
    shared_environments.reset()
    np.testing.assert_array_equal(frames, copies)


@pytest.mark.parametrize("action", [-1, 4, 2**40])
def test_an_invalid_action_is_refused_before_it_can_hang_the_threads(
    shared_environments: AtariEnvironments, action: int
) -> None:
    shared_environments.reset()
    with pytest.raises(ValueError, match=r"in \[0, 4\)"):
        shared_environments.send(np.array([0, action]))
    play_step(shared_environments, [0, 3])


def test_a_wrong_order_of_calls_is_refused(shared_environments: AtariEnvironments) -> None:
    actions = np.array([0, 1])
    shared_environments.reset()
    with pytest.raises(RuntimeError, match="without a send"):
        shared_environments.receive()
    shared_environments.send(actions)
    with pytest.raises(RuntimeError, match="twice"):
        shared_environments.send(actions)
    with pytest.raises(RuntimeError, match="between send and receive"):
        shared_environments.reset()
    assert not shared_environments.receive().ended.any()
    assert play_step(shared_environments, actions).truncated.all()
    with pytest.raises(RuntimeError, match=r"environments \[0, 1\] are over"):
        shared_environments.send(actions)
    shared_environments.reset(mask=np.array([False, True]))
    with pytest.raises(RuntimeError, match=r"environments \[0\] are over"):
        shared_environments.send(actions)
    shared_environments.reset(mask=np.array([True, False]))
    play_step(shared_environments, actions)


def test_every_environment_counts_its_own_time_limit(shared_environments: AtariEnvironments) -> None:
    shared_environments.reset()
    assert not play_step(shared_environments, [0, 0]).ended.any()
    shared_environments.reset(mask=np.array([True, False]))
    assert play_step(shared_environments, [0, 0]).truncated.tolist() == [False, True]


def test_seeds_outside_31_bits_are_refused(shared_environments: AtariEnvironments) -> None:
    with pytest.raises(ValueError, match="seeds must be"):
        shared_environments.reset(seeds=np.array([1, 2**31]))


def test_a_forked_process_is_told_that_the_threads_stayed_behind(
    shared_environments: AtariEnvironments,
) -> None:
    shared_environments.reset()
    child = os.fork()
    if child == 0:
        try:
            shared_environments.send(np.array([0, 0]))
        except RuntimeError as error:
            os._exit(42 if "another process" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


def count_threads() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Threads:"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts threads in /proc")
def test_exactly_the_given_number_of_threads_is_started_and_stopped_even_amid_a_step() -> None:
    num_threads_before = count_threads()
    environments = make_environments("ALE/SpaceInvaders-v5", ODD, 2, num_threads=1)
    assert count_threads() == num_threads_before + 1
    assert environments.game == "SpaceInvaders"
    assert environments.num_envs == 2
    assert environments.num_actions == len(environments.action_names) == 18
    assert environments.observation == OBSERVATION == ((84, 84), "uint8")
    environments.reset(seeds=np.array([1, 2]))
    environments.send(np.array([0, 1]))
    environments.close()
    assert count_threads() == num_threads_before


@pytest.mark.parametrize(("num_envs", "num_threads"), [(0, 1), (1, 0)])
def test_numbers_below_1_are_refused(num_envs: int, num_threads: int) -> None:
    with pytest.raises(ConfigurationError, match="must be at least 1"):
        make_environments("Breakout", MACHADO, num_envs, num_threads)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "two words"),
        ("repeat_action_probability", 1.0),
        ("repeat_action_probability", -0.1),
        ("repeat_action_probability", float("nan")),
        ("noop_max", -1),
        ("frame_skip", 0),
        ("max_episode_frames", 0),
        ("max_episode_frames", 10),
        ("max_episode_frames", 2**31),
    ],
)
def test_an_invalid_protocol_is_refused_in_one_line(field: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=rf"^protocol\.{field}=[^\n]*must be [^\n]*$"):
        dataclasses.replace(NATURE, **{field: value})


def test_a_protocol_is_built_from_its_values_and_from_nothing_else() -> None:
    values = dataclasses.asdict(NATURE)
    assert Protocol.from_values(values) == NATURE
    assert Protocol.from_values(values | {"repeat_action_probability": 0}) == NATURE
    before = {key: value for key, value in values.items() if key != "flicker_probability"}
    assert Protocol.from_values(before) == NATURE  # of what was saved before there was this rule
    for invalid in (
        values | {"gravity": 9.81},
        {key: value for key, value in values.items() if key != "noop_max"},
        values | {"noop_max": "30"},
        values | {"noop_max": True},
        values | {"life_loss_ends_discount": 1},
    ):
        with pytest.raises(ConfigurationError):
            Protocol.from_values(invalid)

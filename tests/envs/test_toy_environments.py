"""Are the toy environments exactly what they say: the chain's Q*, the counting frames, the contract?"""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.chain import LEFT, RIGHT, ChainEnvironments
from tests.helpers.counting import (
    CountingEnvironments,
    FrameIdentity,
    Outcomes,
    decode_frame,
    make_random_outcomes,
)
from wn_rl.types import Step, VectorEnvironment


def make_chain(
    *,
    num_envs: int = 2,
    num_states: int = 4,
    slip_probability: float = 0.0,
    starts_anywhere: bool = False,
    max_episode_agent_steps: int = 100,
) -> ChainEnvironments:
    return ChainEnvironments(
        num_envs=num_envs,
        num_states=num_states,
        slip_probability=slip_probability,
        goal_reward=1.0,
        start_reward=0.25,
        starts_anywhere=starts_anywhere,
        max_episode_agent_steps=max_episode_agent_steps,
        frame_shape=(3, 5),
    )


def make_counting(num_envs: int = 2) -> CountingEnvironments:
    outcomes = make_random_outcomes(
        seed=0,
        num_rounds=50,
        num_envs=num_envs,
        termination_probability=0.1,
        truncation_probability=0.1,
        life_loss_probability=0.2,
    )
    return CountingEnvironments(outcomes=outcomes, num_actions=3, frame_shape=(4, 4))


def play_step(environments: VectorEnvironment, actions: list[int] | np.ndarray) -> Step:
    environments.send(np.asarray(actions, dtype=np.int64))
    return environments.receive()


def find_states(environments: ChainEnvironments, frames: np.ndarray) -> list[int]:
    """Recognize states by their frames."""
    known = {frame.tobytes(): state for state, frame in enumerate(environments.state_frames())}
    assert len(known) == environments.num_states
    return [known[frame.tobytes()] for frame in frames]


def test_q_values_of_the_deterministic_chain_are_those_worked_out_by_hand() -> None:
    # States 0, 1, 2 and the goal 3; gamma = 1/2. Staying at 0 for ever is worth 0.25 / (1 - 1/2) = 0.5, and
    # walking to the goal from 0 only 1/4.
    expected = [[0.5, 0.25], [0.25, 0.5], [0.25, 1.0], [0.0, 0.0]]
    np.testing.assert_allclose(make_chain().compute_optimal_q_values(0.5), expected, rtol=0, atol=1e-12)
    # With gamma = 0 only the next reward counts.
    expected = [[0.25, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    np.testing.assert_allclose(make_chain().compute_optimal_q_values(0.0), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
def test_q_values_of_the_slippery_chain_equal_those_of_the_linear_equations(gamma: float) -> None:
    """Policy iteration with an exact solver, a second way to the same numbers."""
    chain = make_chain(num_states=6, slip_probability=0.2)
    rows = np.arange(6)
    rewards = (chain.transition_probabilities * chain.rewards).sum(axis=2)
    rewards[-1] = 0.0
    policy = np.zeros(6, dtype=int)
    for _ in range(20):
        discounted = gamma * chain.transition_probabilities[rows, policy]
        discounted[-1] = 0.0
        values = np.linalg.solve(np.eye(6) - discounted, rewards[rows, policy])
        q_values = rewards + gamma * chain.transition_probabilities @ values
        q_values[-1] = 0.0
        policy = q_values.argmax(axis=1)
    np.testing.assert_allclose(chain.compute_optimal_q_values(gamma), q_values, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("slip_probability", [0.0, 0.3])
def test_the_chain_moves_and_pays_as_its_tables_say(slip_probability: float) -> None:
    chain = make_chain(num_envs=50, slip_probability=slip_probability, starts_anywhere=True)
    counts = np.zeros_like(chain.transition_probabilities)
    states = find_states(chain, chain.reset(seeds=np.arange(50)))
    generator = np.random.default_rng(0)
    for _ in range(150):
        actions = generator.integers(2, size=50)
        step = play_step(chain, actions)
        next_states = find_states(chain, step.frame)
        for lane in range(50):
            transition = (states[lane], actions[lane], next_states[lane])
            counts[transition] += 1
            assert step.reward[lane] == np.float32(chain.rewards[transition])
            assert step.terminated[lane] == (next_states[lane] == 3)
        states = find_states(chain, chain.reset(mask=step.ended)) if step.ended.any() else next_states
    frequencies = counts[:-1] / counts[:-1].sum(axis=2, keepdims=True)
    np.testing.assert_allclose(frequencies, chain.transition_probabilities[:-1], atol=0.05)
    np.testing.assert_array_equal(counts[:-1] > 0, chain.transition_probabilities[:-1] > 0)
    np.testing.assert_allclose(chain.transition_probabilities.sum(axis=2), 1.0)


def test_a_chain_starts_at_its_beginning_or_anywhere_but_at_the_goal() -> None:
    beginning, anywhere = (make_chain(num_envs=40, starts_anywhere=anywhere) for anywhere in (False, True))
    assert set(find_states(beginning, beginning.reset(seeds=np.arange(40)))) == {0}
    assert set(find_states(anywhere, anywhere.reset(seeds=np.arange(40)))) == {0, 1, 2}


def test_the_time_limit_of_a_chain_truncates_and_the_goal_goes_first() -> None:
    chain = make_chain(max_episode_agent_steps=3)
    chain.reset(seeds=np.array([1, 2]))
    for _ in range(2):
        assert not play_step(chain, [LEFT, RIGHT]).ended.any()
    step = play_step(chain, [LEFT, RIGHT])
    assert step.terminated.tolist() == [False, True]
    assert step.truncated.tolist() == [True, False]
    assert step.reward.tolist() == [0.25, 1.0]
    chain.reset(mask=np.array([True, True]))
    assert not play_step(chain, [LEFT, RIGHT]).ended.any()


def test_every_counting_frame_says_which_it_is_over_ends_and_seeds() -> None:
    environments = make_counting(num_envs=3)
    frames = environments.reset(seeds=np.array([1000, 70_000, 3]))
    expected = [
        FrameIdentity(0, 1000, 0, 0),
        FrameIdentity(1, 70_000 - 65_536, 0, 0),
        FrameIdentity(2, 3, 0, 0),
    ]
    seen = set()
    for _ in range(400):
        identities = [decode_frame(frame) for frame in frames]
        assert identities == expected
        assert not seen & set(identities), "a frame came twice"
        seen |= set(identities)
        step = play_step(environments, [0, 1, 2])
        expected = [identity._replace(step=identity.step + 1) for identity in expected]
        assert [decode_frame(frame) for frame in step.frame] == expected
        frames = step.frame
        if step.ended.any():
            seen |= set(expected)
            frames = environments.reset(mask=step.ended)
            for lane in np.flatnonzero(step.ended):
                expected[lane] = expected[lane]._replace(episode=expected[lane].episode + 1, step=0)
            seen -= {expected[lane] for lane in np.flatnonzero(~step.ended)}
    assert max(identity.episode for identity in seen) > 20


def test_zero_padding_is_no_counting_frame() -> None:
    assert decode_frame(np.zeros((4, 4), dtype=np.uint8)) is None


def test_counting_environments_follow_their_script_from_the_row_that_the_seed_says() -> None:
    reward = np.arange(6, dtype=np.float32).reshape(3, 2)
    flags = [np.zeros((3, 2), dtype=np.bool_) for _ in range(3)]
    terminated, truncated, life_lost = flags
    terminated[1, 0] = truncated[2, 1] = life_lost[0, 1] = True
    environments = CountingEnvironments(
        outcomes=Outcomes(reward, terminated, truncated, life_lost), num_actions=2, frame_shape=(1, 7)
    )
    environments.reset(seeds=np.array([0, 4]))  # rows 0 and 4 mod 3 = 1
    step = play_step(environments, [0, 0])
    assert step.reward.tolist() == [0.0, 3.0]
    step = play_step(environments, [0, 0])
    assert step.reward.tolist() == [2.0, 5.0]
    assert step.terminated.tolist() == [True, False]
    assert step.truncated.tolist() == [False, True]
    environments.reset(mask=np.array([True, True]))
    step = play_step(environments, [0, 0])
    assert step.reward.tolist() == [4.0, 1.0]
    assert step.life_lost.tolist() == [False, True]


def test_a_random_script_holds_every_kind_of_end_and_never_two_at_once() -> None:
    outcomes = make_random_outcomes(
        seed=3,
        num_rounds=2000,
        num_envs=2,
        termination_probability=0.1,
        truncation_probability=0.2,
        life_loss_probability=0.3,
    )
    assert outcomes.terminated.mean() == pytest.approx(0.1, abs=0.02)
    assert outcomes.truncated.mean() == pytest.approx(0.2 * 0.9, abs=0.03)
    assert outcomes.life_lost.mean() == pytest.approx(0.3 * 0.9, abs=0.03)
    assert not (outcomes.terminated & (outcomes.truncated | outcomes.life_lost)).any()
    assert set(outcomes.reward.ravel().tolist()) == {-2, -1, 0, 1, 2, 10}


TOYS: list[Callable[[], VectorEnvironment]] = [
    lambda: make_chain(slip_probability=0.4, starts_anywhere=True, max_episode_agent_steps=7),
    make_counting,
]


def play_rounds(environments: VectorEnvironment, seeds: list[int], actions: np.ndarray) -> list[np.ndarray]:
    arrays = [environments.reset(seeds=np.array(seeds))]
    for round_actions in actions:
        step = play_step(environments, round_actions)
        arrays.extend(step)
        if step.ended.any():
            arrays.append(environments.reset(mask=step.ended))
    return arrays


@pytest.mark.parametrize("make_toy", TOYS)
@settings(max_examples=6, deadline=None)
@given(seeds=st.lists(st.integers(0, 2**31 - 1), min_size=2, max_size=2))
def test_toys_are_an_exact_function_of_their_seeds_and_actions(
    make_toy: Callable[[], VectorEnvironment], seeds: list[int]
) -> None:
    actions = np.random.default_rng(seeds[0]).integers(2, size=(60, 2))
    environments = make_toy()
    expected = play_rounds(environments, seeds, actions)
    for actual in (play_rounds(environments, seeds, actions), play_rounds(make_toy(), seeds, actions)):
        assert len(actual) == len(expected)
        for actual_array, expected_array in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(actual_array, expected_array)


@pytest.mark.parametrize("make_toy", TOYS)
def test_toys_give_each_selected_environment_its_own_seed(make_toy: Callable[[], VectorEnvironment]) -> None:
    together, alone = make_toy(), make_toy()
    together.reset(seeds=np.array([1, 2]))
    together.reset(seeds=np.array([9]), mask=np.array([False, True]))
    alone.reset(seeds=np.array([1, 9]))
    for _ in range(5):
        actual, expected = play_step(together, [1, 0]), play_step(alone, [1, 0])
        for actual_array, expected_array in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(actual_array, expected_array)
        if actual.ended.any():
            together.reset(mask=actual.ended)
            alone.reset(mask=actual.ended)


@pytest.mark.parametrize("make_toy", TOYS)
def test_toys_refuse_a_wrong_order_of_calls(make_toy: Callable[[], VectorEnvironment]) -> None:
    environments, actions = make_toy(), np.array([0, 1])
    with pytest.raises(RuntimeError, match="before the first reset"):
        environments.send(actions)
    with pytest.raises(RuntimeError, match="must seed all"):
        environments.reset()
    with pytest.raises(RuntimeError, match="must seed all"):
        environments.reset(seeds=np.array([1]), mask=np.array([True, False]))
    environments.reset(seeds=np.array([1, 2]))
    with pytest.raises(RuntimeError, match="without a send"):
        environments.receive()
    environments.send(actions)
    with pytest.raises(RuntimeError, match="twice"):
        environments.send(actions)
    with pytest.raises(RuntimeError, match="between send and receive"):
        environments.reset()
    step = environments.receive()
    while not step.ended.any():
        step = play_step(environments, actions)
    with pytest.raises(RuntimeError, match="are over; call reset"):
        environments.send(actions)
    environments.reset(mask=step.ended)
    play_step(environments, actions)
    environments.close()
    environments.close()
    with pytest.raises(RuntimeError, match="closed"):
        environments.send(actions)


@pytest.mark.parametrize("make_toy", TOYS)
def test_toys_refuse_arguments_of_another_shape_or_range(make_toy: Callable[[], VectorEnvironment]) -> None:
    environments = make_toy()
    for seeds in ([-1, 0], [0, 2**31], [1], [1, 2, 3]):
        with pytest.raises(ValueError, match="seeds must be"):
            environments.reset(seeds=np.array(seeds))
    environments.reset(seeds=np.array([1, 2]))
    for actions in ([0], [0, 1, 0], [0, -1], [3, 0]):
        with pytest.raises(ValueError, match="actions must be"):
            environments.send(np.array(actions))
    with pytest.raises(ValueError, match="mask must be bool"):
        environments.reset(mask=np.array([True]))
    play_step(environments, [0, 1])


@pytest.mark.parametrize(("num_states", "frame_shape"), [(1, (2, 2)), (5, (2, 2))])
def test_a_chain_that_cannot_be_shown_is_refused(num_states: int, frame_shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 2 and at most the pixels"):
        ChainEnvironments(
            num_envs=1,
            num_states=num_states,
            slip_probability=0.0,
            goal_reward=1.0,
            start_reward=0.0,
            starts_anywhere=False,
            max_episode_agent_steps=5,
            frame_shape=frame_shape,
        )

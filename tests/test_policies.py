"""Does every environment explore by itself, and do stacks show what the agent may see?"""

import numpy as np
import pytest
import torch

from wn_rl.acting.frame_stack import FrameStack
from wn_rl.acting.policies import epsilon_greedy, select_actions

NUM_CALLS = 1500


def make_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw_actions(num_envs: int, num_actions: int, epsilon: float) -> torch.Tensor:
    """Return i64 [NUM_CALLS, N] of environments whose greedy action is 0."""
    q_values = torch.zeros(num_envs, num_actions)
    q_values[:, 0] = 1.0
    generator = make_generator()
    return torch.stack([epsilon_greedy(q_values, epsilon, generator) for _ in range(NUM_CALLS)])


def test_without_exploration_every_environment_takes_its_best_action_and_the_first_of_equals() -> None:
    q_values = torch.tensor([[1.0, 3.0, 2.0], [2.0, 1.0, 2.0], [-1.0, -2.0, -0.5], [0.0, 0.0, 0.0]])
    actions = epsilon_greedy(q_values, 0.0, make_generator())
    assert actions.tolist() == [1, 0, 2, 0]
    assert actions.dtype == torch.int64


def test_exploration_covers_all_actions_evenly_whatever_the_q_values() -> None:
    actions = draw_actions(num_envs=2, num_actions=4, epsilon=1.0)
    frequencies = torch.bincount(actions.flatten(), minlength=4) / actions.numel()
    np.testing.assert_allclose(frequencies, 0.25, atol=0.035)


@pytest.mark.parametrize("epsilon", [0.1, 0.5])
def test_the_best_action_is_taken_with_one_minus_epsilon_plus_its_share(epsilon: float) -> None:
    actions = draw_actions(num_envs=3, num_actions=4, epsilon=epsilon)
    assert (actions == 0).double().mean() == pytest.approx(1 - epsilon + epsilon / 4, abs=0.025)


def test_every_environment_tosses_its_own_coin() -> None:
    """With many actions, another one than the greedy one means exploration."""
    explores = draw_actions(num_envs=2, num_actions=10_000, epsilon=0.5) != 0
    exactly_one = (explores[:, 0] ^ explores[:, 1]).double().mean()
    assert exactly_one == pytest.approx(0.5, abs=0.06)


def test_every_environment_draws_its_own_random_action() -> None:
    actions = draw_actions(num_envs=2, num_actions=4, epsilon=1.0)
    assert (actions[:, 0] == actions[:, 1]).double().mean() == pytest.approx(0.25, abs=0.05)
    correlation = np.corrcoef(actions.T.double())[0, 1]
    assert abs(correlation) < 0.1


def test_the_stream_advances_alike_whatever_is_explored() -> None:
    greedy, random = make_generator(3), make_generator(3)
    epsilon_greedy(torch.zeros(4, 5), 0.0, greedy)
    epsilon_greedy(torch.ones(4, 5), 1.0, random)
    assert torch.equal(greedy.get_state(), random.get_state())


def test_actions_come_from_the_given_stream_alone() -> None:
    state = torch.get_rng_state()
    first, second = (epsilon_greedy(torch.zeros(8, 18), 0.9, make_generator(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, epsilon_greedy(torch.zeros(8, 18), 0.9, make_generator(8)))


def test_selected_actions_follow_the_coins() -> None:
    q_values = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    actions = select_actions(q_values, torch.tensor([True, False]), torch.tensor([0, 1]))
    assert actions.tolist() == [0, 2]


def make_frames(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), dtype=np.uint8)


def read_stacks(stack: FrameStack) -> list[list[int]]:
    assert stack.observation.dtype == torch.uint8
    assert tuple(stack.observation.shape[2:]) == (2, 3)
    assert (stack.observation == stack.observation[:, :, :1, :1]).all()
    return stack.observation[:, :, 0, 0].tolist()


def test_a_stack_begins_with_zeros_and_ends_with_the_newest_frame() -> None:
    stack = FrameStack(2, 4, (2, 3), torch.device("cpu"))
    stack.start(make_frames(1, 11), np.array([True, True]))
    assert read_stacks(stack) == [[0, 0, 0, 1], [0, 0, 0, 11]]
    for step in range(2, 6):
        stack.push(make_frames(step, 10 + step))
    assert read_stacks(stack) == [[2, 3, 4, 5], [12, 13, 14, 15]]


def test_a_stack_forgets_the_episode_before_and_leaves_the_others_alone() -> None:
    stack = FrameStack(2, 3, (2, 3), torch.device("cpu"))
    stack.start(make_frames(1, 11), np.array([True, True]))
    stack.push(make_frames(2, 12))
    stack.start(make_frames(7, 99), np.array([True, False]))
    assert read_stacks(stack) == [[0, 0, 7], [0, 11, 12]]


def test_an_observation_that_was_handed_out_never_changes() -> None:
    stack = FrameStack(1, 2, (2, 3), torch.device("cpu"))
    frames = make_frames(1)
    stack.start(frames, np.array([True]))
    observation = stack.observation
    copy = observation.clone()
    frames[:] = 200
    stack.push(make_frames(2))
    stack.start(make_frames(3), np.array([True]))
    assert torch.equal(observation, copy)

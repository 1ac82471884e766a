"""Does every environment explore by itself, and do stacks show what the agent may see?"""

from itertools import groupby

import numpy as np
import pytest
import torch

from wn_rl.acting.policies import Exploration, Policy, PolicyState, QFunction
from wn_rl.types import ObservationSpec

NUM_CALLS = 1500


def make_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def epsilon_greedy(q_values: torch.Tensor, epsilon: float, generator: torch.Generator) -> torch.Tensor:
    """As training explores without repeats."""
    num_envs, num_actions = q_values.shape
    exploration = Exploration(num_envs=num_envs, num_actions=num_actions, max_repeats=1, generator=generator)
    return exploration.choose(q_values.argmax(dim=1), epsilon)


def draw_actions(num_envs: int, num_actions: int, epsilon: float) -> torch.Tensor:
    """Return i64 [NUM_CALLS, N] of environments whose greedy action is 0."""
    q_values = torch.zeros(num_envs, num_actions)
    q_values[:, 0] = 1.0
    generator = make_generator()
    return torch.stack([epsilon_greedy(q_values, epsilon, generator) for _ in range(NUM_CALLS)])


def test_without_exploration_every_environment_takes_its_best_action_and_the_first_of_equals() -> None:
    q_values = torch.tensor([[1.0, 3.0, 2.0], [2.0, 1.0, 2.0], [-1.0, -2.0, -0.5], [0.0, 0.0, 0.0]])
    policy = make_policy(stack_size=1, q_function=lambda stacks: q_values)
    decision, _ = policy.act(make_frames(1, 2, 3, 4), np.ones(4, np.bool_), policy.begin(4))
    assert decision.actions.tolist() == [1, 0, 2, 0]
    assert decision.actions.dtype == torch.int64
    assert decision.q_values is q_values


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


def make_exploration(num_envs: int, num_actions: int, max_repeats: int, seed: int = 0) -> Exploration:
    return Exploration(
        num_envs=num_envs, num_actions=num_actions, max_repeats=max_repeats, generator=make_generator(seed)
    )


def list_repeats(actions: list[int]) -> list[int]:
    """How often in a row each action was taken, but for the last one, which may go on."""
    return [len(list(group)) for _, group in groupby(actions)][:-1]


def test_without_repeats_training_explores_epsilon_greedily() -> None:
    exploration, generator = make_exploration(3, 4, max_repeats=1, seed=5), make_generator(5)
    for epsilon in (1.0, 0.5, 0.0, 0.5):
        q_values = torch.randn(3, 4, generator=make_generator(9))
        assert torch.equal(
            exploration.choose(q_values.argmax(dim=1), epsilon), epsilon_greedy(q_values, epsilon, generator)
        )
    assert torch.equal(exploration.choose_random(), torch.randint(4, (3,), generator=generator))


def test_an_exploring_action_is_repeated_as_often_as_the_zeta_distribution_says() -> None:
    """With so many actions two explorations in a row are never the same."""
    exploration = make_exploration(4, 10**9, max_repeats=3)
    rounds = torch.stack([exploration.choose_random() for _ in range(4000)])
    repeats = [count for lane in rounds.T.tolist() for count in list_repeats(lane)]
    weights = np.array([1, 1 / 4, 1 / 9])
    frequencies = np.bincount(repeats, minlength=4)[1:] / len(repeats)
    np.testing.assert_allclose(frequencies, weights / weights.sum(), atol=0.015)


def test_every_environment_repeats_for_its_own_time() -> None:
    """Where all begin at once, all four would go on for as long as each other with the chance of a shared draw."""
    firsts = []
    for seed in range(200):
        exploration = make_exploration(4, 10**9, max_repeats=3, seed=seed)
        rounds = torch.stack([exploration.choose_random() for _ in range(5)])
        firsts.append([list_repeats(lane)[0] for lane in rounds.T.tolist()])
    alike = np.mean([len(set(times)) == 1 for times in firsts])
    weights = np.array([1, 1 / 4, 1 / 9])
    assert alike == pytest.approx(float(((weights / weights.sum()) ** 4).sum()), abs=0.12)


def test_what_is_repeated_follows_from_coins_actions_and_times() -> None:
    """By hand, for one environment: -1 stands for the greedy action."""
    num_rounds, epsilon, num_actions = 300, 0.3, 7
    exploration, generator = make_exploration(1, num_actions, max_repeats=10_000, seed=2), make_generator(2)
    shares = np.cumsum(1 / np.arange(1.0, 10_001) ** 2)
    expected: list[int] = []
    left, repeated = 0, -1
    for _ in range(num_rounds):
        coin = float(torch.rand(1, generator=generator, dtype=torch.float64))
        action = int(torch.randint(num_actions, (1,), generator=generator))
        uniform = float(torch.rand(1, generator=generator, dtype=torch.float64))
        if left == 0 and coin < epsilon:
            repeated = action
            left = next(times for times, share in enumerate(shares / shares[-1], start=1) if uniform < share)
        expected.append(repeated if left else -1)
        left = max(left - 1, 0)
    q_values = torch.full((1, num_actions + 1), 0.0)
    q_values[0, num_actions] = 1.0  # never drawn: what is not explored is seen
    chosen = [int(exploration.choose(q_values.argmax(dim=1), epsilon)[0]) for _ in range(num_rounds)]
    assert [-1 if action == num_actions else action for action in chosen] == expected
    assert max(list_repeats([action for action in expected if action >= 0])) > 2


def test_exploration_goes_on_in_the_middle_of_repeats() -> None:
    first, second = (make_exploration(5, 1000, max_repeats=50, seed=seed) for seed in (3, 4))
    greedy = torch.zeros(5, dtype=torch.int64)
    for _ in range(20):
        first.choose(greedy, 0.5)
    state = first.state_dict()
    assert int(state["times_left"].max()) > 0
    expected = [first.choose(greedy, 0.5).tolist() for _ in range(20)]
    assert second.is_sound(state)
    second.load_state_dict(state)
    assert [second.choose(greedy, 0.5).tolist() for _ in range(20)] == expected


@pytest.mark.parametrize(
    "change",
    [
        {"times_left": torch.full((2,), 50)}, {"times_left": torch.full((2,), -1)}, {"times_left": torch.zeros(2)},
        {"times_left": torch.zeros(3, dtype=torch.int64)}, {"repeated_actions": torch.full((2,), 4)},
        {"generator": torch.zeros(3, dtype=torch.uint8)}, {"more": torch.zeros(1)},
    ],
)  # fmt: skip
def test_states_that_cannot_be_are_not_sound(change: dict[str, torch.Tensor]) -> None:
    exploration = make_exploration(2, 4, max_repeats=50)
    assert exploration.is_sound(exploration.state_dict())
    assert not exploration.is_sound({**exploration.state_dict(), **change})
    assert not make_exploration(2, 4, max_repeats=1).is_sound(exploration.state_dict())


def make_frames(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), dtype=np.uint8)


def make_policy(stack_size: int, q_function: QFunction = lambda stacks: torch.zeros(len(stacks), 3)) -> Policy:
    return Policy(
        q_function, stack_size=stack_size, observation=ObservationSpec((2, 3), "uint8"), device=torch.device("cpu")
    )


def read_stacks(state: PolicyState) -> list[list[int]]:
    assert state.stack.dtype == torch.uint8
    assert tuple(state.stack.shape[2:]) == (2, 3)
    assert (state.stack == state.stack[:, :, :1, :1]).all()
    return state.stack[:, :, 0, 0].tolist()


def test_a_stack_begins_with_zeros_and_ends_with_the_newest_frame() -> None:
    policy = make_policy(stack_size=4)
    state = policy.observe(make_frames(1, 11), np.array([True, True]), policy.begin(2))
    assert read_stacks(state) == [[0, 0, 0, 1], [0, 0, 0, 11]]
    for step in range(2, 6):
        _, state = policy.act(make_frames(step, 10 + step), np.array([False, False]), state)
    assert read_stacks(state) == [[2, 3, 4, 5], [12, 13, 14, 15]]


def test_a_stack_forgets_the_episode_before_and_leaves_the_others_alone() -> None:
    policy = make_policy(stack_size=3)
    state = policy.observe(make_frames(1, 11), np.array([True, True]), policy.begin(2))
    state = policy.observe(make_frames(2, 12), np.array([False, False]), state)
    state = policy.observe(make_frames(7, 13), np.array([True, False]), state)
    assert read_stacks(state) == [[0, 0, 7], [11, 12, 13]]


def test_an_observation_that_was_handed_out_never_changes() -> None:
    policy = make_policy(stack_size=2)
    frames = make_frames(1)
    state = policy.observe(frames, np.array([True]), policy.begin(1))
    before = state.stack.clone()
    frames[:] = 200
    policy.observe(make_frames(2), np.array([False]), state)
    policy.observe(make_frames(3), np.array([True]), state)
    assert torch.equal(state.stack, before)

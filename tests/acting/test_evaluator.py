"""Does an evaluation play whole games, on raw rewards, exactly the same way every time?"""

import dataclasses

import numpy as np
import pytest
import torch

from tests.helpers.chain import RIGHT, ChainEnvironments
from tests.helpers.counting import (
    CountingEnvironments,
    FrameIdentity,
    Outcomes,
    decode_frame,
    make_random_outcomes,
)
from tests.helpers.scalar_atari import MACHADO
from wn_rl.acting.evaluator import EvaluationSummary, evaluate_agent, summarize_returns
from wn_rl.acting.policies import Policy, QFunction
from wn_rl.envs.atari import AtariEnvironments
from wn_rl.envs.rendering import EpisodeRecord
from wn_rl.system.seeding import compute_training_seeds
from wn_rl.types import VectorEnvironment

NUM_ROUNDS = 211


def make_chain(num_envs: int) -> ChainEnvironments:
    return ChainEnvironments(
        num_envs=num_envs,
        num_states=5,
        slip_probability=0.3,
        goal_reward=10.0,
        start_reward=2.0,
        starts_anywhere=True,
        max_episode_agent_steps=25,
        frame_shape=(2, 5),
    )


def make_script() -> Outcomes:
    """One column: all environments follow it, each from the row that its seed says."""
    return make_random_outcomes(
        seed=1,
        num_rounds=NUM_ROUNDS,
        num_envs=1,
        termination_probability=0.06,
        truncation_probability=0.04,
        life_loss_probability=0.3,
    )


def make_counting(num_envs: int) -> CountingEnvironments:
    repeated = Outcomes(*(np.repeat(column, num_envs, axis=1) for column in make_script()))
    return CountingEnvironments(outcomes=repeated, num_actions=4, frame_shape=(3, 4))


def prefer_left_then_right(observation: torch.Tensor) -> torch.Tensor:
    """Q-values of two actions, by integer arithmetic on each row alone: no rounding, whatever the batch."""
    score = (observation.long() * torch.arange(1, observation[0].numel() + 1).view(observation.shape[1:])).sum(
        dim=(1, 2, 3)
    )
    return torch.stack([score % 3, score % 5], dim=1).float()


def prefer_nothing(observation: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(observation), 4)


def evaluate(
    environments: VectorEnvironment,
    q_function: QFunction,
    *,
    num_episodes: int,
    epsilon: float = 0.3,
    seed: int = 0,
    finished: list[EpisodeRecord] | None = None,
) -> list[EpisodeRecord]:
    return evaluate_agent(
        policy=Policy(q_function, stack_size=4, observation=environments.observation, device=torch.device("cpu")),
        environments=environments,
        game="Chain",
        protocol=MACHADO,
        num_episodes=num_episodes,
        epsilon=epsilon,
        seed=seed,
        on_episode=None if finished is None else finished.append,
    )


def as_values(records: list[EpisodeRecord]) -> list[dict[str, object]]:
    return [dataclasses.asdict(record) | {"actions": record.actions.tolist()} for record in records]


def test_the_same_call_gives_the_same_records_bit_for_bit_even_in_used_environments() -> None:
    environments = make_chain(3)
    expected = as_values(evaluate(environments, prefer_left_then_right, num_episodes=7))
    torch.rand(3)
    np.random.default_rng().random()
    assert as_values(evaluate(environments, prefer_left_then_right, num_episodes=7)) == expected
    assert as_values(evaluate(make_chain(3), prefer_left_then_right, num_episodes=7)) == expected
    assert as_values(evaluate(make_chain(3), prefer_left_then_right, num_episodes=7, seed=1)) != expected


@pytest.mark.parametrize("num_envs", [2, 3, 20])
def test_an_episode_is_the_same_whichever_environment_plays_it_and_beside_whichever_others(
    num_envs: int,
) -> None:
    """This also shows that short games are not favored: the first to end are not the ones that count."""
    expected = as_values(evaluate(make_chain(1), prefer_left_then_right, num_episodes=11))
    assert len({record["num_agent_steps"] for record in expected}) > 3
    assert as_values(evaluate(make_chain(num_envs), prefer_left_then_right, num_episodes=11)) == expected


def test_more_episodes_begin_with_the_same_ones() -> None:
    expected = as_values(evaluate(make_chain(2), prefer_left_then_right, num_episodes=9))
    assert as_values(evaluate(make_chain(2), prefer_left_then_right, num_episodes=4)) == expected[:4]


def test_returns_are_raw_and_reach_over_every_life_to_the_end_of_the_game() -> None:
    records = evaluate(make_counting(3), prefer_nothing, num_episodes=20)
    script = make_script()
    reward, ended = script.reward[:, 0], (script.terminated | script.truncated)[:, 0]
    num_life_losses = 0
    for record in records:
        rows = [record.seed % NUM_ROUNDS]
        while not ended[rows[-1]]:
            rows.append((rows[-1] + 1) % NUM_ROUNDS)
        num_life_losses += int(script.life_lost[rows, 0].sum())
        assert record.episode_return == reward[rows].sum()
        assert record.num_agent_steps == len(record.actions) == len(rows)
        assert record.num_frames == 4 * len(rows)
        assert record.ended_by == ("terminated" if script.terminated[rows[-1], 0] else "truncated")
    assert num_life_losses > 20
    assert {record.ended_by for record in records} == {"terminated", "truncated"}


def test_a_record_says_what_was_played() -> None:
    record = evaluate(make_counting(1), prefer_nothing, num_episodes=1)[0]
    assert record.game == "Chain"
    assert record.protocol_name == "machado"
    assert record.protocol_values == dataclasses.asdict(MACHADO)
    assert record.actions.dtype == np.uint8


def test_every_record_is_announced_once_when_its_game_is_over() -> None:
    finished: list[EpisodeRecord] = []
    records = evaluate(make_chain(3), prefer_left_then_right, num_episodes=8, finished=finished)
    assert len(finished) == 8
    assert {id(record) for record in finished} == {id(record) for record in records}


def test_every_episode_has_its_own_seed_and_none_of_trainings() -> None:
    seeds = [record.seed for record in evaluate(make_chain(20), prefer_left_then_right, num_episodes=60)]
    assert len(set(seeds)) == 60
    assert all(0 <= seed < 2**31 for seed in seeds)
    training = {int(seed) for iteration in range(50) for seed in compute_training_seeds(0, iteration, 8)}
    assert not training & set(seeds)
    neighbors = {record.seed for record in evaluate(make_chain(20), prefer_left_then_right, num_episodes=60, seed=1)}
    assert not neighbors & set(seeds)


def test_episodes_explore_by_streams_of_their_own() -> None:
    records = evaluate(make_counting(4), prefer_nothing, num_episodes=40, epsilon=1.0)
    actions = [record.actions[:8].tolist() for record in records if record.num_agent_steps >= 8]
    assert len(actions) > 10
    assert len({tuple(action) for action in actions}) == len(actions)
    played = np.concatenate([record.actions for record in records])
    np.testing.assert_allclose(np.bincount(played, minlength=4) / len(played), 0.25, atol=0.07)


def test_epsilon_is_the_share_of_random_actions() -> None:
    def always_right(observation: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[0.0, 1.0]]).expand(len(observation), 2)

    for epsilon, share in ((0.0, 1.0), (0.4, 0.8)):
        records = evaluate(make_chain(16), always_right, num_episodes=150, epsilon=epsilon)
        actions = np.concatenate([record.actions for record in records])
        assert (actions == RIGHT).mean() == pytest.approx(share, abs=0.04)


def test_the_network_sees_the_last_frames_of_the_running_episode_and_zeros_before_them() -> None:
    observations: list[torch.Tensor] = []

    def watch(observation: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        observations.append(observation)
        return prefer_nothing(observation)

    evaluate(make_counting(2), watch, num_episodes=12)
    num_first_steps = 0
    for observation in observations:
        for lane, stack in enumerate(observation.numpy()):
            newest = decode_frame(stack[-1])
            assert newest is not None
            assert newest.lane == lane
            for age, frame in enumerate(reversed(stack)):
                expected = newest._replace(step=newest.step - age) if newest.step >= age else None
                assert decode_frame(frame) == expected
            num_first_steps += newest == FrameIdentity(lane, newest.seed, newest.episode, 0)
    assert num_first_steps >= 12
    assert len({len(observation) for observation in observations}) == 1


def test_no_global_random_stream_is_touched() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    evaluate(make_chain(2), prefer_left_then_right, num_episodes=3)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


@pytest.mark.parametrize(("num_episodes", "epsilon"), [(0, 0.1), (1, -0.1), (1, 1.1)])
def test_an_impossible_evaluation_is_refused(num_episodes: int, epsilon: float) -> None:
    with pytest.raises(ValueError, match="num_episodes"):
        evaluate(make_chain(1), prefer_left_then_right, num_episodes=num_episodes, epsilon=epsilon)


def test_an_atari_evaluation_is_the_same_for_any_number_of_environments_and_threads() -> None:
    protocol = dataclasses.replace(MACHADO, max_episode_frames=4 * 30, noop_max=10)

    def play(num_envs: int, num_threads: int) -> list[dict[str, object]]:
        environments = AtariEnvironments(
            game="SpaceInvaders", protocol=protocol, num_envs=num_envs, num_threads=num_threads
        )
        records = evaluate(environments, watch_columns, num_episodes=3, epsilon=0.3)
        environments.close()
        return as_values(records)

    def watch_columns(observation: torch.Tensor) -> torch.Tensor:
        return torch.stack([observation[:, -1, :, 10 * i].long().sum(dim=1) for i in range(6)], dim=1).float()

    expected = play(1, 1)
    assert [record["num_agent_steps"] for record in expected] == [30, 30, 30]
    assert play(2, 2) == expected


def make_records(returns: list[float], num_agent_steps: int = 3) -> list[EpisodeRecord]:
    template = evaluate(make_counting(1), prefer_nothing, num_episodes=1)[0]
    return [
        dataclasses.replace(template, episode_return=value, num_agent_steps=num_agent_steps + index)
        for index, value in enumerate(returns)
    ]


def test_a_summary_holds_the_plain_statistics() -> None:
    summary = summarize_returns(make_records([1.0, 2.0, 3.0, 10.0]), 0)
    assert (summary.episodes, summary.mean, summary.median) == (4, 4.0, 2.5)
    assert (summary.min, summary.max, summary.mean_agent_steps) == (1.0, 10.0, 4.5)
    assert 1.0 <= summary.ci95_low < 4.0 < summary.ci95_high <= 10.0


def test_the_interval_of_many_episodes_is_that_of_the_central_limit_theorem() -> None:
    returns = np.random.default_rng(0).normal(100.0, 30.0, size=400)
    summary = summarize_returns(make_records(returns.tolist()), 0)
    half_width = 1.96 * returns.std() / np.sqrt(len(returns))
    assert summary.ci95_low == pytest.approx(returns.mean() - half_width, abs=0.05 * half_width)
    assert summary.ci95_high == pytest.approx(returns.mean() + half_width, abs=0.05 * half_width)


def test_the_interval_is_exact_for_equal_returns_and_a_function_of_its_seed() -> None:
    assert summarize_returns(make_records([7.0]), 0) == EvaluationSummary(
        episodes=1, mean=7.0, ci95_low=7.0, ci95_high=7.0, median=7.0, min=7.0, max=7.0, mean_agent_steps=3.0
    )
    records = make_records(np.random.default_rng(1).normal(size=30).tolist())
    assert summarize_returns(records, 4) == summarize_returns(records, 4)
    assert summarize_returns(records, 4) != summarize_returns(records, 5)


def test_an_evaluation_without_episodes_has_no_summary() -> None:
    with pytest.raises(ValueError, match="without episodes"):
        summarize_returns([], 0)

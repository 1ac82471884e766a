"""Schedules and the division of a run, worked by hand."""

from itertools import product
from math import ceil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wn_rl.learning.schedules import CosineSchedule, LinearSchedule, RunLength, set_learning_rate


@pytest.mark.parametrize(
    ("agent_steps", "value"),
    [(0, 1.0), (100, 1.0), (150, 0.775), (200, 0.55), (299, 0.1045), (300, 0.1), (9999, 0.1)],
)
def test_epsilon_falls_linearly_from_the_end_of_the_warmup(agent_steps: int, value: float) -> None:
    schedule = LinearSchedule(initial=1.0, final=0.1, begin_agent_steps=100, duration_agent_steps=200)
    assert schedule(agent_steps) == pytest.approx(value)


@pytest.mark.parametrize("kind", [LinearSchedule, CosineSchedule])
def test_a_schedule_without_duration_jumps(kind: type[LinearSchedule] | type[CosineSchedule]) -> None:
    schedule = kind(initial=1.0, final=0.1, begin_agent_steps=100, duration_agent_steps=0)
    assert (schedule(99), schedule(100)) == (1.0, 0.1)


@pytest.mark.parametrize(
    ("agent_steps", "value"),
    [
        (0, 5.0),
        (100, 5.0),
        (150, 3 + 2**0.5),
        (200, 3.0),
        (220, 3 - 2 * 0.309017),
        (250, 3 - 2**0.5),
        (300, 1.0),
        (999, 1.0),
    ],
)
def test_a_cosine_falls_slowly_at_both_ends_and_fastest_between(agent_steps: int, value: float) -> None:
    schedule = CosineSchedule(initial=5.0, final=1.0, begin_agent_steps=100, duration_agent_steps=200)
    assert schedule(agent_steps) == pytest.approx(value, rel=1e-3)


def test_an_optimizer_keeps_its_own_learning_rate_where_there_is_no_schedule() -> None:
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": 0.5}], lr=0.25)
    set_learning_rate(optimizer, None, 10)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.5]
    set_learning_rate(optimizer, lambda agent_steps: agent_steps / 100, 10)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]


def test_the_last_iteration_may_be_shorter() -> None:
    length = RunLength(total_agent_steps=250, iteration_agent_steps=100, chunk_agent_steps=30, num_envs=4)
    assert length.num_iterations == 3
    assert [length.compute_iteration_end(i) for i in range(3)] == [100, 200, 250]


def test_an_iteration_that_no_round_is_left_for_is_none() -> None:
    """As where rounds of 8 reach the 18 agent steps of a run with its first iteration of 17."""
    for num_envs, total, iteration in product((1, 3, 8), range(1, 40), range(8, 14)):
        length = RunLength(
            total_agent_steps=total, iteration_agent_steps=iteration, chunk_agent_steps=30, num_envs=num_envs
        )
        agent_steps = 0
        for i in range(length.num_iterations):
            assert length.compute_num_rounds(agent_steps, i, 0) > 0
            agent_steps = ceil(length.compute_iteration_end(i) / num_envs) * num_envs
        assert agent_steps >= total


@given(
    total=st.integers(1, 500), iteration=st.integers(1, 200), chunk=st.integers(1, 70), num_envs=st.integers(1, 40),
    warmup=st.integers(0, 50),
)  # fmt: skip
def test_chunks_bring_every_iteration_exactly_to_its_end(
    total: int, iteration: int, chunk: int, num_envs: int, warmup: int
) -> None:
    length = RunLength(
        total_agent_steps=total, iteration_agent_steps=iteration, chunk_agent_steps=chunk, num_envs=num_envs
    )
    agent_steps = min(warmup, total)
    for i in range(length.num_iterations):
        rounds = []
        for c in range(length.num_chunks):
            rounds.append(length.compute_num_rounds(agent_steps, i, c))
            agent_steps += rounds[-1] * num_envs
        assert max(rounds) - min(rounds) <= 1
        end = length.compute_iteration_end(i)
        assert end <= agent_steps < end + max(num_envs, warmup + 1)

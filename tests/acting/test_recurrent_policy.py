"""Does a policy with a memory carry it from step to step, and begin each episode without any?"""

import numpy as np
import torch
from torch import Tensor

from wn_rl.acting.recurrent_policy import RecurrentPolicy
from wn_rl.types import ObservationSpec


def count(stack: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Remembers the sum of all frames so far, and how many there were; the first is the value of action 0."""
    after = memory + torch.stack([stack[:, -1, 0], torch.ones(len(stack))], dim=1)
    return torch.stack([after[:, 0], torch.zeros(len(stack))], dim=1), after


def make_policy() -> RecurrentPolicy:
    return RecurrentPolicy(
        count, memory_size=2, stack_size=1, observation=ObservationSpec((1,), "float32"), device=torch.device("cpu")
    )


def frames(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def test_what_was_seen_is_remembered_until_the_episode_ends() -> None:
    policy = make_policy()
    decision, state = policy.act(frames(1, -10), np.array([True, True]), policy.begin(2))
    decision, state = policy.act(frames(2, 20), np.array([False, False]), state)
    assert (decision.actions.tolist(), decision.q_values[:, 0].tolist()) == ([0, 0], [3, 10])
    assert (state.memory.tolist(), state.next_memory.tolist()) == ([[1, 1], [-10, 1]], [[3, 2], [10, 2]])
    decision, state = policy.act(frames(4, 5), np.array([False, True]), state)
    assert (state.memory.tolist(), state.next_memory.tolist()) == ([[3, 2], [0, 0]], [[7, 3], [5, 1]])


def test_what_is_only_observed_leaves_no_trace_and_changes_no_state() -> None:
    policy = make_policy()
    _, state = policy.act(frames(1, 2), np.array([True, True]), policy.begin(2))
    seen = policy.observe(frames(3, 4), np.array([False, True]), state)
    assert (seen.memory.tolist(), seen.next_memory.tolist()) == ([[1, 1], [0, 0]],) * 2
    assert state.next_memory.tolist() == [[1, 1], [2, 1]]

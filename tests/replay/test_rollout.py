"""What a rollout holds; tests/algorithms/test_pqn.py has what is made of it."""

import numpy as np
import torch
from torch import Tensor

from wn_rl.replay.rollout import Rollout, RolloutSection
from wn_rl.types import ObservationSpec, Step


def make_rollout() -> Rollout:
    settings = RolloutSection(num_rounds=4, gamma=0.9, trace_decay=0.5, reward_clip=None)
    rollout = Rollout(
        settings, num_lanes=2, observation=ObservationSpec((3,), "float32"), stack_size=2,
        life_loss_ends_discount=False, device=torch.device("cpu"),
    )  # fmt: skip
    rollout.allocate()
    return rollout


def add_rounds(rollout: Rollout, *numbers: float) -> None:
    """Whose observations are the number, and its negative in the second lane."""
    nowhere, frame = np.zeros(2, np.bool_), np.zeros((2, 3), np.float32)
    for number in numbers:
        stack = torch.tensor([number, -number]).view(2, 1, 1).expand(2, 2, 3)
        rollout.add(stack, np.array([0, 1]), Step(frame, np.zeros(2, np.float32), nowhere, nowhere, nowhere))


def draw(rollout: Rollout) -> set[float]:
    states: Tensor = rollout.sample_states(200, torch.Generator().manual_seed(0))
    assert states.shape == (200, 2, 3)
    return set(states.flatten().tolist())


def test_states_are_drawn_from_the_rounds_that_are_held_or_were_before() -> None:
    rollout = make_rollout()
    add_rounds(rollout, 1, 2, 3, 4)
    assert rollout.is_full
    assert draw(rollout) == {1, -1, 2, -2, 3, -3, 4, -4}
    rollout.clear()
    add_rounds(rollout, 5, 6)
    rollout.clear()  # an iteration ended
    assert draw(rollout) == {5, -5, 6, -6}
    add_rounds(rollout, 7)
    assert draw(rollout) == {7, -7}


def test_rows_are_read_in_the_order_of_play() -> None:
    rollout = make_rollout()
    add_rounds(rollout, 1, 2)
    states, actions = rollout.read(torch.tensor([3, 0, 2]))
    assert (states[:, 0, 0].tolist(), actions.tolist()) == ([-2, 1, 2], [1, 0, 0])

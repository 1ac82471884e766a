"""r_t and discount_t of n-step transitions, worked by hand: rewards are all distinct, n = 3, gamma = 0.5."""

import numpy as np
import pytest

from wn_rl.replay.accumulator import Accumulator
from wn_rl.replay.columns import Columns
from wn_rl.replay.replay_settings import ReplaySettings
from wn_rl.types import ObservationSpec, Step

PIXEL = ObservationSpec((1, 1), "uint8")

N_STEP = 3


class Lane:
    """One episode in one lane: observation t lies in row t."""

    def __init__(
        self,
        *,
        n_step: int = N_STEP,
        gamma: float = 0.5,
        reward_clip: float | None = None,
        life_loss_ends_discount: bool = True,
    ) -> None:
        self.columns = Columns(32)
        self.complete: list[int] = []
        self.num_actions = 0
        settings = ReplaySettings(
            capacity=32, num_lanes=1, observation=PIXEL, stack_size=1, n_step=n_step, gamma=gamma,
            reward_clip=reward_clip, life_loss_ends_discount=life_loss_ends_discount,
        )  # fmt: skip
        self.accumulator = Accumulator(settings)

    def _rows(self, newest: int) -> np.ndarray:
        return (newest - np.arange(self.accumulator.n_step))[None] % 32

    def add(self, reward: float, *flags: str) -> "Lane":
        events = [np.array([name in flags]) for name in ("terminated", "truncated", "life_lost")]
        step = Step(np.zeros((1, 1, 1), np.uint8), np.array([reward], np.float32), *events)
        rows = self.accumulator.add(self.columns, rows=self._rows(self.num_actions), step=step)
        self.num_actions += 1
        if step.ended[0]:
            self.num_actions += 1  # the final observation has a row of its own
        self.complete += rows.tolist()
        return self

    def cut(self) -> "Lane":
        self.complete += self.accumulator.cut(self._rows(self.num_actions)).tolist()
        self.num_actions += 1
        return self

    def read(self) -> dict[int, tuple[float, float, int]]:
        """(reward, discount, num_steps) of the complete rows, each of which was completed once."""
        assert len(set(self.complete)) == len(self.complete)
        columns = (self.columns.reward, self.columns.discount, self.columns.num_steps)
        return {row: tuple(column[row].item() for column in columns) for row in sorted(self.complete)}


def test_a_transition_is_complete_after_n_steps_and_sums_their_discounted_rewards() -> None:
    lane = Lane().add(1).add(10)
    assert lane.read() == {}
    assert lane.add(100).read() == {0: (1 + 5 + 25, 0.125, 3)}
    assert lane.add(1000).read()[1] == (10 + 50 + 250, 0.125, 3)


def test_a_terminal_ends_the_discount_of_all_that_see_it_and_of_nothing_earlier() -> None:
    lane = Lane().add(1).add(10).add(100).add(1000, "terminated")
    assert lane.read() == {
        0: (1 + 5 + 25, 0.125, 3),
        1: (10 + 50 + 250, 0, 3),
        2: (100 + 500, 0, 2),
        3: (1000, 0, 1),
    }


def test_a_time_limit_keeps_bootstrap_with_the_steps_that_are_left() -> None:
    lane = Lane().add(1).add(10).add(100, "truncated")
    assert lane.read() == {0: (31, 0.125, 3), 1: (10 + 50, 0.25, 2), 2: (100, 0.5, 1)}


def test_a_terminal_at_the_time_limit_is_a_terminal() -> None:
    assert Lane().add(1, "terminated", "truncated").read() == {0: (1, 0, 1)}


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_nothing_is_summed_over_the_end_of_an_episode(end: str) -> None:
    lane = Lane().add(1, end).add(10).add(100).add(1000)
    discount = 0 if end == "terminated" else 0.5
    assert lane.read() == {0: (1, discount, 1), 2: (10 + 50 + 250, 0.125, 3)}


def test_a_lost_life_ends_the_discount_where_the_protocol_says_so() -> None:
    lane = Lane().add(1).add(10, "life_lost").add(100).add(1000).add(10_000)
    assert lane.read() == {0: (6, 0, 2), 1: (10, 0, 1), 2: (100 + 500 + 2500, 0.125, 3)}


def test_a_lost_life_is_nothing_where_the_protocol_says_so() -> None:
    lane = Lane(life_loss_ends_discount=False).add(1).add(10, "life_lost").add(100)
    assert lane.read() == {0: (31, 0.125, 3)}


def test_a_cut_is_a_time_limit_and_starts_no_transition_at_the_newest_observation() -> None:
    lane = Lane().add(1).add(10).add(100).cut()
    assert lane.read() == {0: (31, 0.125, 3), 1: (60, 0.25, 2), 2: (100, 0.5, 1)}
    assert lane.add(7, "truncated").read()[4] == (7, 0.5, 1)


def test_a_second_cut_completes_nothing_again() -> None:
    lane = Lane().add(1).cut()
    assert lane.accumulator.cut(lane._rows(lane.num_actions)).size == 0


def test_rewards_are_clipped_before_they_are_summed() -> None:
    lane = Lane(reward_clip=1.0).add(10).add(-10).add(0.25)
    assert lane.read() == {0: (1 - 0.5 + 0.0625, 0.125, 3)}


def test_one_step_transitions_are_complete_at_once() -> None:
    lane = Lane(n_step=1, gamma=0.99).add(3).add(5, "terminated")
    assert lane.read() == {0: (3, float(np.float32(0.99)), 1), 1: (5, 0, 1)}


def test_rewards_are_summed_in_float32_in_the_order_of_time() -> None:
    """Another order gives other bits: 1e8 + 1 - 1e8 is 0 in float32."""
    lane = Lane(gamma=1.0).add(1e8).add(1).add(-1e8)
    assert lane.read() == {0: (0, 1, 3)}


def test_discounts_are_powers_not_products_of_rounded_numbers() -> None:
    lane = Lane(n_step=9, gamma=0.99)
    for reward in range(9):
        lane.add(reward)
    assert lane.read()[0][1] == np.float32(0.99**9)


def test_lanes_do_not_mix() -> None:
    settings = ReplaySettings(
        capacity=32, num_lanes=2, observation=PIXEL, stack_size=1, n_step=2, gamma=0.5, reward_clip=None,
        life_loss_ends_discount=False,
    )  # fmt: skip
    accumulator = Accumulator(settings)
    columns = Columns(20)  # lane 1 begins at row 10
    no, frames = np.zeros(2, np.bool_), np.zeros((2, 1, 1), np.uint8)
    first = Step(frames, np.array([1, 10], np.float32), np.array([True, False]), no, no)
    second = Step(frames, np.array([100, 1000], np.float32), no, no, no)
    assert accumulator.add(columns, rows=np.array([[0, 9], [10, 19]]), step=first).tolist() == [0]
    assert accumulator.add(columns, rows=np.array([[2, 1], [11, 10]]), step=second).tolist() == [10]
    assert columns.reward[[0, 2, 10, 11]].tolist() == [1, 100, 10 + 500, 1000]
    assert columns.discount[[0, 10]].tolist() == [0, 0.25]
    assert np.count_nonzero(columns.num_steps) == 4

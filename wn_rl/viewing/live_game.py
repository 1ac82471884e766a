"""Live play: the game is stepped as it is shown, at the console's own speed."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Num

from wn_rl.acting.policies import Policy, draw_exploration
from wn_rl.envs.protocols import AnyProtocol
from wn_rl.envs.rendering import RenderedFrame, render_game

LONGEST_GAP_SECONDS = 0.25  # a picture is shown this often, however slow the display is
LARGEST_LAG_SECONDS = 1.0  # further behind, the game goes slower in place of skipping more


class LiveGame:
    """One game that an agent plays while one watches, epsilon-greedily.

    Args:
        game, protocol, seed: what is played; the seed also draws the exploration.
        policy: how the agent plays.
        epsilon: probability of a random action.
    """

    def __init__(
        self, *, game: str, protocol: AnyProtocol, seed: int, policy: Policy, epsilon: float,
    ) -> None:  # fmt: skip
        self._game, self._protocol, self._seed = game, protocol, seed
        self._policy, self._epsilon = policy, epsilon
        self._policy_state = policy.begin(1)
        self._generator = torch.Generator().manual_seed(seed)
        self.actions: list[int] = []
        self.score = 0.0

    def play(self) -> Iterator[RenderedFrame]:
        """Every emulator frame of the game; the agent chooses when the next one is asked for."""
        for frame in render_game(self._game, self._protocol, self._seed, choose_action=self._choose):
            self.score += frame.reward
            yield frame

    def _choose(self, newest_frame: Num[np.ndarray, "*frame"]) -> int:
        is_first = np.array([not self.actions])
        decision, self._policy_state = self._policy.act(newest_frame[None], is_first, self._policy_state)
        num_actions = decision.q_values.shape[1]
        explores, random_actions = draw_exploration(1, num_actions, self._epsilon, self._generator)
        self.actions.append(int(random_actions[0] if explores[0] else decision.actions[0]))
        return self.actions[-1]


class Pacer:
    """Keeps a sequence of frames at its speed: waits where it is early, and says which to skip where it is late.

    Args:
        frames_per_second: at which frames are due.
        clock: seconds that never run backwards.
        sleep: waits for some seconds.
    """

    def __init__(
        self, *, frames_per_second: float, clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self._period = 1 / frames_per_second
        self._clock, self._sleep = clock, sleep
        self._due: float | None = None
        self._shown = float("-inf")  # when the newest picture was finished
        self._is_showing = False

    def wait_for_frame(self) -> bool:
        """Wait until the next frame is due; False if it is so late that it should be skipped."""
        now = self._clock()
        if self._is_showing:
            self._shown, self._is_showing = now, False
        if self._due is None or now - self._due > LARGEST_LAG_SECONDS:
            self._due = now
        if now < self._due:
            self._sleep(self._due - now)
        is_late = now - self._due > self._period
        self._due += self._period
        if is_late and now - self._shown < LONGEST_GAP_SECONDS:
            return False
        self._is_showing = True
        return True

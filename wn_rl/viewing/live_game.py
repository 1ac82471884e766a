"""How is an agent watched while it plays? The game is stepped as it is shown, at the console's own speed."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import UInt8

from wn_rl.acting.frame_stack import FrameStack
from wn_rl.acting.policies import QFunction, epsilon_greedy
from wn_rl.envs.atari import FRAME_SHAPE
from wn_rl.envs.protocols import Protocol
from wn_rl.envs.rendering import START_AGENT_STEP, RenderedFrame, render_game

LONGEST_GAP_SECONDS = 0.25  # a picture is shown this often, however slow the display is
LARGEST_LAG_SECONDS = 1.0  # further behind, the game goes slower in place of skipping more


class LiveGame:
    """One game that an agent plays while one watches, epsilon-greedily.

    Args:
        game, protocol, seed: what is played; the seed also draws the exploration.
        q_function: observations u8 [1, S, H, W] to Q-values f32 [1, A].
        epsilon: probability of a random action.
        stack_size: S.
        device: where observations are put.
    """

    def __init__(
        self, *, game: str, protocol: Protocol, seed: int, q_function: QFunction, epsilon: float, stack_size: int,
        device: torch.device,
    ) -> None:  # fmt: skip
        self._game, self._protocol, self._seed = game, protocol, seed
        self._q_function, self._epsilon = q_function, epsilon
        self._frame_stack = FrameStack(1, stack_size, FRAME_SHAPE, device)
        self._generator = torch.Generator().manual_seed(seed)
        self.actions: list[int] = []
        self.score = 0.0

    def play(self) -> Iterator[RenderedFrame]:
        """Every emulator frame of the game; the agent chooses when the next one is asked for."""
        for frame in render_game(self._game, self._protocol, self._seed, choose_action=self._choose):
            self.score += frame.reward
            if frame.agent_step == START_AGENT_STEP and frame.observation_frame is not None:
                self._frame_stack.start(frame.observation_frame[None], np.ones(1, dtype=np.bool_))
            yield frame

    def _choose(self, newest_frame: UInt8[np.ndarray, "H W"]) -> int:
        if self.actions:  # the first one is chosen on the frame that the stack was started with
            self._frame_stack.push(newest_frame[None])
        with torch.no_grad():
            q_values = self._q_function(self._frame_stack.observation)
        self.actions.append(int(epsilon_greedy(q_values, self._epsilon, self._generator)[0]))
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

    def is_shown(self) -> bool:
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

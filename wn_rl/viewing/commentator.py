"""What the network makes of a game, moment by moment: the overlay's pictures, from the emulator's frames."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Num, UInt8

from wn_rl.acting.policies import Policy
from wn_rl.envs.protocols import AnyProtocol
from wn_rl.envs.rendering import START_AGENT_STEP, RenderedFrame
from wn_rl.envs.selection import find_action_names
from wn_rl.viewing.drawing import Picture
from wn_rl.viewing.overlay import OverlayMoment, OverlayPainter
from wn_rl.viewing.saliency_pictures import SaliencyFilter, SaliencyFunction

FIRST_CAPACITY = 1024  # agent steps


class AgentView(NamedTuple):
    """An agent as an overlay shows it: how it plays, and, if asked for, what the chosen action's value depends on."""

    policy: Policy
    saliency_function: SaliencyFunction | None


class Commentator:
    """Watches a game through the network's eyes, and tells beside it what the network makes of it.

    Its observations are rebuilt frame by frame, as acting builds them, so its Q-values are those by which the
    actions were chosen.

    Args:
        game, protocol: what is played.
        find_action: the action of an agent step, once a frame of that step is there.
        view: the agent that is looked at.
    """

    def __init__(
        self, *, game: str, protocol: AnyProtocol, find_action: Callable[[int], int], view: AgentView
    ) -> None:  # fmt: skip
        self._game, self._protocol, self._find_action = game, protocol, find_action
        self._action_names = find_action_names(game, protocol)
        self._policy, self._saliency_function = view
        self._saliency_filter = SaliencyFilter()
        self._saliency: Float32[np.ndarray, "H W"] | None = None
        self._policy_state = self._policy.begin(1)
        self._newest: Num[np.ndarray, "*frame"] = np.empty(0)  # until the first frame is there
        self._q_values = np.zeros((FIRST_CAPACITY, len(self._action_names)), dtype=np.float32)
        self._rewards = np.zeros(FIRST_CAPACITY, dtype=np.float32)

    def paint(self, frames: Iterable[RenderedFrame], *, scale: int) -> Iterator[Picture]:
        """Every frame with the panel of its agent step; a reward or a lost life shows where it occurs.

        The starting frames get the first step's panel, and so come when that step does.
        """
        start_frames: list[RenderedFrame] = []
        step, lives = START_AGENT_STEP, 0
        for frame in frames:
            if frame.agent_step == START_AGENT_STEP:
                start_frames.append(frame)
                self._remember(frame)
                continue
            if frame.agent_step > step:
                self._look(frame.agent_step)
            if step == START_AGENT_STEP:
                painter = self._make_painter(frame.rgb.shape[:2], scale)
                panel = painter.paint_panel(self._make_moment(0, start_frames[-1].lives))
                yield from (painter.compose(start_frame.rgb, panel) for start_frame in start_frames)
            self._rewards[frame.agent_step] += frame.reward
            if frame.agent_step > step or frame.reward != 0 or frame.lives != lives:
                step, lives = frame.agent_step, frame.lives
                panel = painter.paint_panel(self._make_moment(step, lives))
            yield painter.compose(frame.rgb, panel)
            self._remember(frame)

    def _remember(self, frame: RenderedFrame) -> None:
        if frame.observation_frame is not None:
            self._newest = frame.observation_frame

    def _look(self, step: int) -> None:
        """What the network makes of the observation before agent step ``step``."""
        if step == len(self._rewards):
            self._q_values = np.concatenate([self._q_values, np.zeros_like(self._q_values)])
            self._rewards = np.concatenate([self._rewards, np.zeros_like(self._rewards)])
        is_first = np.array([step == 0])
        decision, self._policy_state = self._policy.act(self._newest[None], is_first, self._policy_state)
        self._q_values[step] = decision.q_values[0].cpu().numpy()
        if self._saliency_function is not None:
            stack, memory, _ = self._policy_state
            memory = None if memory is None else memory[0]
            saliency = self._saliency_function(stack[0], self._find_action(step), memory)
            self._saliency = self._saliency_filter.update(saliency.cpu().numpy())

    def _make_moment(self, step: int, lives: int) -> OverlayMoment:
        return OverlayMoment(
            observation=self._observe(),
            q_values=self._q_values[: step + 1],
            rewards=self._rewards[: step + 1],
            action=self._find_action(step),
            lives=lives,
            saliency=self._saliency,
            memory_norm=self._measure_memory(),
        )

    def _measure_memory(self) -> float | None:
        memory = self._policy_state.next_memory
        return None if memory is None else float(memory.norm())

    def _observe(self) -> UInt8[np.ndarray, "S H W"]:
        return self._policy_state.stack[0].cpu().numpy()

    def _make_painter(self, picture_shape: tuple[int, int], scale: int) -> OverlayPainter:
        return OverlayPainter(
            game=self._game,
            action_names=self._action_names,
            picture_shape=picture_shape,
            scale=scale,
            agent_steps_per_second=self._protocol.frames_per_second / self._protocol.frame_skip,
        )

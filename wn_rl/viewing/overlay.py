"""What the agent sees and thinks, drawn beside the game for people who know nothing of networks.

From top to bottom: the frames that the network is shown, with score, reward and lives; how good each action
looks to it; and the value that it has given to the game so far.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from wn_rl.errors import ConfigurationError
from wn_rl.viewing import drawing, overlay_parts
from wn_rl.viewing.drawing import Canvas, Picture
from wn_rl.viewing.overlay_parts import BarRow, ScoreBoard, ValueCurve
from wn_rl.viewing.video import scale_up

SMALLEST_SCALE = 3  # the small letters are 3.2 units high, and 9 pixels are the least that one can read
PANEL_WIDTH = 160  # in units; a unit is one pixel of the unscaled game
FLASH_SECONDS = 0.75
CURVE_SECONDS = 30
CURVE_SHIFT_SECONDS = 5  # the curve moves on in jumps: a picture that always slides is slow to encode
SPREAD_MEMORY = 0.98  # per agent step: bars keep their scale for about 50 agent steps, 3 seconds
SPREAD_STEPS = 400  # 0.98^400 = 0.0003: earlier ones change no pixel


class OverlayMoment(NamedTuple):
    """An agent's view of one agent step, and what led to it.

    ``observation`` is the stack that the network was shown, newest frame last; ``q_values[t]`` and
    ``rewards[t]`` (raw) belong to the agent steps 0 to T - 1, the last of which is shown; ``action`` is its
    index among the action names. ``lives`` is 0 in games that have none. ``saliency`` is 1 where the value of that
    action depends on a pixel most; None where it was not asked for. ``memory_norm`` is the length of what the network
    remembers after this step; None where it has no memory.
    """

    observation: UInt8[np.ndarray, "S H W"]
    q_values: Float32[np.ndarray, "T A"]
    rewards: Float32[np.ndarray, "T"]
    action: int
    lives: int
    saliency: Float32[np.ndarray, "H W"] | None
    memory_norm: float | None = None


def compute_bar_lengths(q_values: Float32[np.ndarray, "T A"]) -> Float32[np.ndarray, "A"]:
    """How long to draw the bars of the last step, so that what matters to the choice can be seen.

        length_a = max(0, 1 - (max_b q_b - q_a) / spread)
        spread = max_k 0.98^k (max_b q_b - min_b q_b)_{T - 1 - k}

    Q-values of one state differ little beside their size, so bars from zero would all look alike. The best
    action's bar is 1 long; one as bad as the worst of the last seconds is 0 long. Differences below 1 % of
    the value are noise, and are shown small.
    """
    recent = q_values[-SPREAD_STEPS:]
    spreads = recent.max(axis=1) - recent.min(axis=1)
    ages = np.arange(len(spreads))[::-1]
    best = q_values[-1].max()
    spread = max(float((spreads * SPREAD_MEMORY**ages).max()), 0.01 * abs(float(best)), 1e-6)
    return np.clip(1.0 - (best - q_values[-1]) / spread, 0.0, 1.0).astype(np.float32)


class OverlayPainter:
    """Draws the game and, beside it, a panel of the same height; every picture has the shape ``shape``.

    Args:
        game: title of the panel.
        action_names: A names, in the order of the Q-values.
        picture_shape: (H, W) of the unscaled game.
        scale: whole factor by which the game is scaled up.
        agent_steps_per_second: of game time; 15 with a frame skip of 4.

    Raises:
        ConfigurationError: a scale at which the letters could not be read.
    """

    def __init__(
        self,
        *,
        game: str,
        action_names: tuple[str, ...],
        picture_shape: tuple[int, int],
        scale: int,
        agent_steps_per_second: float,
    ) -> None:
        if scale < SMALLEST_SCALE:
            raise ConfigurationError(f"scale={scale}: an overlay is readable from scale={SMALLEST_SCALE} on")
        self.game = game
        self.action_names = action_names
        self.scale = scale
        self.agent_steps_per_second = agent_steps_per_second
        self.shape = (picture_shape[0] * scale, (picture_shape[1] + PANEL_WIDTH) * scale, 3)
        self._empty_panel = np.empty((self.shape[0], PANEL_WIDTH * scale, 3), dtype=np.uint8)
        self._empty_panel[:] = drawing.BACKGROUND

    def paint(self, picture: Picture, moment: OverlayMoment) -> Picture:
        """The game's picture [H, W, 3], scaled up, with the panel of ``moment`` on its right."""
        return self.compose(picture, self.paint_panel(moment))

    def compose(self, picture: Picture, panel: Picture) -> Picture:
        """The same from a panel that is painted already: one serves all frames of an agent step."""
        return np.concatenate([scale_up(picture, self.scale), panel], axis=1)

    def paint_panel(self, moment: OverlayMoment) -> Picture:
        """The panel alone."""
        pixels = self._empty_panel.copy()
        panel = Canvas(pixels, self.scale)
        overlay_parts.draw_observation(panel, moment.observation, moment.saliency)
        overlay_parts.draw_score_board(panel, self._make_score_board(moment))
        overlay_parts.draw_bars(panel, self._make_bar_rows(moment))
        overlay_parts.draw_value_curve(panel, self._make_value_curve(moment))
        return pixels

    def _make_score_board(self, moment: OverlayMoment) -> ScoreBoard:
        num_flash_steps = max(1, round(FLASH_SECONDS * self.agent_steps_per_second))
        recent = moment.rewards[-num_flash_steps:]
        rewarded = np.flatnonzero(recent)
        return ScoreBoard(
            game=self.game,
            seconds=(len(moment.rewards) - 1) / self.agent_steps_per_second,
            score=float(moment.rewards.sum(dtype=np.float64)),
            newest_reward=float(recent[rewarded[-1]]) if len(rewarded) else 0.0,
            lives=moment.lives,
            memory_norm=moment.memory_norm,
        )

    def _make_bar_rows(self, moment: OverlayMoment) -> list[BarRow]:
        lengths = compute_bar_lengths(moment.q_values)
        return [
            BarRow(
                action_name=name,
                q_value=float(moment.q_values[-1, index]),
                length=float(lengths[index]),
                is_chosen=index == moment.action,
            )
            for index, name in enumerate(self.action_names)
        ]

    def _make_value_curve(self, moment: OverlayMoment) -> ValueCurve:
        num_steps = round(CURVE_SECONDS * self.agent_steps_per_second)
        shift = round(CURVE_SHIFT_SECONDS * self.agent_steps_per_second)
        first = max(0, -(-(len(moment.rewards) - num_steps) // shift) * shift)
        return ValueCurve(
            values=moment.q_values[first:].max(axis=1),
            rewards=moment.rewards[first:],
            num_steps=num_steps,
            first_second=first / self.agent_steps_per_second,
            num_seconds=CURVE_SECONDS,
        )

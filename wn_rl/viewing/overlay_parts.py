"""The parts of the overlay's panel, each drawn at its place from plain values; positions are in units."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from wn_rl.viewing import drawing
from wn_rl.viewing.drawing import Canvas
from wn_rl.viewing.saliency_pictures import paint_saliency
from wn_rl.viewing.video import scale_up

MARGIN = 6.0
TITLE_HEIGHT = 4.0
LABEL_HEIGHT = 3.2

OBSERVATION_TOP = 16.0
OBSERVATION_SIDE = 64.0
NUM_OLDER_FRAMES = 3
SCORE_LEFT = 104.0

BARS_TOP = 90.0
BARS_HEIGHT = 59.0
TALLEST_ROW = 14.0
ROWS_PER_COLUMN = 9  # 18 actions, the most there are, stand in two columns
BAR_LEFT = 40.0  # within a row: before it stand the joystick and the longest name, behind it the Q-value
NUMBER_WIDTH = 16.0

CURVE_TOP = 163.0
CURVE_LEFT = 22.0


class ScoreBoard(NamedTuple):
    """What the player would read from the game's own screen; ``newest_reward`` is 0 when it is long ago.

    And the length of what the network remembers, where it does.
    """

    game: str
    seconds: float
    score: float
    newest_reward: float
    lives: int
    memory_norm: float | None


class BarRow(NamedTuple):
    """One action: ``length`` in [0, 1] is its bar's, 1 for the best action."""

    action_name: str
    q_value: float
    length: float
    is_chosen: bool


class ValueCurve(NamedTuple):
    """The newest K <= ``num_steps`` agent steps of the value, and the raw rewards that came with them."""

    values: Float32[np.ndarray, "K"]
    rewards: Float32[np.ndarray, "K"]
    num_steps: int
    first_second: float
    num_seconds: float


def draw_observation(
    panel: Canvas, observation: UInt8[np.ndarray, "S H W"], saliency: Float32[np.ndarray, "H W"] | None
) -> None:
    """The newest frame by a whole factor; beside it, small and darker, the older ones, newest on top.

    With ``saliency`` the newest frame glows where the value of the chosen action depends on it.
    """
    panel.text("What the agent sees", (MARGIN, 11), height=TITLE_HEIGHT, color=drawing.BRIGHT)
    factor = max(1, round(OBSERVATION_SIDE * panel.scale) // observation.shape[1])
    newest = scale_up(observation[-1], factor)
    if saliency is None:
        panel.paste(newest, (MARGIN, OBSERVATION_TOP))
    else:
        panel.paste_colored(paint_saliency(newest, saliency), (MARGIN, OBSERVATION_TOP))
    side = newest.shape[0] // NUM_OLDER_FRAMES - panel.scale
    left = MARGIN + newest.shape[1] / panel.scale + 1.5
    pitch = (newest.shape[0] - side) / panel.scale / (NUM_OLDER_FRAMES - 1)
    for index, frame in enumerate(observation[-2::-1][:NUM_OLDER_FRAMES]):
        small = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
        darker = (small * (0.75 - 0.15 * index)).astype(np.uint8)
        panel.paste(darker, (left, OBSERVATION_TOP + index * pitch))
    label, color = ("now", drawing.DIM) if saliency is None else ("glow: what decides its choice", drawing.YELLOW)
    below, width = OBSERVATION_TOP + newest.shape[0] / panel.scale + LABEL_HEIGHT + 1.5, newest.shape[1] / panel.scale
    panel.text(label, (MARGIN, below), height=LABEL_HEIGHT, color=color, max_width=width)
    if saliency is None and len(observation) > 1:
        panel.text("before", (left, below), height=LABEL_HEIGHT, color=drawing.DIM)


def draw_score_board(panel: Canvas, board: ScoreBoard) -> None:
    """Game and time, score, the newest reward while it is fresh, and lives where the game has any."""
    width = panel.width - MARGIN - SCORE_LEFT
    panel.text(board.game, (SCORE_LEFT, 11), height=TITLE_HEIGHT, color=drawing.BRIGHT, max_width=width)
    panel.text(format_time(board.seconds), (SCORE_LEFT, 21), height=LABEL_HEIGHT, color=drawing.DIM)
    if board.memory_norm is not None:
        remembered = f"memory {format_value(board.memory_norm)}"
        panel.text(remembered, (panel.width - MARGIN, 21), height=LABEL_HEIGHT, color=drawing.DIM, align="right")
    panel.text("score", (SCORE_LEFT, 31), height=LABEL_HEIGHT, color=drawing.DIM)
    panel.text(f"{board.score:,.0f}", (SCORE_LEFT, 43), height=8, color=drawing.BRIGHT, max_width=width)
    if board.newest_reward != 0:
        _draw_reward(panel, board.newest_reward)
    if board.lives > 0:
        _draw_lives(panel, board.lives)


def draw_bars(panel: Canvas, rows: list[BarRow]) -> None:
    """A row per action, in one column or in two."""
    panel.text("How good each move looks", (MARGIN, BARS_TOP), height=TITLE_HEIGHT, color=drawing.BRIGHT)
    right = (panel.width - MARGIN, BARS_TOP)
    panel.text("orange: its choice", right, height=LABEL_HEIGHT, color=drawing.ORANGE, align="right")
    num_columns = 1 if len(rows) <= ROWS_PER_COLUMN else 2
    num_rows = -(-len(rows) // num_columns)
    height = min(BARS_HEIGHT / num_rows, TALLEST_ROW)
    pitch = (panel.width - MARGIN) / num_columns
    for index, row in enumerate(rows):
        corner = (MARGIN + pitch * (index // num_rows), BARS_TOP + 4 + height * (index % num_rows))
        _draw_bar_row(panel, row, corner, width=pitch - MARGIN, height=height)


def draw_value_curve(panel: Canvas, curve: ValueCurve) -> None:
    """The value from left to right, a marker at now, and a triangle at each reward."""
    bottom, right = panel.height - 12, panel.width - MARGIN
    top, width = CURVE_TOP + 5, right - CURVE_LEFT
    title = "Reward it expects from here on"
    panel.text(title, (MARGIN, CURVE_TOP), height=TITLE_HEIGHT, color=drawing.BRIGHT)
    now = format_value(float(curve.values[-1]))
    panel.text(now, (right, CURVE_TOP), height=TITLE_HEIGHT, color=drawing.YELLOW, align="right")
    panel.fill((CURVE_LEFT, top), width=width, height=bottom - top, color=drawing.GROOVE)
    _draw_axis_labels(panel, curve, top=top, bottom=bottom)

    low, high = compute_axis_range(curve.values)
    x = CURVE_LEFT + width * np.arange(len(curve.values)) / curve.num_steps
    y = bottom - (bottom - top) * (curve.values.astype(np.float64) - low) / (high - low)
    for step in np.flatnonzero(curve.rewards):
        is_gain = bool(curve.rewards[step] > 0)
        color = drawing.BLUISH_GREEN if is_gain else drawing.VERMILLION
        panel.fill((float(x[step]), top), width=0.5, height=bottom - top, color=color)
        edge = top + 2 if is_gain else bottom - 2
        panel.triangle((float(x[step]), edge), size=2, color=color, points_up=is_gain)
    panel.curve(np.stack([x, y], axis=1), width=0.6, color=drawing.SKY_BLUE)
    panel.disk((float(x[-1]), float(y[-1])), radius=1.6, color=drawing.YELLOW)


def compute_axis_range(values: Float32[np.ndarray, "K"]) -> tuple[float, float]:
    """Round limits around the values: steps of 1, 2 or 5 times a power of ten, so that they seldom change."""
    lowest, highest = float(values.min()), float(values.max())
    span = max(highest - lowest, 0.05 * abs(highest), 0.1)
    power = 10.0 ** np.floor(np.log10(span))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span / 2)
    return float(np.floor(lowest / step) * step), float((np.floor(highest / step) + 1) * step)


def format_time(seconds: float) -> str:
    """Minutes and seconds, as 1:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def format_value(value: float) -> str:
    """A number short enough for its column, and never a -0."""
    num_decimals = 2 if abs(value) < 100 else 1 if abs(value) < 1000 else 0
    return f"{round(value, num_decimals) + 0.0:,.{num_decimals}f}"


def _draw_reward(panel: Canvas, reward: float) -> None:
    color = drawing.BLUISH_GREEN if reward > 0 else drawing.VERMILLION
    panel.triangle((SCORE_LEFT + 2.5, 53), size=2.5, color=color, points_up=reward > 0)
    panel.text(f"{reward:+,.0f}", (SCORE_LEFT + 8, 56), height=6, color=color)


def _draw_lives(panel: Canvas, lives: int) -> None:
    panel.text("lives", (SCORE_LEFT, 68), height=LABEL_HEIGHT, color=drawing.DIM)
    panel.text(str(lives), (SCORE_LEFT, 78), height=6, color=drawing.BRIGHT)
    for index in range(min(lives, 6)):
        panel.disk((SCORE_LEFT + 15 + 6 * index, 75), radius=2, color=drawing.YELLOW)


def _draw_bar_row(panel: Canvas, row: BarRow, corner: drawing.Point, *, width: float, height: float) -> None:
    """The joystick, the action's name, its bar in a groove, its Q-value; a lit row if it is chosen."""
    left, top = corner
    middle, baseline = top + height / 2, top + height / 2 + LABEL_HEIGHT / 2
    color = drawing.ORANGE if row.is_chosen else drawing.SKY_BLUE
    ink = drawing.BRIGHT if row.is_chosen else drawing.DIM
    groove = drawing.BACKGROUND if row.is_chosen else drawing.GROOVE
    if row.is_chosen:
        panel.fill((left - 2, top), width=width + 4, height=height, color=drawing.GROOVE)
    joystick_size = min(2.6, 0.4 * height)
    panel.joystick((left + 3, middle), size=joystick_size, action_name=row.action_name, color=ink)
    name = drawing.split_action_name(row.action_name)
    name_width = BAR_LEFT - 9
    panel.text(name, (left + 8, baseline), height=LABEL_HEIGHT, color=ink, max_width=name_width)

    bar_width, bar_height = width - BAR_LEFT - NUMBER_WIDTH, min(0.6 * height, 6.0)
    bar_corner = (left + BAR_LEFT, middle - bar_height / 2)
    panel.fill(bar_corner, width=bar_width, height=bar_height, color=groove)
    panel.fill(bar_corner, width=max(0.7, bar_width * row.length), height=bar_height, color=color)
    number = format_value(row.q_value)
    panel.text(number, (left + width, baseline), height=LABEL_HEIGHT, color=ink, align="right")


def _draw_axis_labels(panel: Canvas, curve: ValueCurve, *, top: float, bottom: float) -> None:
    low, high = compute_axis_range(curve.values)
    x = CURVE_LEFT - 1.5
    for value, baseline in ((high, top + LABEL_HEIGHT), (low, bottom)):
        panel.text(format_value(value), (x, baseline), height=LABEL_HEIGHT, color=drawing.DIM, align="right")
    first = format_time(curve.first_second)
    last = format_time(curve.first_second + curve.num_seconds)
    panel.text(first, (CURVE_LEFT, bottom + 6), height=LABEL_HEIGHT, color=drawing.DIM)
    right = (panel.width - MARGIN, bottom + 6)
    panel.text(last, right, height=LABEL_HEIGHT, color=drawing.DIM, align="right")

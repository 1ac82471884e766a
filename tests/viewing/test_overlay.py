"""Does the overlay show the right things at the right places, always in the same size?"""

import numpy as np
import pytest

from wn_rl.errors import ConfigurationError
from wn_rl.viewing import drawing
from wn_rl.viewing.drawing import Canvas, split_action_name
from wn_rl.viewing.overlay import PANEL_WIDTH, OverlayMoment, OverlayPainter, compute_bar_lengths
from wn_rl.viewing.overlay_parts import compute_axis_range, format_time, format_value

PONG = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")
ALL_ACTIONS = (
    *("NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT", "UPFIRE"),
    *("RIGHTFIRE", "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE"),
)


def make_painter(names: tuple[str, ...] = PONG, scale: int = 3) -> OverlayPainter:
    return OverlayPainter(
        game="Pong", action_names=names, picture_shape=(210, 160), scale=scale, agent_steps_per_second=15.0
    )


def make_moment(
    *,
    num_actions: int = 6,
    num_steps: int = 20,
    action: int = 2,
    lives: int = 0,
    rewards: dict[int, float] | None = None,
) -> OverlayMoment:
    generator = np.random.default_rng(0)
    all_rewards = np.zeros(num_steps, dtype=np.float32)
    for step, reward in (rewards or {}).items():
        all_rewards[step] = reward
    return OverlayMoment(
        observation=generator.integers(0, 256, (4, 84, 84), dtype=np.uint8),
        q_values=generator.normal(size=(num_steps, num_actions)).astype(np.float32),
        rewards=all_rewards,
        action=action,
        lives=lives,
        saliency=None,
    )


def find_color(panel: np.ndarray, color: drawing.Color) -> np.ndarray:
    """(row, column) of all pixels of exactly this color."""
    return np.argwhere((panel == color).all(axis=2))


def find_bar(panel: np.ndarray, color: drawing.Color) -> tuple[float, int]:
    """Middle row and greatest length of the bar of a color: its rows are the ones with a long run of it."""
    counts = (panel[270:460] == color).all(axis=2).sum(axis=1)
    rows = np.flatnonzero(counts > 30) + 270
    return float(rows.mean()), int(counts.max())


@pytest.mark.parametrize("scale", [3, 4])
@pytest.mark.parametrize("names", [PONG, ALL_ACTIONS, ("NOOP",)])
def test_every_picture_has_the_same_even_size(scale: int, names: tuple[str, ...]) -> None:
    painter = make_painter(names, scale)
    picture = np.zeros((210, 160, 3), dtype=np.uint8)
    for moment in (
        make_moment(num_actions=len(names), num_steps=1, action=0, rewards={0: 1.0}),
        make_moment(num_actions=len(names), num_steps=1000, action=0, lives=5, rewards={999: -1e6}),
    ):
        painted = painter.paint(picture, moment)
        assert painted.shape == painter.shape == (210 * scale, (160 + PANEL_WIDTH) * scale, 3)
        assert painted.shape[0] % 2 == painted.shape[1] % 2 == 0


def test_the_game_stands_untouched_on_the_left() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (210, 160, 3), dtype=np.uint8)
    painted = make_painter().paint(picture, make_moment())
    np.testing.assert_array_equal(painted[:, :480], picture.repeat(3, axis=0).repeat(3, axis=1))


def test_what_the_network_sees_is_shown_by_a_whole_factor_newest_frame_large() -> None:
    moment = make_moment()
    panel = make_painter().paint_panel(moment)
    enlarged = moment.observation[-1].repeat(2, axis=0).repeat(2, axis=1)
    gray = (panel[:, :, 0] == panel[:, :, 1]) & (panel[:, :, 1] == panel[:, :, 2])
    top, left = 48, 18
    assert gray[top : top + 168, left : left + 168].all()
    np.testing.assert_array_equal(panel[top : top + 168, left : left + 168, 0], enlarged)


def test_the_lit_bar_moves_with_the_chosen_action() -> None:
    rows = []
    for action in range(6):
        moment = make_moment(action=action)
        moment.q_values[-1] = 1.0  # all as good as the best: every bar is whole
        row, _ = find_bar(make_painter().paint_panel(moment), drawing.ORANGE)
        rows.append(row)
    assert np.all(np.diff(rows) > 15)


def test_bars_are_long_where_q_is_high() -> None:
    moment = make_moment(action=0)
    lengths = {}
    for q_value in (1.0, 0.5, 0.25):
        moment.q_values[:] = 0.0
        moment.q_values[:, 1] = 1.0
        moment.q_values[:, 0] = q_value
        lengths[q_value] = find_bar(make_painter().paint_panel(moment), drawing.ORANGE)[1]
    assert lengths[0.5] == pytest.approx(lengths[1.0] / 2, abs=2)
    assert lengths[0.25] == pytest.approx(lengths[1.0] / 4, abs=2)


def test_bar_lengths_compare_with_the_best_and_remember_the_spread_of_the_last_seconds() -> None:
    q_values = np.array([[0.0, 4.0, 2.0], [1.0, 1.5, 2.0]], dtype=np.float32)
    # spread = max(0.98 * 4, 1) = 3.92
    expected = [1 - 1.0 / 3.92, 1 - 0.5 / 3.92, 1.0]
    np.testing.assert_allclose(compute_bar_lengths(q_values), expected, rtol=1e-5)


def test_differences_that_are_noise_make_no_difference_to_the_eye() -> None:
    q_values = np.array([[100.0, 100.01, 99.99]], dtype=np.float32)
    assert compute_bar_lengths(q_values).min() > 0.97
    assert compute_bar_lengths(np.zeros((1, 3), dtype=np.float32)).tolist() == [1.0, 1.0, 1.0]


def test_gains_and_losses_differ_in_color_and_in_shape() -> None:
    painter = make_painter()
    without = painter.paint_panel(make_moment())
    gain = painter.paint_panel(make_moment(rewards={19: 1.0}))
    loss = painter.paint_panel(make_moment(rewards={19: -1.0}))
    assert len(find_color(without, drawing.BLUISH_GREEN)) == len(find_color(without, drawing.VERMILLION)) == 0
    assert len(find_color(gain, drawing.BLUISH_GREEN)) > 100
    assert len(find_color(gain, drawing.VERMILLION)) == 0
    assert len(find_color(loss, drawing.VERMILLION)) > 100
    # the triangle beside the score: wide below for a gain, wide above for a loss
    for panel, color, widest_is_below in (
        (gain, drawing.BLUISH_GREEN, True),
        (loss, drawing.VERMILLION, False),
    ):
        rows = find_color(panel[120:180, 310:330], color)[:, 0]
        assert bool(rows.mean() > (rows.min() + rows.max()) / 2) is widest_is_below


@pytest.mark.parametrize(("reward", "color"), [(1.0, drawing.BLUISH_GREEN), (-1.0, drawing.VERMILLION)])
def test_triangles_on_the_curve_point_up_for_gains_and_down_for_losses(reward: float, color: drawing.Color) -> None:
    panel = make_painter().paint_panel(make_moment(num_steps=100, rewards={20: reward}))
    widths = np.bincount(find_color(panel, color)[:, 0])
    widths = widths[widths > 3]  # of the triangle; the line below or above it is narrower
    assert len(widths) >= 4
    assert (widths[0] < widths[-1]) == (reward > 0)


def test_an_old_reward_leaves_the_score_board_but_stays_on_the_curve() -> None:
    painter = make_painter()
    panel = painter.paint_panel(make_moment(num_steps=100, rewards={20: 1.0}))
    places = find_color(panel, drawing.BLUISH_GREEN)
    assert len(places) > 0
    assert places[:, 0].min() > 480  # rows of the curve


def test_the_marker_moves_to_the_right_and_then_within_the_last_five_seconds() -> None:
    def find_marker(num_steps: int) -> float:
        panel = make_painter().paint_panel(make_moment(num_steps=num_steps))
        return float(find_color(panel[495:], drawing.YELLOW)[:, 1].mean())

    positions = [find_marker(num_steps) for num_steps in (1, 150, 300, 450, 451, 525, 526, 2000)]
    assert positions[0] < positions[1] < positions[2] < positions[3]
    per_second = (positions[3] - positions[0]) * 15 / 449
    assert positions[4] == pytest.approx(positions[3] - 5 * per_second, abs=2)
    assert positions[5] == pytest.approx(positions[3], abs=1)
    assert positions[6] == pytest.approx(positions[4], abs=1)
    assert positions[4] - 1 < positions[7] < positions[3] + 1


def test_lives_are_shown_as_disks_and_nothing_where_a_game_has_none() -> None:
    panels = [make_painter().paint_panel(make_moment(lives=lives)) for lives in (0, 1, 3)]
    area = [len(find_color(panel[180:250], drawing.YELLOW)) for panel in panels]
    assert area[0] == 0
    assert area[2] == 3 * area[1] > 60


def test_the_panel_depends_on_nothing_but_the_moment() -> None:
    painter, moment = make_painter(), make_moment(lives=2, rewards={18: 1.0})
    first = painter.paint_panel(moment)
    painter.paint_panel(make_moment(num_steps=500, action=5))
    np.testing.assert_array_equal(painter.paint_panel(moment), first)


def test_the_length_of_what_is_remembered_stands_beside_the_time_and_nothing_where_there_is_no_memory() -> None:
    painter, moment = make_painter(), make_moment()
    without, short, long = (
        painter.paint_panel(moment._replace(memory_norm=norm)).astype(int) for norm in (None, 1.0, 123.4)
    )
    rows, columns = (np.unique(places) for places in np.nonzero((long != without).any(axis=2)))
    assert 3 * 15 < rows.min() <= rows.max() < 3 * 24
    assert 3 * 120 < columns.min() <= columns.max() < 3 * 155
    assert (short != long).any()


def test_an_unreadably_small_overlay_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="scale=2: an overlay is readable from scale=3 on"):
        make_painter(scale=2)


def test_longer_text_is_made_to_fit() -> None:
    canvas = Canvas(np.zeros((60, 600, 3), dtype=np.uint8), 3)
    canvas.text("DOWN RIGHT FIRE", (0, 15), height=6, color=drawing.BRIGHT, max_width=40)
    columns = find_color(canvas.pixels > 0, (True, True, True))[:, 1]  # type: ignore[arg-type]
    assert 100 < columns.max() <= 40 * 3 + 2


@pytest.mark.parametrize(
    ("name", "words"),
    [("UPRIGHTFIRE", "UP RIGHT FIRE"), ("NOOP", "NOOP (wait)"), ("DOWN", "DOWN"), ("TURN_ON", "TURN_ON")],
)
def test_action_names_are_split_into_words(name: str, words: str) -> None:
    assert split_action_name(name) == words


@pytest.mark.parametrize("values", [[0.0], [-0.46, 0.58], [12.0, 12.01], [-3e4, 2e5], [5.0, 5.0]])
def test_the_axis_holds_the_values_between_round_limits(values: list[float]) -> None:
    low, high = compute_axis_range(np.array(values, dtype=np.float32))
    assert low <= min(values)
    assert high > max(values)
    assert high - low <= 4 * max(max(values) - min(values), 0.05 * abs(max(values)), 0.1)


def test_numbers_are_short() -> None:
    assert [format_value(value) for value in (-0.001, 1.234, 56.78, 123.44, 12345.6)] == [
        *("0.00", "1.23", "56.78", "123.4", "12,346"),
    ]
    assert [format_time(seconds) for seconds in (0.0, 65.9, 3600.0)] == ["0:00", "1:05", "60:00"]

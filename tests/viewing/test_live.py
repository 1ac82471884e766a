"""Is a game that is watched live what the agent plays, at the right speed, and is the terminal left in order?"""

import dataclasses
import io
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from rich.color import ColorSystem
from rich.console import Console

from tests.helpers.scalar_atari import MACHADO
from wn_rl.acting.policies import Policy
from wn_rl.app.watch_live import find_place, open_display
from wn_rl.envs.atari import OBSERVATION
from wn_rl.envs.rendering import EpisodeRecord, render_episode
from wn_rl.errors import ConfigurationError
from wn_rl.viewing.displays import Display, TerminalDisplay, make_display, to_cells, write_changes
from wn_rl.viewing.keyboard import Keyboard
from wn_rl.viewing.live_game import LiveGame, Pacer

CPU = torch.device("cpu")


def prefer_by_brightness(observation: torch.Tensor) -> torch.Tensor:
    """Q-values of Pong's 6 actions that choose another one as the picture changes."""
    total = int(observation.long().sum())
    return torch.nn.functional.one_hot(torch.tensor([total % 6]), 6).float()


def make_game(epsilon: float = 0.0, num_agent_steps: int = 60) -> LiveGame:
    protocol = dataclasses.replace(MACHADO, max_episode_frames=4 * num_agent_steps)
    return LiveGame(
        game="Pong", protocol=protocol, seed=7, epsilon=epsilon,
        policy=Policy(prefer_by_brightness, stack_size=4, observation=OBSERVATION, device=CPU),
    )  # fmt: skip


def make_record(game: LiveGame, num_agent_steps: int = 60) -> EpisodeRecord:
    protocol = dataclasses.replace(MACHADO, max_episode_frames=4 * num_agent_steps)
    return EpisodeRecord(
        game="Pong", protocol_name=protocol.name, protocol_values=dataclasses.asdict(protocol), seed=7,
        actions=np.array(game.actions, np.uint8), episode_return=game.score, num_agent_steps=num_agent_steps,
        num_frames=4 * num_agent_steps, ended_by="truncated",
    )  # fmt: skip


def test_a_live_game_is_the_one_that_its_seed_and_actions_give() -> None:
    game = make_game()
    frames = list(game.play())
    again = list(render_episode(make_record(game)))
    assert len(set(game.actions)) > 3
    assert len(frames) == len(again)
    assert all(np.array_equal(one.rgb, other.rgb) for one, other in zip(frames, again, strict=True))


def test_the_agent_chooses_on_the_stack_that_acting_would_have_seen() -> None:
    game = make_game(num_agent_steps=12)
    stack, chosen = np.zeros((4, 84, 84), np.uint8), []
    for frame in game.play():
        if frame.observation_frame is not None:
            stack = np.concatenate([stack[1:], frame.observation_frame[None]])
            chosen.append(int(stack.astype(np.int64).sum()) % 6)
    assert game.actions == chosen[:12]


def test_exploration_follows_from_the_seed() -> None:
    one, other = make_game(epsilon=0.5), make_game(epsilon=0.5)
    for game in (one, other):
        list(game.play())
    assert one.actions == other.actions


class Clock:
    """Time passes in sleep alone, and where a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("seconds_per_picture", "seconds", "num_shown"),
    [(0.0, 2.0, 120), (0.01, 2.0, 120), (0.05, 2.0, 40), (0.6, 6.0, 10)],
)
def test_frames_come_at_their_speed_and_a_slow_display_skips(
    seconds_per_picture: float, seconds: float, num_shown: int
) -> None:
    clock = Clock()
    pacer = Pacer(frames_per_second=60, clock=clock, sleep=clock.sleep)
    count = 0
    for _ in range(round(60 * seconds)):
        if pacer.wait_for_frame():
            count += 1
            clock.now += seconds_per_picture
    assert clock.now - 100 == pytest.approx(seconds, rel=0.1)
    assert count == pytest.approx(num_shown, rel=0.2)


def test_an_agent_that_is_too_slow_is_shown_slowly_and_not_by_leaps() -> None:
    clock = Clock()
    pacer = Pacer(frames_per_second=60, clock=clock, sleep=clock.sleep)
    shown = []
    for _ in range(300):
        clock.now += 0.05  # a frame takes three times as long as it is shown
        if pacer.wait_for_frame():
            shown.append(clock.now)
    assert np.diff(shown).max() <= 0.25 + 2 * 0.05 + 1e-6  # noticed a frame later


def read_screen(text: str, shape: tuple[int, int]) -> np.ndarray:
    """A terminal for true colors: what stands where after ``text``; -1 where nothing was written."""
    screen = np.full(shape, -1, np.int64)
    row = column = cell = 0
    for move, color, character in re.findall(r"\x1b\[(\d+;\d+)H|\x1b\[([\d;]+)m|(▀)", text):
        if move:
            row, column = (int(number) - 1 for number in move.split(";"))
        elif color:
            parts = [int(number) for number in color.split(";")]
            assert (parts[0], parts[1], parts[5], parts[6]) == (38, 2, 48, 2)
            cell = int.from_bytes(bytes([*parts[2:5], *parts[7:10]]), "big")
        elif character:
            screen[row, column] = cell
            column += 1
    return screen


def test_a_terminal_shows_two_pixels_a_character_and_is_sent_what_changed() -> None:
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 4, (20, 16, 3), dtype=np.uint8) * 64
    cells = to_cells(picture, columns=16, lines=10)
    assert cells.shape == (10, 16)
    assert cells[3, 5] == int.from_bytes(bytes([*picture[6, 5], *picture[7, 5]]), "big")
    first = write_changes(cells, np.full_like(cells, -1), ColorSystem.TRUECOLOR)
    np.testing.assert_array_equal(read_screen(first, cells.shape), cells)
    changed = cells.copy()
    changed[2, 3], changed[2, 4], changed[9, 15] = 0xFC0000, 0xFC0000, 0x00FC00
    second = write_changes(changed, cells, ColorSystem.TRUECOLOR)
    assert second.count("▀") == (changed != cells).sum() <= 3
    np.testing.assert_array_equal(np.where(changed != cells, read_screen(second, cells.shape), cells), changed)
    assert write_changes(cells, cells, ColorSystem.TRUECOLOR) == ""
    assert "38;5;" in write_changes(cells, changed, ColorSystem.EIGHT_BIT)


@pytest.mark.parametrize(("columns", "lines"), [(80, 23), (200, 59), (30, 50)])
def test_a_picture_fits_into_the_terminal_in_proportion(columns: int, lines: int) -> None:
    rows, width = to_cells(np.zeros((210, 160, 3), np.uint8), columns=columns, lines=lines).shape
    assert rows <= lines
    assert width <= columns
    assert rows == lines or width == columns
    assert width / (2 * rows) == pytest.approx(160 / 210, rel=0.06)


def test_a_file_is_no_display() -> None:
    with pytest.raises(ConfigurationError, match="needs a terminal or a window system"):
        TerminalDisplay(Console(file=io.StringIO(), force_terminal=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"live": "sometimes"}, "live=sometimes: unknown; known: false, true, window, terminal"),
        ({"live": "terminal", "saliency": True}, "saliency=true cannot be read in a terminal"),
        ({"live": True, "overlay": True, "scale": 2}, "overlay=true needs scale=3 or more"),
    ],
)
def test_what_cannot_be_shown_is_refused(settings: dict[str, object], message: str) -> None:
    config = OmegaConf.create({"live": True, "overlay": False, "saliency": False, "scale": 3, **settings})
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        find_place(config)


def test_a_window_without_pygame_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(ConfigurationError, match=re.escape('pip install "wn_rl[live]"')):
        make_display("window", title="Pong", console=Console())


def ask_for_a_display(monkeypatch: pytest.MonkeyPatch, console: Console, **settings: object) -> Display:
    """What ``live=true`` opens where DISPLAY names a window system that is gone."""
    pytest.importorskip("pygame", reason='pip install -e ".[live]"')
    monkeypatch.setenv("DISPLAY", ":64123")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")  # as the display sets it, but taken back after the test
    config = OmegaConf.create({"live": True, "overlay": False, "saliency": False, "scale": 3, **settings})
    return open_display(find_place(config), config, title="Pong", console=console)


def test_a_window_that_cannot_be_opened_is_told_in_one_line_and_the_terminal_shows_the_game(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    primary, secondary = pty.openpty()
    monkeypatch.setenv("TERM", "xterm-256color")
    with os.fdopen(secondary, "w") as file:
        display = ask_for_a_display(monkeypatch, Console(file=file, width=80, height=24))
        assert display.is_coarse
        display.close()
    os.close(primary)
    line = "no window can be opened (DISPLAY=:64123, x11 not available); playing in the terminal\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "x11 not available); live=true needs a terminal or a window system, and the output is neither"),
        ({"overlay": True}, "x11 not available); overlay=true cannot be read in a terminal"),
        ({"live": "window"}, "x11 not available); use live=terminal"),
    ],
)
def test_where_the_terminal_cannot_stand_in_for_the_window_both_are_told(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        ask_for_a_display(monkeypatch, Console(file=io.StringIO()), **settings)


def test_no_window_is_drawn_where_nobody_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame", reason='pip install -e ".[live]"')
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="neither DISPLAY nor WAYLAND_DISPLAY is set"):
        make_display("window", title="Pong", console=Console())


def test_a_window_shows_pictures_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    display = make_display("window", title="Pong", console=Console())
    picture = np.random.default_rng(0).integers(0, 256, (210, 160, 3), dtype=np.uint8)
    assert display.show(picture, "Pong  score 1")
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    np.testing.assert_array_equal(shown, picture)
    assert pygame.display.get_caption()[0] == "Pong  score 1"
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert not display.show(picture, "")
    display.close()
    display.close()


CHILD = """
import fcntl, signal, termios, numpy as np
from rich.console import Console
from wn_rl.viewing.displays import TerminalDisplay
from wn_rl.envs.atari import OBSERVATION
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # the terminal is this process's own, as a shell has it
signal.signal(signal.SIGINT, signal.default_int_handler)  # which is not there where tests run in the background
display = TerminalDisplay(Console())
try:
    while display.show(np.full((210, 160, 3), 99, np.uint8), f"caption {display.ending}"):
        pass
except KeyboardInterrupt:
    pass
finally:
    display.close()
print("after")
"""


def play_in_terminal(type_or_signal: Callable[[int, subprocess.Popen[bytes]], object]) -> tuple[int, str, int]:
    """The exit status of ``CHILD``, what it wrote, and the terminal's local modes afterwards.

    Once a picture is shown, ``type_or_signal`` is called with the terminal's other end and the process.
    """
    primary, secondary = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "60", "LINES": "20"}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=secondary, stderr=secondary, stdin=secondary, env=environment,
        start_new_session=True,
    )  # fmt: skip
    chunks: list[bytes] = []
    is_shown = threading.Event()

    def read() -> None:
        while not b"".join(chunks[-2:]).rstrip().endswith(b"END OF TEST"):
            chunks.append(os.read(primary, 65536))
            if b"caption" in chunks[-1]:
                is_shown.set()

    reader = threading.Thread(target=read, daemon=True)  # which an error below leaves waiting
    reader.start()
    try:
        assert is_shown.wait(60)
        type_or_signal(primary, child)
        status = child.wait(20)
    finally:
        child.kill()
    modes = termios.tcgetattr(secondary)[3]
    os.write(secondary, b"END OF TEST")
    reader.join(60)
    os.close(primary)
    os.close(secondary)
    return status, b"".join(chunks).decode().removesuffix("END OF TEST"), modes


@pytest.mark.parametrize("key", ["Ctrl-C", "q", "xyzq"])
def test_ctrl_c_and_q_end_it_and_leave_the_terminal_as_it_was(key: str) -> None:
    def end(terminal: int, child: subprocess.Popen[bytes]) -> object:
        return child.send_signal(signal.SIGINT) if key == "Ctrl-C" else os.write(terminal, key.encode())

    status, output, modes = play_in_terminal(end)
    assert status == 0
    begin, _, rest = output.partition("\x1b[?1049h")  # the alternate screen
    assert begin == ""
    shown, _, after = rest.partition("\x1b[?1049l")
    assert "\x1b[?25l" in shown  # no cursor
    assert "\x1b[?25h" in shown + after
    assert "q ends" in shown
    assert not re.search("[xyz]", re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", shown))  # what is typed is not shown
    assert re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", after).split() == ["after"]
    assert modes & termios.ECHO
    assert modes & termios.ICANON


def test_what_is_typed_is_left_alone_where_the_terminal_is_another_ones() -> None:
    keyboard = Keyboard()  # the tests' own input
    assert not keyboard.is_open
    assert keyboard.read() == ""
    keyboard.close()

"""Where a game is shown while it is played: in a window, or in a terminal, two pixels to a character."""

import functools
import importlib
import os
import sys
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Int64
from rich.color import Color, ColorSystem
from rich.console import Console

from wn_rl.errors import ConfigurationError
from wn_rl.system.terminals import can_be_redrawn
from wn_rl.viewing.drawing import Picture
from wn_rl.viewing.keyboard import Keyboard

UPPER_HALF = "▀"  # foreground: the upper pixel; background: the lower one
COLOR_BITS_KEPT = 0xFCFCFC  # fewer colors to spell out; nobody sees the difference
SMALLEST_COLUMNS, SMALLEST_LINES = 20, 10
HIDE_GREETING = "PYGAME_HIDE_SUPPORT_PROMPT"
CHOSEN_DRIVER = "SDL_VIDEODRIVER"
WINDOW_SYSTEMS = {"x11": "DISPLAY", "wayland": "WAYLAND_DISPLAY"}
"""Names that SDL, below pygame, knows them by, in its own order, and the variables that say where they are."""


@runtime_checkable
class Display(Protocol):
    """A place where one picture replaces the one before.

    ``is_coarse`` says that it shows fewer pixels than the game has: pictures need no scaling up, and letters in them
    cannot be read. ``ending`` tells the user how to end.
    """

    is_coarse: bool
    ending: str

    def show(self, picture: Picture, caption: str) -> bool:
        """Show a picture and a line about it; False once the user has closed the display."""

    def close(self) -> None:
        """Leave everything as it was found; a second time does nothing."""


def has_window_system() -> bool:
    """Whether this process could open a window."""
    return sys.platform in ("win32", "darwin") or bool(_find_window_systems())


def _find_window_systems() -> list[str]:
    return [name for name, variable in WINDOW_SYSTEMS.items() if os.environ.get(variable)]


def _choose_window_systems() -> None:
    """Tell SDL what to try: where nothing answers, it would draw where nobody sees it."""
    if sys.platform in ("win32", "darwin") or os.environ.get(CHOSEN_DRIVER):
        return
    systems = _find_window_systems()
    if not systems:
        raise ConfigurationError("no window can be opened (neither DISPLAY nor WAYLAND_DISPLAY is set)")
    os.environ[CHOSEN_DRIVER] = ",".join(systems)


def make_display(where: str, *, title: str, console: Console) -> Display:
    """The display called "window" or "terminal".

    Raises:
        ConfigurationError: what that needs is missing; in one line that says what to do.
    """
    return WindowDisplay(title) if where == "window" else TerminalDisplay(console)


def check_terminal(console: Console) -> None:
    """Raises ConfigurationError where nothing can be played: no terminal, one without colors, or too small."""
    if not can_be_redrawn(console):
        raise ConfigurationError("live=true needs a terminal or a window system, and the output is neither")
    if console.color_system is None:
        raise ConfigurationError(f"live=true needs a terminal with colors; TERM={os.environ.get('TERM')} has none")
    if console.width < SMALLEST_COLUMNS or console.height < SMALLEST_LINES:
        raise ConfigurationError(
            f"the terminal has {console.width} columns and {console.height} lines; live=true needs at least "
            f"{SMALLEST_COLUMNS} and {SMALLEST_LINES}"
        )


class TerminalDisplay:
    """The whole terminal, until it is closed, by q too; only the characters that changed are written.

    Args:
        console: of the terminal.

    Raises:
        ConfigurationError: see ``check_terminal``.
    """

    is_coarse = True

    def __init__(self, console: Console) -> None:
        check_terminal(console)
        assert console.color_system is not None
        self._console = console
        self._color_system = _COLOR_SYSTEMS[console.color_system]
        self._shown = np.empty((0, 0), dtype=np.int64)
        self._size = (0, 0)
        self._screen = console.screen(hide_cursor=True)
        self._screen.__enter__()
        self._is_open = True
        self._keyboard = Keyboard()
        self.ending = "q ends" if self._keyboard.is_open else "Ctrl-C ends"

    def show(self, picture: Picture, caption: str) -> bool:
        """Scale the picture to the terminal, which may have changed its size, and write what changed."""
        columns, lines = self._console.size
        text = ""
        if (columns, lines) != self._size:
            self._size, self._shown = (columns, lines), np.empty((0, 0), dtype=np.int64)
            text = "\x1b[0m\x1b[2J"
        cells = to_cells(picture, columns=columns, lines=lines - 1)
        if cells.shape != self._shown.shape:
            self._shown = np.full_like(cells, -1)
        text += write_changes(cells, self._shown, self._color_system)
        self._shown = cells
        line = caption[: columns - 1].ljust(columns - 1)
        self._console.file.write(f"{text}\x1b[0m\x1b[{len(cells) + 1};1H{line}")
        self._console.file.flush()
        return "q" not in self._keyboard.read()

    def close(self) -> None:
        """Show what stood in the terminal before, and the cursor."""
        if self._is_open:
            self._is_open = False
            self._keyboard.close()
            self._console.file.write("\x1b[0m")
            self._screen.__exit__(None, None, None)


class WindowDisplay:
    """A window of its own, closed by its button, Escape or q.

    Args:
        title: of the window.

    Raises:
        ConfigurationError: pygame-ce is not installed, or no window can be opened.
    """

    is_coarse = False
    ending = "q ends"

    def __init__(self, title: str) -> None:
        os.environ.setdefault(HIDE_GREETING, "1")
        try:
            self._pygame: Any = importlib.import_module("pygame")
        except ImportError as error:
            reason = 'without pygame-ce (pip install "wn_rl[live]")'
            raise ConfigurationError(f"no window can be opened {reason}") from error
        _choose_window_systems()
        try:
            self._pygame.display.quit()  # an environment that draws with it may have begun it without a window
            self._pygame.display.init()
        except self._pygame.error as error:
            given = [f"{name}={os.environ[name]}" for name in WINDOW_SYSTEMS.values() if os.environ.get(name)]
            raise ConfigurationError(f"no window can be opened ({', '.join([*given, str(error)])})") from error
        self._pygame.display.set_caption(title)
        self._caption = title
        self._window: Any = None

    def show(self, picture: Picture, caption: str) -> bool:
        """Draw the picture; the window has its size."""
        pygame, size = self._pygame, (picture.shape[1], picture.shape[0])
        if self._window is None or self._window.get_size() != size:
            self._window = self._open_window(size)
        if caption != self._caption:
            self._caption = caption
            pygame.display.set_caption(caption)
        self._window.blit(pygame.image.frombuffer(np.ascontiguousarray(picture), size, "RGB"), (0, 0))
        pygame.display.flip()
        return not any(self._is_end(event) for event in pygame.event.get())

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()

    def _open_window(self, size: tuple[int, int]) -> Any:
        try:
            return self._pygame.display.set_mode(size)
        except self._pygame.error as error:
            raise ConfigurationError(f"no window of {size[0]} x {size[1]} pixels can be opened ({error})") from error

    def _is_end(self, event: Any) -> bool:
        pygame = self._pygame
        return event.type == pygame.QUIT or (
            event.type == pygame.KEYDOWN and event.key in (pygame.K_ESCAPE, pygame.K_q)
        )


def to_cells(picture: Picture, *, columns: int, lines: int) -> Int64[np.ndarray, "R C"]:
    """A picture as characters of two pixels, 0xRRGGBBrrggbb, as large as fits with its sides in proportion."""
    height, width = picture.shape[:2]
    factor = min(columns / width, 2 * lines / height)
    num_rows = max(1, int(height * factor) // 2)
    size = (max(1, int(width * factor)), 2 * num_rows)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST  # the ball of a game is 1 pixel wide
    red, green, blue = np.moveaxis(cv2.resize(picture, size, interpolation=method).astype(np.int64), 2, 0)
    codes = (red << 16 | green << 8 | blue) & COLOR_BITS_KEPT
    return codes[0::2] << 24 | codes[1::2]


def write_changes(cells: Int64[np.ndarray, "R C"], shown: Int64[np.ndarray, "R C"], color_system: ColorSystem) -> str:
    """What to write so that a terminal that shows ``shown`` shows ``cells``; -1 stands for anything else."""
    parts = []
    for row in np.flatnonzero((cells != shown).any(axis=1)):
        previous_column, previous_cell = -2, -1
        for column in np.flatnonzero(cells[row] != shown[row]).tolist():
            if column != previous_column + 1:
                parts.append(f"\x1b[{row + 1};{column + 1}H")
            cell = int(cells[row, column])
            if cell != previous_cell:
                parts.append(_spell_colors(cell, color_system))
            parts.append(UPPER_HALF)
            previous_column, previous_cell = column, cell
    return "".join(parts)


_COLOR_SYSTEMS = {
    "standard": ColorSystem.STANDARD, "256": ColorSystem.EIGHT_BIT, "truecolor": ColorSystem.TRUECOLOR,
    "windows": ColorSystem.WINDOWS,
}  # fmt: skip


@functools.lru_cache(maxsize=2**16)
def _spell_colors(cell: int, color_system: ColorSystem) -> str:
    """The escape sequence of a cell's two colors, or of those next to them that the terminal knows."""
    upper, lower = (
        Color.from_rgb(code >> 16, code >> 8 & 255, code & 255).downgrade(color_system)
        for code in (cell >> 24, cell & 0xFFFFFF)
    )
    codes = [*upper.get_ansi_codes(foreground=True), *lower.get_ansi_codes(foreground=False)]
    return f"\x1b[{';'.join(codes)}m"

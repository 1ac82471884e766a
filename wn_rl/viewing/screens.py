"""Where a run's status is shown: in a terminal, in a notebook, or in a log that keeps every line."""

import importlib
from typing import Any, Protocol, runtime_checkable

from rich.console import Console, ConsoleRenderable
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment

from wn_rl.system.terminals import can_be_redrawn
from wn_rl.viewing.status_display import StatusDisplay, format_elapsed


@runtime_checkable
class Message(ConsoleRenderable, Protocol):
    """Something that is printed once: as rich draws it, or as one line of plain text."""

    def to_line(self) -> str:
        """The same without colors."""


@runtime_checkable
class Screen(Protocol):
    """A place where one status replaces the one before, and printed lines stay.

    ``refresh_seconds`` is the shortest time between two statuses; with ``shows_every_phase`` the beginning of an
    evaluation is shown at once all the same.
    """

    refresh_seconds: float
    shows_every_phase: bool

    def show(self, display: StatusDisplay, *, elapsed_seconds: float) -> None:
        """Replace the status."""

    def print(self, message: Message | str) -> None:
        """Print above the status."""

    def close(self) -> None:
        """Leave the status as it is, and the terminal in order; a second time does nothing."""


def make_screen(console: Console) -> Screen:
    """The screen for where ``console`` writes to."""
    if console.is_jupyter:
        return NotebookScreen()
    if can_be_redrawn(console):
        return TerminalScreen(console)
    return LogScreen(console)


class TerminalScreen:
    """The last lines of a terminal, redrawn in place; prints and warnings of others appear above them."""

    refresh_seconds = 0.25
    shows_every_phase = True

    def __init__(self, console: Console) -> None:
        self._console = console
        # auto_refresh would redraw from a thread of its own, which training would have to share its core with
        self._live = Live(console=console, auto_refresh=False)
        self._display: StatusDisplay | None = None
        self._lengths: list[int] = []  # of the lines that stand there

    def show(self, display: StatusDisplay, *, elapsed_seconds: float) -> None:
        """Redraw."""
        self._live.start()
        self._erase_wrapped_lines()
        self._live.update(display, refresh=True)
        self._display = display
        self._measure()

    def print(self, message: Message | str) -> None:
        """Print above the bar."""
        self._erase_wrapped_lines()
        self._console.print(message, markup=False, highlight=False)
        self._measure()

    def close(self) -> None:
        """Let the last status stand, and show the cursor."""
        self._erase_wrapped_lines()
        self._live.stop()
        self._display, self._lengths = None, []

    def _measure(self) -> None:
        if self._display is not None:
            lines = self._console.render_lines(self._display, pad=False)
            self._lengths = [Segment.get_line_length(line) for line in lines]

    def _erase_wrapped_lines(self) -> None:
        """Where the terminal was made narrower, and broke lines that stand there: rich counts them as they were."""
        num_more = sum(max(0, length - 1) // self._console.width for length in self._lengths)
        one_up = (ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)
        self._console.control(Control(*one_up * num_more))


class NotebookScreen:
    """An output of a notebook's cell that is updated in place; needs no widgets."""

    refresh_seconds = 1.0
    shows_every_phase = True

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, display: StatusDisplay, *, elapsed_seconds: float) -> None:
        """Show on the first call, then update."""
        if self._handle is None:
            self._handle = importlib.import_module("IPython.display").display(display, display_id=True)
        else:
            self._handle.update(display)

    def print(self, message: Message | str) -> None:
        """Print below."""
        print(message if isinstance(message, str) else message.to_line())

    def close(self) -> None:
        """The next status gets an output of its own."""
        self._handle = None


class LogScreen:
    """A file or a pipe: plain lines without control characters, each with the time since the start."""

    refresh_seconds = 30.0
    shows_every_phase = False  # the evaluation's own line says that there was one

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, display: StatusDisplay, *, elapsed_seconds: float) -> None:
        """Write one line."""
        self.print(f"[{format_elapsed(elapsed_seconds)}] {display.to_line()}")

    def print(self, message: Message | str) -> None:
        """Write one line, past rich, which would break it at 80 columns; flushed, for those who follow it."""
        line = message if isinstance(message, str) else message.to_line()
        self._console.file.write(line + "\n")
        self._console.file.flush()

    def close(self) -> None:
        """Nothing is open."""

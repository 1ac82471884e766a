"""How a run's status looks: a bar with what one wants to know beside it, or one plain line for a log."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions
from rich.jupyter import JupyterMixin
from rich.text import Text

from wn_rl.viewing.status import TrainingStatus

INDENT = 2
WIDEST_BAR = 60
NARROWEST_BAR = 10


@dataclass(frozen=True)
class StatusDisplay(JupyterMixin):
    """A status as rich prints it: on one line where there is room, else on two or three.

    Attributes:
        status: the run's.
        agent_steps_per_second: speed of the phase.
        seconds_left: of the run; None while nothing can be said.
    """

    status: TrainingStatus
    agent_steps_per_second: float
    seconds_left: float | None

    def to_line(self) -> str:
        """Everything in one line of ASCII, however long."""
        return " | ".join([self._describe_phase(), self._describe_share(), *self._describe_details()])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """The bar takes what the words leave."""
        head, share = self._describe_phase(), self._describe_share()
        separator = " | " if options.ascii_only else " · "
        tail = separator.join([share, *self._describe_details()])
        width = options.max_width - 1  # terminals that wrap at the last column would break the line
        room = width - len(head) - len(tail) - 2
        if room >= NARROWEST_BAR:
            yield self._draw_line(head, tail, min(room, WIDEST_BAR), options)
            return
        room = width - len(head) - len(share) - 2
        yield self._draw_line(head, share, min(room, WIDEST_BAR), options)
        yield from flow(self._describe_details(), separator=separator, width=width, indent_first=True)

    def _draw_line(self, head: str, tail: str, bar_width: int, options: ConsoleOptions) -> Text:
        line = Text(head, style="bold")
        if bar_width >= NARROWEST_BAR:
            full, empty = ("#", "-") if options.ascii_only else ("━", "━")
            num_full = int(bar_width * self._compute_share())
            line.append(" ")
            line.append(full * num_full, style="not bold green")
            line.append(empty * (bar_width - num_full), style="not bold bright_black")
        line.append(" " + tail, style="not bold")
        line.truncate(options.max_width - 1, overflow="ellipsis")
        return line

    def _describe_phase(self) -> str:
        status = self.status
        if status.phase == "warm-up":
            return "warming up"
        if status.phase == "evaluation":
            games = f" {status.phase_done}/{status.phase_total}" if status.phase_total > 0 else ""
            return f"iteration {max(status.iteration, 1)}/{status.num_iterations}, evaluating{games}"
        running = min(status.iteration + 1, status.num_iterations)
        return f"iteration {running}/{status.num_iterations}"

    def _compute_share(self) -> float:
        """Of the warm-up while it lasts, else of the whole run; in [0, 1]."""
        status = self.status
        done, total = (
            (status.phase_done, status.phase_total)
            if status.phase == "warm-up"
            else (status.agent_steps, status.total_agent_steps)
        )
        return min(1.0, done / total) if total > 0 else 0.0

    def _describe_share(self) -> str:
        percent = f"{int(100 * self._compute_share())} %"
        if self.seconds_left is None or self.status.phase == "warm-up":
            return percent
        return f"{percent}, {format_duration(self.seconds_left)} left"

    def _describe_details(self) -> list[str]:
        status = self.status
        total = status.phase_total if status.phase == "warm-up" else status.total_agent_steps
        details = [f"{status.agent_steps:,} of {total:,} agent steps"]
        if self.agent_steps_per_second > 0:
            details.append(f"{self.agent_steps_per_second:,.0f} steps/s")
        if status.mean_return is not None:
            games = "1 game" if status.num_episodes == 1 else f"{min(status.num_episodes, 100)} games"
            details.append(f"mean return {format_return(status.mean_return)} ({games})")
        if status.phase != "warm-up":
            details.append(f"epsilon {status.epsilon:.3f}")
        if status.loss is not None:
            details.append(f"loss {status.loss:.4g}")
        return details


def flow(pieces: list[str], *, separator: str, width: int, indent_first: bool = False) -> Iterator[Text]:
    """Lines of at most ``width`` columns, broken between pieces and indented; a longer piece is cut."""
    indent, line = " " * INDENT if indent_first else "", ""
    for piece in pieces:
        if line and len(indent + line + separator + piece) > width:
            yield _make_line(indent + line, width)
            indent, line = " " * INDENT, ""
        line += separator + piece if line else piece
    if line:
        yield _make_line(indent + line, width)


def format_return(value: float) -> str:
    """One decimal, thousands apart: -20.7, 1,234.5."""
    return f"{round(value, 1) + 0.0:,.1f}"  # + 0.0: never -0.0


def format_duration(seconds: float) -> str:
    """The two largest units of days, hours, minutes; seconds below a minute."""
    if seconds < 60:
        return f"{int(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def format_elapsed(seconds: float) -> str:
    """Hours, minutes and seconds, as 1:02:03."""
    minutes, whole_seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{whole_seconds:02d}"


def _make_line(text: str, width: int) -> Text:
    line = Text(text)
    line.truncate(width, overflow="ellipsis")
    return line

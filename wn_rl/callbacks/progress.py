"""What one sees of a run while it goes on: a live bar in a terminal or notebook, lines in a log."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console

from wn_rl.callbacks.run_callback import RunCallback
from wn_rl.callbacks.run_status import compute_status
from wn_rl.viewing.screens import Message, make_screen
from wn_rl.viewing.status import TrainingStatus
from wn_rl.viewing.status_display import StatusDisplay
from wn_rl.viewing.tables import EvaluationLine
from wn_rl.viewing.time_left import TimeLeftEstimator


class TrainingProgress(RunCallback, ProgressBar):
    """Shows where a run stands, at most 4 times a second, and a line for each evaluation.

    Between two refreshes a call costs a look at the clock. Outside Lightning, ``show``, ``print_line`` and
    ``close`` do the same.

    Args:
        console: where to write; None: the standard output.
        clock: seconds that never run backwards.
    """

    def __init__(self, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._console = Console() if console is None else console
        self._clock = clock
        self._screen = make_screen(self._console)
        self._is_enabled = True
        self._began = clock()
        self._due = self._began
        self._estimator = TimeLeftEstimator()
        self._evaluation_title = "evaluation"
        self._evaluated: TrainingStatus | None = None

    @property
    def is_due(self) -> bool:
        """Whether ``show`` would draw now: ask before computing a status that nobody sees."""
        return self._is_enabled and self._clock() >= self._due

    def show(self, status: TrainingStatus) -> None:
        """Draw the status, if a refresh is due."""
        if self.is_due:
            self._draw(status)

    def print_line(self, text: str) -> None:
        """Print a line that stays, above the bar."""
        self._print(text)

    def close(self) -> None:
        """Leave the last status as it is and the terminal in order; ``show`` begins anew."""
        self._screen.close()

    def on_evaluation(self, row: dict[str, Any], records: list[Any]) -> None:
        """Print the line of an evaluation: ``row`` as ``make_evaluation_row`` makes it."""
        minutes = (self._clock() - self._began) / 60
        if self._evaluated is not None and self._is_enabled and self._screen.shows_every_phase:
            self._draw(dataclasses.replace(self._evaluated, phase_done=len(records), phase_total=len(records)))
        self._evaluated = None
        self._print(EvaluationLine(title=self._evaluation_title, row=row, minutes=minutes))

    def on_evaluation_round(self, num_over: int, num_games: int) -> None:
        """Show how far an evaluation is: of ten games one may last many minutes."""
        if self._evaluated is not None and self.is_due:
            self._draw(dataclasses.replace(self._evaluated, phase_done=num_over, phase_total=num_games))

    def enable(self) -> None:
        """Show from here on (Lightning's tuner calls this)."""
        self._is_enabled = True

    def disable(self) -> None:
        """Show nothing from here on; Lightning does so in all processes but the first."""
        self._is_enabled = False
        self.close()

    def print(self, *args: Any, sep: str = " ", **kwargs: Any) -> None:
        """What ``LightningModule.print`` prints."""
        self._print(sep.join(str(argument) for argument in args))

    def on_begin(self) -> None:
        """Start the clock, and watch the warm-up, in which Lightning calls no hooks."""
        self._began = self._due = self._clock()
        self._estimator = TimeLeftEstimator()
        self.algorithm.on_warmup_round = self._show_algorithm

    def on_chunk_end(self) -> None:
        """A chunk is done."""
        self._show_algorithm()

    def on_iteration_end(self) -> None:
        """An iteration is done, and its evaluation follows (this callback stands before it)."""
        num_iterations = self.algorithm.run_length.num_iterations
        self._evaluation_title = f"iteration {self.algorithm.current_epoch + 1}/{num_iterations}"
        if not self.algorithm.has_iteration_ended:
            return
        status = compute_status(self.algorithm)
        iteration = status.iteration + 1
        self._evaluated = dataclasses.replace(
            status, iteration=iteration, phase="evaluation", phase_done=0, phase_total=0
        )
        if self._is_enabled and (self._screen.shows_every_phase or self.is_due):
            self._draw(self._evaluated)

    def on_end(self) -> None:
        """The last status stays."""
        if self._is_enabled:
            self._draw(compute_status(self.algorithm))
        self.close()

    def _show_algorithm(self) -> None:
        if self.is_due:
            self._draw(compute_status(self.algorithm))

    def _draw(self, status: TrainingStatus) -> None:
        now = self._clock()
        self._due = now + self._screen.refresh_seconds
        self._estimator.update(status, now)
        display = StatusDisplay(
            status=status,
            agent_steps_per_second=self._estimator.compute_speed(status),
            seconds_left=self._estimator.compute_seconds_left(status),
        )
        self._screen.show(display, elapsed_seconds=now - self._began)

    def _print(self, message: Message | str) -> None:
        if self._is_enabled:
            self._screen.print(message)

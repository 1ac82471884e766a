"""A run that may take so long and no longer, as where a cluster ends a job: it stops in good order before."""

import time
from collections.abc import Callable

from wn_rl.callbacks.interruption import Interruption
from wn_rl.callbacks.run_callback import RunCallback


class TimeLimit(RunCallback):
    """Stops the run as Ctrl-C does, from a number of minutes on: a chunk is finished, a checkpoint written.

    Asked before each chunk, and while games are evaluated.

    Args:
        max_minutes: from now on; a resumed run has them anew.
        interruption: who stops the run.
        clock: seconds that never run backwards.
    """

    def __init__(
        self, *, max_minutes: float, interruption: Interruption, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_minutes, self._interruption, self._clock = max_minutes, interruption, clock
        self._end = clock() + 60 * max_minutes

    def on_chunk_begin(self, chunk: int) -> None:
        """The chunk that begins is the last one, if the time is over."""
        self._check()

    def on_evaluation_round(self, num_over: int, num_games: int) -> None:
        """The evaluation is done again when the run goes on."""
        self._check()

    def _check(self) -> None:
        if self._clock() >= self._end and not self._interruption.is_requested:
            self._interruption.request(f"max_minutes={self._max_minutes:g} are over\n")

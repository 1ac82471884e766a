"""Short videos while training: the median game of an evaluation, every few iterations, and more at the end."""

from pathlib import Path
from typing import Any

from wn_rl.callbacks.run_callback import RunCallback
from wn_rl.envs.rendering import EpisodeRecord
from wn_rl.errors import ConfigurationError
from wn_rl.runs.layout import VIDEOS_FOLDER
from wn_rl.viewing.evaluation_videos import make_video_name, record_game, record_missing_videos
from wn_rl.viewing.recorder import choose_best_median_worst
from wn_rl.viewing.tensorboard import show_game


class Videos(RunCallback):
    """Writes the median game of an evaluation as ``videos/<agent steps>-<score>.mp4``, and shows it in TensorBoard.

    The game is played again from its seed and actions: the run is not disturbed. When training ends, the first
    and the last evaluation have a video, and the last one's best and worst game too.

    Args:
        run_dir: the run folder; videos go into its folder videos/.
        period_iterations: evaluations from one video to the next; 0 writes none.
        max_seconds: the video stops after as many seconds of game time.
        scale: whole-number enlargement.
    """

    def __init__(self, *, run_dir: Path, period_iterations: int, max_seconds: int, scale: int) -> None:
        self._run_dir = run_dir
        self._period_iterations = period_iterations
        self._max_seconds = max_seconds
        self._scale = scale
        self._num_evaluations = 0

    def on_evaluation(self, row: dict[str, Any], records: list[EpisodeRecord]) -> None:
        """Write a video if one is due."""
        self._num_evaluations += 1
        if self._period_iterations == 0 or self._num_evaluations % self._period_iterations != 0:
            return
        games = choose_best_median_worst(records)
        record = games.get("median", games["best"])
        path = self._run_dir / VIDEOS_FOLDER / make_video_name(row["agent_steps"], "median", record.episode_return)
        try:
            record_game(record, path, max_seconds=self._max_seconds, scale=self._scale)
            for logger in self.algorithm.trainer.loggers:
                show_game(logger, record, agent_steps=row["agent_steps"], max_seconds=self._max_seconds)
        except ConfigurationError as error:  # it cannot be shown, and need not be told again
            print(f"videos are missing: {error}")
            self._period_iterations = 0

    def on_run_end(self) -> None:
        """Add what the run's page shows, unless the user stopped the run and waits."""
        total_agent_steps = self.algorithm.run_length.total_agent_steps
        if self._period_iterations == 0 or self.algorithm.agent_steps < total_agent_steps:
            return
        try:
            record_missing_videos(
                self._run_dir, max_seconds=self._max_seconds, scale=self._scale, on_game=_tell_beginning
            )
        except ConfigurationError as error:
            print(f"videos are missing: {error}")

    def state_dict(self) -> dict[str, Any]:
        """How many evaluations there were: a resumed run writes its videos when the whole one would."""
        return {"num_evaluations": self._num_evaluations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._num_evaluations = state_dict["num_evaluations"]


def _tell_beginning(num_done: int, num_games: int) -> None:
    """Encoding may take a minute, in which nothing else is shown."""
    if num_done == 0:
        print(f"encoding {num_games} videos")

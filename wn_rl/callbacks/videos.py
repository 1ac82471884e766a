"""Short videos while training: the median game of an evaluation, every few iterations."""

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from wn_rl.acting.recorder import FRAMES_PER_SECOND, choose_best_median_worst, record_episode
from wn_rl.callbacks.tensorboard import show_game
from wn_rl.envs.rendering import EpisodeRecord


class Videos(Callback):
    """Writes the median game of an evaluation as ``videos/<agent steps>-<score>.mp4``, and shows it in TensorBoard.

    The game is played again from its seed and actions: the run is not disturbed.

    Args:
        folder: where videos go.
        period_iterations: evaluations from one video to the next; 0 writes none.
        max_seconds: the video stops after as many seconds of game time.
        scale: whole-number enlargement.
    """

    def __init__(self, *, folder: Path, period_iterations: int, max_seconds: int, scale: int) -> None:
        self._folder = folder
        self._period_iterations = period_iterations
        self._max_seconds = max_seconds
        self._scale = scale
        self._num_evaluations = 0
        self._loggers: list[Logger] = []

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Remember who may show games."""
        self._loggers = trainer.loggers

    def on_evaluation(self, row: dict[str, Any], records: list[EpisodeRecord]) -> None:
        """Write a video if one is due."""
        self._num_evaluations += 1
        if self._period_iterations == 0 or self._num_evaluations % self._period_iterations != 0:
            return
        games = choose_best_median_worst(records)
        record = games.get("median", games["best"])
        self._folder.mkdir(parents=True, exist_ok=True)
        record_episode(
            record, self._folder / f"{row['agent_steps']:09d}-{record.episode_return:.10g}.mp4",
            scale=self._scale, overlay=False, q_function=None, stack_size=1, device=torch.device("cpu"),
            max_frames=self._max_seconds * FRAMES_PER_SECOND,
        )  # fmt: skip
        for logger in self._loggers:
            show_game(logger, record, agent_steps=row["agent_steps"], max_seconds=self._max_seconds)

    def state_dict(self) -> dict[str, Any]:
        """How many evaluations there were: a resumed run writes its videos when the whole one would."""
        return {"num_evaluations": self._num_evaluations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._num_evaluations = state_dict["num_evaluations"]

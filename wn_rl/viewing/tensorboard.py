"""What a run shows in TensorBoard: scalars in groups, its settings beside its score, and its games as pictures."""

from argparse import Namespace
from functools import singledispatch
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import hparams

from wn_rl.envs.rendering import EpisodeRecord
from wn_rl.runs.layout import TENSORBOARD_FOLDER
from wn_rl.viewing.animation import encode_gif

COMPARED = ("evaluation/mean", "evaluation/human_normalized", "train/mean_return")
"""The metrics that the HPARAMS tab shows beside the settings: their newest values are those of the scalars."""


class RunTensorBoard(TensorBoardLogger):
    """Writes ``<run_dir>/tensorboard``; steps are agent steps.

    Args:
        run_dir: the run folder.
        keep_until_agent_steps: what a former session wrote after its last checkpoint is hidden, since it is played
            and written again. None hides nothing.
    """

    def __init__(self, *, run_dir: str, keep_until_agent_steps: int | None) -> None:
        purge_step = None if keep_until_agent_steps is None else keep_until_agent_steps + 1
        super().__init__(run_dir, "", TENSORBOARD_FOLDER, default_hp_metric=False, purge_step=purge_step)

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, metrics: dict[str, Any] | None = None, step: int | None = None
    ) -> None:
        """Show the settings in the HPARAMS tab, under their names in configs/, beside ``COMPARED``.

        Lightning's own would log a score of 0 or -1 at step 0 for it, which nobody has played.
        """
        settings = flatten(params if isinstance(params, dict) else vars(params))
        writer = self.experiment._get_file_writer()
        for summary in hparams(settings, dict.fromkeys(COMPARED, 0.0)):
            writer.add_summary(summary)

    def log_game(self, record: EpisodeRecord, *, agent_steps: int, max_seconds: int) -> None:
        """Show a game as a moving picture in the IMAGES tab (TensorBoard plays no other videos)."""
        gif = encode_gif(record, max_seconds=max_seconds)
        value = Summary.Value(tag="evaluation/game", image=Summary.Image(encoded_image_string=gif, colorspace=3))
        self.experiment._get_file_writer().add_summary(Summary(value=[value]), agent_steps)


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Nested settings under dotted names; what is no number, text or truth value becomes text."""
    flat: dict[str, bool | int | float | str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat


@singledispatch
def show_game(logger: Logger, record: EpisodeRecord, *, agent_steps: int, max_seconds: int) -> None:
    """Show a game where ``logger`` can: most loggers cannot."""


@show_game.register
def _(logger: RunTensorBoard, record: EpisodeRecord, *, agent_steps: int, max_seconds: int) -> None:
    logger.log_game(record, agent_steps=agent_steps, max_seconds=max_seconds)

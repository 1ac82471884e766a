"""Does TensorBoard show what it is given? Event files are read back by TensorBoard's own reader."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tests.helpers.scalar_atari import MACHADO
from wn_rl.envs.rendering import EpisodeRecord, render_episode
from wn_rl.viewing.animation import encode_gif
from wn_rl.viewing.tensorboard import COMPARED, RunTensorBoard, flatten, show_game

SETTINGS = {"seed": 3, "replay": {"gamma": 0.99, "capacity": None}, "double": False, "protocol": {"name": "machado"}}


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / "tensorboard")).Reload()


def read_hyperparameters(events: EventAccumulator) -> tuple[dict[str, Any], set[str]]:
    """The settings of the session, and the tags that the experiment compares."""
    contents = [
        HParamsPluginData.FromString(metadata.plugin_data.content)
        for tag, metadata in events.summary_metadata.items()
        if tag.startswith("_hparams_/")
    ]
    start = next(content.session_start_info for content in contents if content.HasField("session_start_info"))
    experiment = next(content.experiment for content in contents if content.HasField("experiment"))
    values = {key: getattr(value, value.WhichOneof("kind")) for key, value in start.hparams.items()}
    return values, {info.name.tag for info in experiment.metric_infos}


@pytest.fixture(scope="module")
def game() -> EpisodeRecord:
    """Two seconds of Pong in which the agent does nothing."""
    protocol = dataclasses.replace(MACHADO, max_episode_frames=120)
    return EpisodeRecord(
        game="Pong", protocol_name=protocol.name, protocol_values=dataclasses.asdict(protocol), seed=4,
        actions=np.zeros(30, np.uint8), episode_return=0.0, num_agent_steps=30, num_frames=120, ended_by="truncated",
    )  # fmt: skip


def test_settings_stand_beside_the_score_and_no_score_is_invented(tmp_path: Path) -> None:
    logger = RunTensorBoard(run_dir=str(tmp_path), keep_until_agent_steps=None)
    logger.log_hyperparams(SETTINGS)
    logger.log_metrics({"evaluation/mean": 7.5}, step=250_000)
    logger.finalize("success")
    events = read(tmp_path)
    values, compared = read_hyperparameters(events)
    assert values == {"seed": 3.0, "replay.gamma": 0.99, "replay.capacity": "None", "double": False,
                      "protocol.name": "machado"}  # fmt: skip
    assert compared == set(COMPARED)
    assert events.Tags()["scalars"] == ["evaluation/mean"]
    assert [(event.step, event.value) for event in events.Scalars("evaluation/mean")] == [(250_000, 7.5)]


def test_nested_settings_get_dotted_names() -> None:
    assert flatten({"a": {"b": {"c": 1}}, "d": [0.9, 0.999], "e": True}) == {"a.b.c": 1, "d": "[0.9, 0.999]", "e": True}


def test_what_is_played_again_after_a_resume_is_shown_once(tmp_path: Path) -> None:
    for keep, values in ((None, {100: 1.0, 200: 2.0, 300: -3.0}), (200, {300: 3.0})):
        logger = RunTensorBoard(run_dir=str(tmp_path), keep_until_agent_steps=keep)
        for step, value in values.items():
            logger.log_metrics({"train/loss": value}, step=step)
        logger.finalize("success")
    points = [(event.step, event.value) for event in read(tmp_path).Scalars("train/loss")]
    assert points == [(100, 1.0), (200, 2.0), (300, 3.0)]


def test_a_game_is_a_picture_that_moves_in_real_time_and_true_colors(game: EpisodeRecord) -> None:
    frames = [frame.rgb for frame in render_episode(game)]
    picture = Image.open(io.BytesIO(encode_gif(game, max_seconds=60)))
    assert picture.n_frames > 5
    seconds = 0.0
    for index in range(picture.n_frames):  # equal pictures in succession are one, shown for longer
        picture.seek(index)
        last = min(round(60 * seconds) + 2, len(frames) - 1)
        seconds += picture.info["duration"] / 1000
        shown = np.asarray(picture.convert("RGB"))
        choices = np.stack(frames[last - 1 : last + 1]).astype(int)
        assert (np.abs(choices - shown).sum(axis=3).min(axis=0) == 0).all()  # each pixel is one of the last two
        assert shown.astype(int).sum() >= choices.sum(axis=(1, 2, 3)).max()
    assert seconds == pytest.approx(len(frames) / 60, abs=0.1)


def measure_seconds(gif: bytes) -> float:
    picture, seconds = Image.open(io.BytesIO(gif)), 0.0
    for index in range(picture.n_frames):
        picture.seek(index)
        seconds += picture.info["duration"] / 1000
    return seconds


def test_a_game_is_shown_by_tensorboard_and_by_no_other_logger(tmp_path: Path, game: EpisodeRecord) -> None:
    logger = RunTensorBoard(run_dir=str(tmp_path), keep_until_agent_steps=None)
    for each in (logger, CSVLogger(tmp_path)):
        show_game(each, game, agent_steps=500, max_seconds=1)
    logger.finalize("success")
    (image,) = read(tmp_path).Images("evaluation/game")
    assert image.step == 500
    assert measure_seconds(image.encoded_image_string) == pytest.approx(1.0)

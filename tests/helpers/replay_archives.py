"""Small replays with archives, for the tests of persistence."""

from pathlib import Path

from tests.helpers.replay_oracle import Settings, make_replay
from wn_rl.replay.persistence import ReplayArchive
from wn_rl.replay.replay import Replay
from wn_rl.replay.samplers import UniformSampler

SMALL = Settings(
    num_lanes=2,
    num_slots=30,
    stack_size=3,
    n_step=3,
    gamma=0.9,
    reward_clip=None,
    life_loss_ends_discount=True,
)
GO = ("go", "go")


def make_archive(its_settings: Settings, folder: Path, storage: str = "ram") -> tuple[Replay, ReplayArchive]:
    replay = make_replay(its_settings, UniformSampler(), storage=storage)
    return replay, ReplayArchive(replay, folder)

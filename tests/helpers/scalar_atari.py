"""The independent oracle of the Atari tests: Gymnasium's scalar AtariEnv, AtariPreprocessing, FrameStack."""

from typing import Any, NamedTuple

import gymnasium
import numpy as np
from ale_py.env import AtariEnv
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

from wn_rl.envs.protocols import Protocol

MACHADO = Protocol(
    name="machado",
    repeat_action_probability=0.25,
    noop_max=0,
    use_fire_reset=False,
    life_loss_ends_discount=False,
    full_action_space=False,
    max_episode_frames=108_000,
    frame_skip=4,
)
NATURE = Protocol(
    name="nature",
    repeat_action_probability=0.0,
    noop_max=30,
    use_fire_reset=False,
    life_loss_ends_discount=True,
    full_action_space=False,
    max_episode_frames=18_000,
    frame_skip=4,
)
# Every option the other way around, so that each is compared switched on and off.
ODD = Protocol(
    name="odd",
    repeat_action_probability=0.1,
    noop_max=7,
    use_fire_reset=True,
    life_loss_ends_discount=False,
    full_action_space=True,
    max_episode_frames=108_000,
    frame_skip=3,
)


class ScalarStep(NamedTuple):
    """What one scalar environment returns: its stack u8 [4, 84, 84], and the facts of one step."""

    stack: np.ndarray
    reward: float
    terminated: bool
    truncated: bool
    lives: int


class StartFrames(gymnasium.Wrapper):
    """Plays a given number of starting frames, FIRE first where the protocol presses it."""

    def __init__(self, env: AtariEnv, protocol: Protocol) -> None:
        super().__init__(env)
        meanings = env.get_action_meanings()
        presses_fire = protocol.use_fire_reset and "FIRE" in meanings
        self.first_action = meanings.index("FIRE") if presses_fire else 0
        self.num_start_frames = 0

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**arguments)
        for index in range(self.num_start_frames):
            observation, *_, info = self.env.step(self.first_action if index == 0 else 0)
        return observation, info


class ScalarAtari:
    """One game in Gymnasium's own parts, under a protocol, for ALE's seeds."""

    def __init__(self, rom: str, protocol: Protocol, *, max_frames: int | None = None) -> None:
        self.atari = AtariEnv(
            game=rom,
            obs_type="grayscale",  # unused: AtariPreprocessing reads the screen itself; gray costs least
            frameskip=1,
            repeat_action_probability=protocol.repeat_action_probability,
            full_action_space=protocol.full_action_space,
            max_num_frames_per_episode=max_frames,
        )
        self.starts = StartFrames(self.atari, protocol)
        preprocessing = AtariPreprocessing(self.starts, noop_max=0, frame_skip=protocol.frame_skip)
        self.stacked = FrameStackObservation(preprocessing, stack_size=4, padding_type="zero")
        self.action_names = tuple(self.atari.get_action_meanings())

    def seed(self, seed: int) -> None:
        """Seed the emulator itself: AtariEnv.reset(seed) would draw another seed from this one."""
        self.atari.ale.setInt("random_seed", seed)
        self.atari.load_game()

    def reset(self, num_start_frames: int) -> np.ndarray:
        self.starts.num_start_frames = num_start_frames
        return self.stacked.reset()[0]

    def step(self, action: int) -> ScalarStep:
        stack, reward, terminated, truncated, info = self.stacked.step(action)
        return ScalarStep(stack, float(reward), terminated, truncated, info["lives"])

"""N copies of an Atari game that step together; the traps of the emulator are closed here for the rest.

Everybody else sees ``wn_rl.types.VectorEnvironment``: this file alone knows what ALE's C++ vector environment
really does (``src/ale/vector`` of the Arcade Learning Environment, 0.12.1).
"""

from typing import Any

import numpy as np
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode
from jaxtyping import Bool, Float32, Int32, Int64, UInt8

from wn_rl.envs.call_order import CallOrder
from wn_rl.envs.games import resolve_game, rom_name
from wn_rl.envs.protocols import Protocol
from wn_rl.errors import ConfigurationError
from wn_rl.types import ObservationSpec, Step

OBSERVATION = ObservationSpec((84, 84), "uint8")  # Mnih et al. 2015, Methods, "Preprocessing"

# The time limit is ours: the emulator would stop before reading the last screen, and a truncation, from whose
# final observation a target bootstraps, would show an old one.
EMULATOR_FRAME_LIMIT = 2**30 + 2**29


class AtariEnvironments:
    """N copies of one Atari game, stepped by C++ threads while the caller computes.

    An agent step repeats the action for ``protocol.frame_skip`` emulator frames; its frame is the pixelwise
    maximum of the last two of them in gray, resized to 84 x 84 by area (Mnih et al. 2015). At a terminal the
    emulator stops before it reads the screen, so that a terminal's frame may show the screen before; nothing
    is ever bootstrapped from it. Rewards are the game's own: neither clipped nor scaled.

    The threads start here, so build the object in the process that uses it.

    Arguments:
        game: the game in any spelling.
        protocol: the rules of play.
        num_envs: N.
        num_threads: emulator threads; idle ones spin, so give no more than there are free cores.
    Raises ConfigurationError for an unknown game or a number below 1.
    """

    def __init__(self, *, game: str, protocol: Protocol, num_envs: int, num_threads: int) -> None:
        if num_envs < 1 or num_threads < 1:
            raise ConfigurationError(f"{num_envs=} and {num_threads=} must be at least 1")
        self.game = resolve_game(game)
        self.protocol = protocol
        self.num_envs = num_envs
        self.observation = OBSERVATION
        self._emulators = AtariVectorEnv(
            rom_name(self.game),
            num_envs,
            num_threads=num_threads,
            max_num_frames_per_episode=EMULATOR_FRAME_LIMIT,
            repeat_action_probability=protocol.repeat_action_probability,
            full_action_space=protocol.full_action_space,
            autoreset_mode=AutoresetMode.NEXT_STEP,
            img_height=OBSERVATION.shape[0],
            img_width=OBSERVATION.shape[1],
            grayscale=True,
            stack_num=1,  # frames are stored once, and stacked by their readers
            frameskip=protocol.frame_skip,
            maxpool=True,
            noop_max=protocol.noop_max + 1,  # the emulator draws from {0, ..., noop_max - 1}
            episodic_life=False,  # would reset the whole game at every life: no agent ever saw life 2
            life_loss_info=False,  # would report a lost life as a terminal, and hide a truncation
            reward_clipping=False,
            use_fire_reset=protocol.use_fire_reset,
        )
        self.action_names: tuple[str, ...] = tuple(action.name for action in self._emulators.ale.get_action_set())
        self.num_actions = len(self.action_names)
        self._order = CallOrder(num_envs=num_envs, num_actions=self.num_actions)
        self._lives = np.zeros(num_envs, dtype=np.int32)
        self._start_frames = np.zeros(num_envs, dtype=np.int32)
        self._episode_agent_steps = np.zeros(num_envs, dtype=np.int64)

    @property
    def episode_start_frames(self) -> Int32[np.ndarray, "N"]:
        """FIRE and no-op frames with which each environment's current episode began."""
        return self._start_frames.copy()

    def reset(
        self, *, seeds: Int64[np.ndarray, "K"] | None = None, mask: Bool[np.ndarray, "N"] | None = None
    ) -> UInt8[np.ndarray, "N H W"]:
        """Start new episodes where ``mask`` says so and return the newest frame of every environment.

        A seeded reset reloads the game, about 90 ms each; what follows is an exact function of (game,
        protocol, seed, actions), sticky actions and later unseeded resets included. An unseeded one takes
        about 6 ms. Raises what ``CallOrder.begin_reset`` raises.
        """
        mask = self._order.begin_reset(seeds, mask)
        observation, info = self._emulators.reset(seed=seeds, options={"reset_mask": mask})
        self._lives = info["lives"]
        self._start_frames = np.where(mask, info["episode_frame_number"], self._start_frames)
        self._episode_agent_steps[mask] = 0
        return _take_newest_frames(observation)

    def send(self, actions: Int64[np.ndarray, "N"]) -> None:
        """Start one agent step; raises what ``CallOrder.begin_send`` raises.

        The check comes first: an invalid action would kill a thread, and ``receive`` would wait for ever.
        """
        self._order.begin_send(actions)
        self._emulators.send(actions.astype(np.int64))

    def receive(self) -> Step:
        """Wait for the agent step that was sent; RuntimeError where none was."""
        self._order.begin_receive()
        observation, reward, terminated, _, info = self._emulators.recv()
        self._episode_agent_steps += 1
        truncated = (self._episode_agent_steps >= self.protocol.max_episode_agent_steps) & ~terminated
        step = Step(
            frame=_take_newest_frames(observation),
            reward=_convert_rewards(reward),
            terminated=terminated,
            truncated=truncated,
            life_lost=self._compute_life_lost(info) & ~terminated,
        )
        self._order.end_receive(step.ended)
        return step

    def close(self) -> None:
        """Stop the threads; closing twice does nothing."""
        if self._order.is_closed:
            return
        if self._order.is_stepping:
            self._emulators.recv()  # the threads must not write into memory that is gone
        self._order.close()
        del self._emulators  # its own close() leaves the threads running

    def _compute_life_lost(self, info: dict[str, Any]) -> Bool[np.ndarray, "N"]:
        """Return where lives went down with some left; games without lives always report 0."""
        lives_before, self._lives = self._lives, info["lives"]
        return (self._lives < lives_before) & (self._lives > 0)


def _take_newest_frames(observation: UInt8[np.ndarray, "N S H W"]) -> UInt8[np.ndarray, "N H W"]:
    return np.ascontiguousarray(observation[:, -1])


def _convert_rewards(reward: Int32[np.ndarray, "N"]) -> Float32[np.ndarray, "N"]:
    return reward.astype(np.float32)

"""An agent's game as Gymnasium's environments show games: for anybody's loop, under the agent's rules of play.

Built of Gymnasium's own wrappers, and apart from ALE's vector environment, in which agents are trained and evaluated;
both show the same (tests/envs/test_gymnasium_wrappers.py).
"""

from typing import Any

import ale_py
import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation, TimeLimit, TransformAction
from jaxtyping import Num

from wn_rl.envs.atari import EMULATOR_FRAME_LIMIT, OBSERVATION
from wn_rl.envs.games import resolve_game
from wn_rl.envs.gymnasium_environments import OPTIONS, check_environment_id, find_actions, find_frames, make_arguments
from wn_rl.envs.protocols import AnyProtocol, Protocol
from wn_rl.errors import ConfigurationError

AnyEnv = gymnasium.Env[Any, Any]


class StartFrames(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Begins episodes with a number of no-op frames drawn from {0, ..., noop_max}, of which FIRE may be the first."""

    def __init__(self, env: AnyEnv, protocol: Protocol) -> None:
        super().__init__(env)
        names: list[str] = env.unwrapped.get_action_meanings()  # type: ignore[attr-defined]
        self._presses_fire = protocol.use_fire_reset and "FIRE" in names
        self._first_action = names.index("FIRE") if self._presses_fire else 0
        self._noop_max = protocol.noop_max

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        num_frames = max(int(self.env.unwrapped.np_random.integers(self._noop_max + 1)), int(self._presses_fire))
        for number in range(num_frames):
            observation, _, _, _, info = self.env.step(0 if number else self._first_action)
        return observation, info


class ReadFrames(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Shows an environment's observations as frames: float32 vectors, u8 images with channels first."""

    def __init__(self, env: AnyEnv, name: str) -> None:
        super().__init__(env)
        self._frames = find_frames(name, env.observation_space)
        shape, dtype = self._frames.spec
        low, high = (0, 255) if self._frames.spec.is_image else (-np.inf, np.inf)
        self.observation_space = spaces.Box(low, high, shape, np.dtype(dtype).type)

    def observation(self, observation: Any) -> Num[np.ndarray, "*frame"]:
        """A frame."""
        return self._frames.read(observation)


def make_gymnasium_env(game: str, protocol: AnyProtocol, *, stack_size: int, render_mode: str | None) -> AnyEnv:
    """One environment of Gymnasium's, which plays a game under a protocol and shows stacks of frames.

    Raises:
        ConfigurationError: there is no such game, or its observations or actions are not supported.
    """
    if protocol.env == "gymnasium":
        env: AnyEnv = gymnasium.make(check_environment_id(game), **make_arguments(protocol, render_mode=render_mode))
    else:
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # without its greeting
        gymnasium.register_envs(ale_py)
        env = gymnasium.make(
            f"ALE/{resolve_game(game)}-v5", render_mode=render_mode, frameskip=1,
            repeat_action_probability=protocol.repeat_action_probability,
            full_action_space=protocol.full_action_space, max_num_frames_per_episode=EMULATOR_FRAME_LIMIT, **OPTIONS,
        )  # fmt: skip
    return wrap_gymnasium_env(env, protocol, stack_size=stack_size)


def wrap_gymnasium_env(env: AnyEnv, protocol: AnyProtocol, *, stack_size: int) -> AnyEnv:
    """An environment of anybody's that shows stacks of frames, the newest last, black before the first.

    Args:
        env: of the protocol's kind; an Atari game with frameskip=1, whose sticky actions stay its own.
        protocol: start frames, frame skip and time limit.
        stack_size: S; of a stack of one, the frame alone is shown.

    Raises:
        ConfigurationError: it is of another kind, or its observations or actions are not supported.
    """
    if protocol.env == "atari":
        env = _preprocess(env, protocol)
    else:
        name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        first_action, num_actions = find_actions(name, env.action_space)
        env = ReadFrames(env, name)
        if first_action != 0:
            env = TransformAction(env, lambda action: action + first_action, spaces.Discrete(num_actions))
    env = TimeLimit(env, protocol.max_episode_agent_steps)
    return env if stack_size == 1 else FrameStackObservation(env, stack_size, padding_type="zero")


def _preprocess(env: AnyEnv, protocol: Protocol) -> AnyEnv:
    if not isinstance(env.unwrapped, ale_py.AtariEnv):
        raise ConfigurationError(f"{env}: the agent plays Atari games; make one with gymnasium.make, or wn_rl.make_env")
    if env.unwrapped._frameskip != 1:
        raise ConfigurationError(
            f"{env} skips frames itself; make it with frameskip=1: every {protocol.frame_skip} are skipped here"
        )
    starts = StartFrames(env, protocol)
    return AtariPreprocessing(starts, noop_max=0, frame_skip=protocol.frame_skip, screen_size=OBSERVATION.shape[0])

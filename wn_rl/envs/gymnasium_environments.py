"""Any environment of Gymnasium with discrete actions, N copies of it under the project's contract.

A stranger's environment may do anything: what it raises, and what of it is not supported, is told in one line.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Int64, Num, UInt8

from wn_rl.envs.call_order import CallOrder
from wn_rl.envs.protocols import GymnasiumProtocol
from wn_rl.errors import ConfigurationError
from wn_rl.system.user_modules import import_typed
from wn_rl.types import ObservationSpec, Step

RENDER_MODE = "rgb_array"
OPTIONS = {"disable_env_checker": True}  # it warns; what matters is checked here
MAX_ACTIONS = 256  # an action is a byte in the replay and in stored games
SUPPORTED = "vectors (Box of one dimension), and images of bytes or truth values, (H, W) or (H, W, C)"

Answer = TypeVar("Answer")


def import_environment(name: str) -> str:
    """The id of an environment as the user typed it; ``module:id`` imports the module that registers it.

    Never for what a file says: importing runs code.

    Raises:
        ConfigurationError: the module cannot be imported, or there is no such environment.
    """
    module, colon, environment_id = name.rpartition(":")
    if colon:
        import_typed(module, key=f"env.id={name}")
    return check_environment_id(environment_id)


def check_environment_id(environment_id: str) -> str:
    """The id itself, if it is registered. ConfigurationError, with the nearest ones, if not, and for ``module:id``."""
    if ":" in environment_id:
        raise ConfigurationError(
            f"env.id={environment_id} would import code, which no file may ask for; if you trust it, type env.id=..."
        )
    if environment_id in gymnasium.registry:
        return environment_id
    nearest = difflib.get_close_matches(environment_id, gymnasium.registry, n=3, cutoff=0.6)
    advice = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    raise ConfigurationError(
        f"unknown environment {environment_id!r}: {advice}one that a module of yours registers is env.id=module:id"
    )


class _Frames(NamedTuple):
    """How an environment's observations become frames: their kind, their shape, and what one is multiplied by."""

    spec: ObservationSpec
    shape: tuple[int, ...]
    factor: int

    def read(self, observation: Any) -> Num[np.ndarray, "*frame"]:
        """A frame; images with channels first. Raises ValueError for what does not have the space's shape."""
        array = np.asarray(observation)
        if array.shape != self.shape:
            raise ValueError(f"its observation has the shape {array.shape}, and its space {self.shape}")
        frame = array.astype(self.spec.dtype)
        if not self.spec.is_image:
            return frame
        return np.moveaxis(frame, -1, 0) * self.factor if frame.ndim == 3 else frame * self.factor


def make_arguments(protocol: GymnasiumProtocol, *, render_mode: str | None) -> dict[str, Any]:
    """What ``gymnasium.make`` is given: of pictures nothing where none are wanted, since not all take a render mode."""
    return {**OPTIONS, **protocol.kwargs, **({} if render_mode is None else {"render_mode": render_mode})}


class GymnasiumEnvironments:
    """N copies of one of Gymnasium's environments; they step in ``receive``, one after the other.

    Vectors come as float32, images as u8 [H, W] or [C, H, W]; where an image's values are 0 and 1 (MinAtar's), as 0 and
    255. A time limit, the environment's own or the protocol's, truncates. No life is ever lost.

    Args:
        game: the environment's id.
        protocol: what it is made with.
        num_envs: N.
        render_mode: None, or ``RENDER_MODE`` where its pictures are wanted.

    Raises:
        ConfigurationError: it cannot be made, or its observations or actions are not supported.
    """

    def __init__(
        self, *, game: str, protocol: GymnasiumProtocol, num_envs: int, render_mode: str | None = None
    ) -> None:
        self.game, self.protocol, self.num_envs = check_environment_id(game), protocol, num_envs
        if num_envs < 1:
            raise ConfigurationError(f"{num_envs=} must be at least 1")
        self._environments: list[gymnasium.Env[Any, Any]] = [
            self._ask("make", gymnasium.make, game, **make_arguments(protocol, render_mode=render_mode))
            for _ in range(num_envs)
        ]
        self.render_modes = tuple(self._environments[0].metadata.get("render_modes") or ())
        self._frames = find_frames(game, self._environments[0].observation_space)
        self.observation = self._frames.spec
        self._first_action, self.num_actions = find_actions(game, self._environments[0].action_space)
        self.action_names = tuple(str(action) for action in range(self.num_actions))
        self._order = CallOrder(num_envs=num_envs, num_actions=self.num_actions)
        self._newest = np.zeros((num_envs, *self.observation.shape), self.observation.dtype)
        self._actions = np.zeros(num_envs, np.int64)
        self._episode_agent_steps = np.zeros(num_envs, np.int64)

    def reset(
        self, *, seeds: Int64[np.ndarray, "K"] | None = None, mask: Bool[np.ndarray, "N"] | None = None
    ) -> Num[np.ndarray, "N *frame"]:
        """Start new episodes where ``mask`` says so; raises what ``CallOrder.begin_reset`` raises."""
        lanes = np.flatnonzero(self._order.begin_reset(seeds, mask))
        for number, lane in enumerate(lanes):
            seed = None if seeds is None else int(seeds[number])
            observation, _ = self._ask("reset", self._environments[lane].reset, seed=seed)
            self._newest[lane] = self._ask("reset", self._frames.read, observation)
        self._episode_agent_steps[lanes] = 0
        return self._newest.copy()

    def send(self, actions: Int64[np.ndarray, "N"]) -> None:
        """Keep the actions for ``receive``; raises what ``CallOrder.begin_send`` raises."""
        self._order.begin_send(actions)
        self._actions = actions.copy()

    def receive(self) -> Step:
        """Take the agent step that was sent; RuntimeError where none was."""
        self._order.begin_receive()
        self._episode_agent_steps += 1
        reward = np.zeros(self.num_envs, np.float32)
        terminated = np.zeros(self.num_envs, np.bool_)
        truncated = self._episode_agent_steps >= self.protocol.max_episode_agent_steps
        for lane, environment in enumerate(self._environments):
            action = self._first_action + self._actions[lane]
            observation, reward[lane], terminated[lane], is_truncated, _ = self._ask("step", environment.step, action)
            truncated[lane] |= is_truncated
            self._newest[lane] = self._ask("step", self._frames.read, observation)
        no_life_lost = np.zeros(self.num_envs, np.bool_)
        step = Step(self._newest.copy(), reward, terminated, truncated & ~terminated, no_life_lost)
        self._order.end_receive(step.ended)
        return step

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """The picture of the first environment. Raises ConfigurationError where it has none."""
        picture = self._ask("render", self._environments[0].render)
        if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
            raise ConfigurationError(f"{self.game} cannot be shown: it has no pictures of bytes and three colors")
        return picture

    def close(self) -> None:
        """Close the environments; closing twice does nothing."""
        if not self._order.is_closed:
            self._order.close()
            for environment in self._environments:
                self._ask("close", environment.close)

    def _ask(self, what: str, function: Callable[..., Answer], *args: Any, **kwargs: Any) -> Answer:
        """What the environment answers; ConfigurationError with whatever it raises."""
        try:
            return function(*args, **kwargs)
        except Exception as error:
            raise ConfigurationError(f"{self.game} failed in {what}: {_in_one_line(error)}") from error


class PlayedFrame(NamedTuple):
    """A picture, the agent step that led to it (-1: the first), its reward, and what the network sees."""

    rgb: UInt8[np.ndarray, "height width 3"]
    agent_step: int
    reward: float
    frame: Num[np.ndarray, "*frame"]


def play_gymnasium(game: str, protocol: GymnasiumProtocol, seed: int, actions: Iterable[int]) -> Iterator[PlayedFrame]:
    """Play one episode and yield its pictures, until the actions or the episode are over.

    An action is taken from ``actions`` when its picture is asked for. ConfigurationError where there are no pictures.
    """
    without_pictures = GymnasiumEnvironments(game=game, protocol=protocol, num_envs=1)
    without_pictures.close()
    if RENDER_MODE not in without_pictures.render_modes:
        raise ConfigurationError(f"{game} cannot be shown: it has no render_mode={RENDER_MODE}")
    environments = GymnasiumEnvironments(game=game, protocol=protocol, num_envs=1, render_mode=RENDER_MODE)
    try:
        frames = environments.reset(seeds=np.array([seed], np.int64))
        yield PlayedFrame(environments.render(), -1, 0.0, frames[0])
        for agent_step, action in enumerate(actions):
            if action >= environments.num_actions:
                raise ConfigurationError(f"the episode takes action {action} of {environments.num_actions}")
            environments.send(np.array([action], np.int64))
            step = environments.receive()
            yield PlayedFrame(environments.render(), agent_step, float(step.reward[0]), step.frame[0])
            if step.ended[0]:
                return
    finally:
        environments.close()


def find_frames(game: str, space: gymnasium.Space[Any]) -> _Frames:
    """What the observations of a space are. Raises ConfigurationError where that is not supported."""
    shape = space.shape or ()
    if isinstance(space, spaces.Box) and len(shape) == 1:
        return _Frames(ObservationSpec(shape, "float32"), shape, 1)
    if isinstance(space, spaces.Box) and space.dtype in (np.uint8, np.bool_) and len(shape) in (2, 3):
        factor = 255 if int(np.max(space.high)) <= 1 else 1
        frame_shape = shape if len(shape) == 2 else (shape[2], *shape[:2])
        return _Frames(ObservationSpec(frame_shape, "uint8"), shape, factor)
    raise ConfigurationError(f"{game} has observations {_in_one_line(space)}, which is not supported: {SUPPORTED} are")


def find_actions(game: str, space: gymnasium.Space[Any]) -> tuple[int, int]:
    """The first action, and how many there are. Raises ConfigurationError for all but discrete actions."""
    if not isinstance(space, spaces.Discrete):
        raise ConfigurationError(f"{game} has actions {_in_one_line(space)}, which is not supported: Discrete ones are")
    if space.n > MAX_ACTIONS:
        raise ConfigurationError(f"{game} has {space.n} actions; at most {MAX_ACTIONS} are supported")
    return int(space.start), int(space.n)


def _in_one_line(thing: object) -> str:
    text = " ".join(str(thing).split())[:200]
    return f"{type(thing).__name__}: {text}" if isinstance(thing, Exception) else text

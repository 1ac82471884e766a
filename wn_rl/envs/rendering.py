"""Recorded episodes: stored as seed and actions, and played again in full color.

From a seeded reset an episode is an exact function of (game, protocol, seed, actions), sticky actions
included, so that a few kilobytes hold a whole game; the vector environment itself can draw no picture.
"""

import dataclasses
import io
import json
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import ale_py
import cv2
import gymnasium
import numpy as np
from ale_py import roms
from jaxtyping import Num, UInt8

from wn_rl.envs.atari import OBSERVATION, AtariEnvironments
from wn_rl.envs.flicker import Flicker
from wn_rl.envs.games import rom_name
from wn_rl.envs.gymnasium_environments import play_gymnasium
from wn_rl.envs.protocols import AnyProtocol, Protocol, load_protocol
from wn_rl.errors import ConfigurationError
from wn_rl.system.files import read_limited, write_whole

MAX_EPISODE_BYTES = 2**24
"""Of a stored game, also unpacked: a byte per agent step, and it lasts no twelve days."""

START_AGENT_STEP = -1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeRecord:
    """One whole game: what is needed to play it again, and what came of it.

    Arguments:
        game: its name, ``SpaceInvaders``, or Gymnasium's id.
        protocol_name: what the result is labeled with.
        protocol_values: ``dataclasses.asdict`` of the protocol.
        seed: the environment's seed, in [0, 2^31).
        actions: u8 [T], one an agent step.
        episode_return: undiscounted sum of the raw rewards.
        num_agent_steps: T.
        num_frames: T * frame_skip, as the literature counts; without the starting frames.
        ended_by: ``terminated`` by the game or ``truncated`` by the time limit.
    """

    game: str
    protocol_name: str
    protocol_values: dict[str, object]
    seed: int
    actions: UInt8[np.ndarray, "T"]
    episode_return: float
    num_agent_steps: int
    num_frames: int
    ended_by: Literal["terminated", "truncated"]


class RenderedFrame(NamedTuple):
    """One emulator frame in full color, or one picture of an environment of Gymnasium.

    ``agent_step`` counts from 0; it is -1 before the agent's first action, where ``reward`` is 0.
    ``reward`` is the raw reward of this emulator frame. ``observation_frame`` is what the network sees of it:
    given at the last frame of every agent step, and at the last one before the agent's first action.
    """

    rgb: UInt8[np.ndarray, "height width 3"]
    agent_step: int
    reward: float
    lives: int
    observation_frame: Num[np.ndarray, "*frame"] | None


def save_episode(path: Path, record: EpisodeRecord) -> None:
    """Write an episode to a small .npz file, whole or not at all."""
    values = {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(EpisodeRecord)
        if field.name != "actions"
    }
    content = io.BytesIO()
    np.savez_compressed(content, actions=record.actions, values=np.array(json.dumps(values)))
    write_whole(path, content.getbuffer())


def load_episode(path: Path) -> EpisodeRecord:
    """Read an episode that ``save_episode`` wrote; ConfigurationError where the file holds none."""
    try:
        content = read_limited(path, MAX_EPISODE_BYTES)
        _check_archive(content)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            values = json.loads(str(arrays["values"]))
            record = EpisodeRecord(actions=arrays["actions"], **values)
        _check_record(record)
    except FileNotFoundError:
        raise ConfigurationError(f"there is no episode {path}") from None
    except Exception as error:  # whatever numpy, zipfile, json and the checks make of a foreign file
        has_objects = "allow_pickle" in str(error)  # NumPy's advice, which would let the file run code
        reason = "it holds Python objects" if has_objects else " ".join(str(error).split())
        raise ConfigurationError(f"{path} is no episode of this program: {reason}") from None
    return record


def load_episodes(folder: Path) -> list[EpisodeRecord]:
    """The stored games of a folder; ConfigurationError where there are none."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise ConfigurationError(f"episodes_dir={folder}: no stored games (.npz) there")
    return [load_episode(path) for path in paths]


def _check_archive(content: bytes) -> None:
    """Raise ValueError where a file unfolds to more than any game takes."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        records = archive.infolist()
    if len(records) > 2 or sum(record.file_size for record in records) > MAX_EPISODE_BYTES:
        raise ValueError(f"it unfolds to more than the {MAX_EPISODE_BYTES:,} bytes that a game can take")


def render_episode(record: EpisodeRecord) -> Iterator[RenderedFrame]:
    """Play an episode again and yield every emulator frame, from the first screen to the last.

    Raises ConfigurationError, at the end, where the played return is not the recorded one: another version
    of the emulator played it, or the file was changed.
    """
    protocol = load_protocol(record.protocol_values)
    replayed_return = 0.0
    for frame in _play(record.game, protocol, record.seed, record.actions.tolist()):
        replayed_return += frame.reward
        yield frame
    num_agent_steps = frame.agent_step + 1
    if replayed_return != record.episode_return or num_agent_steps != record.num_agent_steps:
        raise ConfigurationError(
            f"the episode of {record.game} with seed {record.seed} returned {record.episode_return:g} in "
            f"{record.num_agent_steps} agent steps, and {replayed_return:g} in {num_agent_steps} when played "
            f"again; use the version that recorded it (this is {_describe_version(protocol)})"
        )


def render_game(
    game: str, protocol: AnyProtocol, seed: int, *, choose_action: Callable[[Num[np.ndarray, "*frame"]], int]
) -> Iterator[RenderedFrame]:
    """Play a new game to its end or its time limit and yield every emulator frame, from the first screen to the last.

    ``choose_action`` is given the newest observation frame when an agent step's first frame is asked for, and returns
    the index of an action.
    """
    newest = np.empty(0)  # until the first frame is there
    actions = (choose_action(newest) for _ in range(protocol.max_episode_agent_steps))  # reads newest as it is then
    for frame in _play(game, protocol, seed, actions):
        if frame.observation_frame is not None:
            newest = frame.observation_frame
        yield frame


def _play(game: str, protocol: AnyProtocol, seed: int, actions: Iterable[int]) -> Iterator[RenderedFrame]:
    """Every frame of an episode, until the actions or the game are over; what the network sees flickers as it did."""
    flicker = Flicker(protocol.flicker_probability, seed)
    for frame in _draw(game, protocol, seed, actions):
        seen = frame.observation_frame
        yield frame if seen is None else frame._replace(observation_frame=flicker.show(seen))


def _draw(game: str, protocol: AnyProtocol, seed: int, actions: Iterable[int]) -> Iterator[RenderedFrame]:
    if protocol.env == "gymnasium":
        for rgb, agent_step, reward, frame in play_gymnasium(game, protocol, seed, actions):
            yield RenderedFrame(rgb, agent_step, reward, 0, frame)
        return
    yield from _Player(game, protocol, seed).play(_find_num_start_frames(game, protocol, seed), actions)


def _describe_version(protocol: AnyProtocol) -> str:
    return f"Gymnasium {gymnasium.__version__}" if protocol.env == "gymnasium" else f"ale-py {ale_py.__version__}"


class _Player:
    """A scalar emulator that repeats, frame by frame, what one environment of ``AtariEnvironments`` does."""

    def __init__(self, game: str, protocol: Protocol, seed: int) -> None:
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self._emulator = ale_py.ALEInterface()
        self._emulator.setFloat("repeat_action_probability", protocol.repeat_action_probability)
        self._emulator.setInt("random_seed", seed)
        rom_path = roms.get_rom_path(rom_name(game))
        if rom_path is None:
            raise ConfigurationError(f"ale-py does not know the game {game}")
        self._emulator.loadROM(rom_path)
        self._protocol = protocol
        self._action_set = (
            self._emulator.getLegalActionSet() if protocol.full_action_space else self._emulator.getMinimalActionSet()
        )
        self._newest_screen = np.zeros(self._emulator.getScreenDims(), dtype=np.uint8)
        self._previous_screen = np.zeros_like(self._newest_screen)

    def play(self, num_start_frames: int, actions: Iterable[int]) -> Iterator[RenderedFrame]:
        """Yield the starting frames, then those of each agent step until the actions or the game are over.

        An action is taken from ``actions`` when its first frame is asked for.
        """
        yield from self._start(num_start_frames)
        for agent_step, action in enumerate(actions):
            if action >= len(self._action_set):
                raise ConfigurationError(f"the episode takes action {action} of {len(self._action_set)}")
            yield from self._step(agent_step, self._action_set[action])
            if self._emulator.game_over():
                return

    def _start(self, num_start_frames: int) -> Iterator[RenderedFrame]:
        self._emulator.reset_game()
        presses_fire = self._protocol.use_fire_reset and ale_py.Action.FIRE in self._action_set
        for index in range(num_start_frames):
            yield self._render(START_AGENT_STEP, 0.0)
            self._emulator.act(ale_py.Action.FIRE if index == 0 and presses_fire else ale_py.Action.NOOP)
        self._emulator.getScreenGrayscale(self._newest_screen)
        yield self._render(START_AGENT_STEP, 0.0, self._preprocess())

    def _step(self, agent_step: int, action: ale_py.Action) -> Iterator[RenderedFrame]:
        """Repeat the action; the last two screens are read as the vector environment reads them."""
        for num_left in range(self._protocol.frame_skip, 0, -1):
            reward = float(self._emulator.act(action))
            is_over = self._emulator.game_over()
            if not is_over and num_left == 2:
                self._emulator.getScreenGrayscale(self._previous_screen)
            if not is_over and num_left == 1:
                self._emulator.getScreenGrayscale(self._newest_screen)
            is_last = is_over or num_left == 1
            yield self._render(agent_step, reward, self._preprocess() if is_last else None)
            if is_over:
                return

    def _preprocess(self) -> UInt8[np.ndarray, "H W"]:
        """Pool in place, as the emulator does: a terminal, whose screens are not read, shows it."""
        np.maximum(self._newest_screen, self._previous_screen, out=self._newest_screen)
        resized = cv2.resize(self._newest_screen, OBSERVATION.shape[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(resized, dtype=np.uint8)

    def _render(
        self, agent_step: int, reward: float, observation_frame: UInt8[np.ndarray, "H W"] | None = None
    ) -> RenderedFrame:
        lives = self._emulator.lives()
        return RenderedFrame(self._emulator.getScreenRGB(), agent_step, reward, lives, observation_frame)


def _find_num_start_frames(game: str, protocol: Protocol, seed: int) -> int:
    """Return how many FIRE and no-op frames the environment draws from this seed."""
    environments = AtariEnvironments(game=game, protocol=protocol, num_envs=1, num_threads=1)
    environments.reset(seeds=np.array([seed]))
    num_start_frames = int(environments.episode_start_frames[0])
    environments.close()
    return num_start_frames


def _check_record(record: EpisodeRecord) -> None:
    """Raise ValueError where the parts of a record do not fit each other."""
    protocol = load_protocol(record.protocol_values)
    num_agent_steps = len(record.actions)
    if record.actions.dtype != np.uint8 or record.actions.ndim != 1:
        raise ValueError(f"actions are {record.actions.dtype} [{record.actions.shape}]")
    if num_agent_steps == 0 or num_agent_steps != record.num_agent_steps:
        raise ValueError(f"{num_agent_steps} actions for num_agent_steps={record.num_agent_steps}")
    if record.num_frames != num_agent_steps * protocol.frame_skip or record.protocol_name != protocol.name:
        raise ValueError("its counts or its protocol contradict each other")
    if type(record.episode_return) not in (int, float) or not math.isfinite(record.episode_return):
        raise ValueError(f"episode_return={record.episode_return!r:.40}")
    if record.ended_by not in ("terminated", "truncated") or not 0 <= record.seed < 2**31:
        raise ValueError(f"ended_by={record.ended_by!r}, seed={record.seed!r}")

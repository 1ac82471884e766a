"""The rules under which a game is played: two scores are comparable only under the same protocol.

Atari games have protocols by name; an environment of Gymnasium has its own rules.

Sources: ``machado``: Machado et al. 2018, "Revisiting the Arcade Learning Environment", Table 5.
``nature``: Mnih et al. 2015, "Human-level control through deep reinforcement learning", Methods and Extended
Data Table 1. The values of both are configuration; this file states what each value means.
"""

import dataclasses
import math
import re
from typing import ClassVar, Literal

from wn_rl.errors import ConfigurationError, show_value

# A play of 2^30 frames lasts 207 days at 60 Hz; the emulator counts its frames in 32 bits.
LARGEST_MAX_EPISODE_FRAMES = 2**30

RESERVED_KWARGS = ("id", "render_mode", "disable_env_checker", "additional_wrappers")  # set here, or for code alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """The rules of play in training and in evaluation.

    Arguments:
        name: what a result is labeled with.
        repeat_action_probability: probability, at every emulator frame, that the previous frame's action is
            executed again instead of the chosen one ("sticky actions"); 0 gives a deterministic game.
        noop_max: an episode begins with a number of no-op frames drawn uniformly from {0, ..., noop_max}.
        use_fire_reset: whether the first frame of an episode presses FIRE, where the game knows FIRE; it
            then counts as the first of the ``noop_max`` frames. The papers did not; the agent learns it.
        life_loss_ends_discount: whether training stores discount 0 where a life is lost. It is the replay's
            affair: the environment plays on, and evaluation never sees it.
        full_action_space: all 18 actions instead of those that do something in the game.
        max_episode_frames: time limit, in emulator frames without the starting ones; 60 frames are a second.
        frame_skip: emulator frames for which one action of the agent is repeated.
        flicker_probability: that a frame is blank to the agent (wn_rl/envs/flicker.py); what was saved before there
            was this rule says none.
    Raises ConfigurationError for a value outside its range.
    """

    env: ClassVar[Literal["atari"]] = "atari"
    frames_per_second: ClassVar[int] = 60  # of the console (NTSC)

    name: str
    repeat_action_probability: float
    noop_max: int
    use_fire_reset: bool
    life_loss_ends_discount: bool
    full_action_space: bool
    max_episode_frames: int
    frame_skip: int
    flicker_probability: float = 0.0

    def __post_init__(self) -> None:
        """Check every value once, so that no environment has to."""
        self._require(bool(re.fullmatch(r"[\w.-]{1,64}", self.name)), "name", "a word of letters, digits, _ - .")
        probability_is_valid = math.isfinite(self.repeat_action_probability) and (
            0.0 <= self.repeat_action_probability < 1.0
        )
        self._require(probability_is_valid, "repeat_action_probability", "a probability in [0, 1)")
        self._require(0.0 <= self.flicker_probability <= 1.0, "flicker_probability", "a probability in [0, 1]")
        self._require(0 <= self.noop_max <= 10_000, "noop_max", "a number of frames in [0, 10000]")
        self._require(1 <= self.frame_skip <= 60, "frame_skip", "a number of frames in [1, 60]")
        limit_is_valid = (
            0 < self.max_episode_frames <= LARGEST_MAX_EPISODE_FRAMES
            and self.max_episode_frames % self.frame_skip == 0  # a limit amid an agent step would be stale
        )
        requirement = f"a multiple of frame_skip={self.frame_skip} in [1, {LARGEST_MAX_EPISODE_FRAMES}]"
        self._require(limit_is_valid, "max_episode_frames", requirement)

    @property
    def max_episode_agent_steps(self) -> int:
        """The time limit in agent steps."""
        return self.max_episode_frames // self.frame_skip

    @property
    def label(self) -> str:
        """What a score is labeled with: the name, and what makes the games other ones."""
        return _make_label(self)

    @classmethod
    def from_values(cls, values: dict[str, object]) -> "Protocol":
        """Build the protocol whose ``dataclasses.asdict`` is ``values``.

        Raises ConfigurationError where a value is missing, unknown or of another type.
        """
        types = {field.name: field.type for field in dataclasses.fields(cls)}
        values = {"flicker_probability": 0.0} | values
        if values.keys() != types.keys():
            raise ConfigurationError(f"a protocol has the values {sorted(types)}, got {sorted(values)}")
        for key in ("repeat_action_probability", "flicker_probability"):
            probability = values[key]
            if type(probability) is int and probability in (0, 1):  # a file may say 0 for 0.0
                values = values | {key: float(probability)}
        for key, value in values.items():
            if type(value) is not types[key]:  # exactly: True is no number of frames
                raise ConfigurationError(f"protocol.{key}={_show(value)} has the wrong type {type(value).__name__}")
        return cls(**values)  # type: ignore[arg-type]  # checked above

    def _require(self, is_valid: bool, field: str, requirement: str) -> None:
        if not is_valid:
            raise ConfigurationError(
                f"protocol.{field}={_show(getattr(self, field))} is invalid: it must be {requirement}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class GymnasiumProtocol:
    """The rules of an environment of Gymnasium: its own, as it is made with ``kwargs``, and a time limit.

    Arguments:
        name: "gymnasium", what a result is labeled with, and what tells these rules from Atari's.
        max_episode_agent_steps: time limit where the environment itself sets no shorter one.
        kwargs: what the environment is made with.
        flicker_probability: as an Atari game's.
    """

    env: ClassVar[Literal["gymnasium"]] = "gymnasium"
    frames_per_second: ClassVar[int] = 30
    frame_skip: ClassVar[int] = 1
    life_loss_ends_discount: ClassVar[bool] = False

    name: str
    max_episode_agent_steps: int
    kwargs: dict[str, bool | int | float | str]
    flicker_probability: float = 0.0

    @property
    def label(self) -> str:
        """What a score is labeled with: the name, and what makes the games other ones."""
        return _make_label(self)

    @classmethod
    def from_values(cls, values: dict[str, object]) -> "GymnasiumProtocol":
        """Build the protocol whose ``dataclasses.asdict`` is ``values``; ConfigurationError where there is none."""
        names = sorted(field.name for field in dataclasses.fields(cls))
        values = {"flicker_probability": 0.0} | values
        limit, kwargs = values.get("max_episode_agent_steps"), values.get("kwargs")
        if sorted(values) != names or values["name"] != cls.env or not isinstance(kwargs, dict):
            raise ConfigurationError(f"Gymnasium's protocol has the values {names}, got {sorted(values)}")
        if type(limit) is not int or not 0 < limit <= LARGEST_MAX_EPISODE_FRAMES:
            raise ConfigurationError(
                f"protocol.max_episode_agent_steps={_show(limit)} needs a whole number of at least 1"
            )
        flicker = values["flicker_probability"]
        if not isinstance(flicker, int | float) or isinstance(flicker, bool) or not 0 <= flicker <= 1:
            raise ConfigurationError(f"protocol.flicker_probability={_show(flicker)} needs a probability in [0, 1]")
        for key, value in kwargs.items():
            # "module:name" makes some environments import code
            is_plain = type(value) in (bool, float) or (type(value) is str and ":" not in value)
            is_plain |= type(value) is int and abs(value) < 2**63
            if not str(key).isidentifier() or key in RESERVED_KWARGS or not is_plain:
                raise ConfigurationError(f"env.kwargs.{key}={_show(value)} needs a plain number, word or truth value")
        return cls(name=cls.env, max_episode_agent_steps=limit, kwargs=kwargs, flicker_probability=float(flicker))


def _show(value: object) -> str:
    return repr(show_value(value)) if isinstance(value, str) else show_value(value)


AnyProtocol = Protocol | GymnasiumProtocol


def _make_label(protocol: AnyProtocol) -> str:
    flicker = protocol.flicker_probability
    return protocol.name if flicker == 0 else f"{protocol.name}-flicker{flicker:g}"


def load_protocol(values: dict[str, object]) -> AnyProtocol:
    """The protocol of plain values, of a configuration or a saved file; ConfigurationError where there is none."""
    return (GymnasiumProtocol if values.get("name") == GymnasiumProtocol.env else Protocol).from_values(values)

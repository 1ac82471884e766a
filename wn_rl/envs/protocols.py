"""Under which rules is a game played? Two scores are comparable only under the same protocol.

Sources: ``machado``: Machado et al. 2018, "Revisiting the Arcade Learning Environment", Table 5.
``nature``: Mnih et al. 2015, "Human-level control through deep reinforcement learning", Methods and Extended
Data Table 1. The values of both are configuration; this file states what each value means.
"""

import dataclasses
import math
import re

from wn_rl.errors import ConfigurationError

# A play of 2^30 frames lasts 207 days at 60 Hz; the emulator counts its frames in 32 bits.
LARGEST_MAX_EPISODE_FRAMES = 2**30


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
    Raises ConfigurationError for a value outside its range.
    """

    name: str
    repeat_action_probability: float
    noop_max: int
    use_fire_reset: bool
    life_loss_ends_discount: bool
    full_action_space: bool
    max_episode_frames: int
    frame_skip: int

    def __post_init__(self) -> None:
        """Check every value once, so that no environment has to."""
        self._require(bool(re.fullmatch(r"[\w.-]+", self.name)), "name", "a word of letters, digits, _ - .")
        probability_is_valid = math.isfinite(self.repeat_action_probability) and (
            0.0 <= self.repeat_action_probability < 1.0
        )
        self._require(probability_is_valid, "repeat_action_probability", "a probability in [0, 1)")
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

    @classmethod
    def from_values(cls, values: dict[str, object]) -> "Protocol":
        """Build the protocol whose ``dataclasses.asdict`` is ``values``.

        Raises ConfigurationError where a value is missing, unknown or of another type.
        """
        types = {field.name: field.type for field in dataclasses.fields(cls)}
        if values.keys() != types.keys():
            raise ConfigurationError(f"a protocol has the values {sorted(types)}, got {sorted(values)}")
        probability = values["repeat_action_probability"]
        if type(probability) is int:  # a file may say 0 for 0.0
            values = values | {"repeat_action_probability": float(probability)}
        for key, value in values.items():
            if type(value) is not types[key]:  # exactly: True is no number of frames
                raise ConfigurationError(f"protocol.{key}={value!r} has the wrong type {type(value).__name__}")
        return cls(**values)  # type: ignore[arg-type]  # checked above

    def _require(self, is_valid: bool, field: str, requirement: str) -> None:
        if not is_valid:
            raise ConfigurationError(f"protocol.{field}={getattr(self, field)!r} is invalid: it must be {requirement}")

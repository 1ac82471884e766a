"""What a replay's transitions depend on, and which values make no sense.

A saved replay is loaded into one of the same settings only.
"""

import json
from dataclasses import asdict, dataclass

from wn_rl.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """The arguments of ``Replay`` that stored transitions depend on; see there."""

    capacity: int
    num_lanes: int
    frame_shape: tuple[int, int]
    stack_size: int
    n_step: int
    gamma: float
    reward_clip: float | None
    life_loss_ends_discount: bool

    def to_json(self) -> str:
        """Equal for equal settings; goes into checkpoints."""
        return json.dumps(asdict(self), sort_keys=True)

    def check(self) -> None:
        """Make sure that a replay can be made of this.

        Raises:
            ConfigurationError: a setting is out of range, or the capacity too small for one transition.
        """
        allowed = {
            "num_lanes": self.num_lanes >= 1,
            "stack_size": 1 <= self.stack_size <= 256,  # age is a byte
            "n_step": 1 <= self.n_step <= 255,  # num_steps is a byte
            "gamma": 0 <= self.gamma <= 1,
            "reward_clip": self.reward_clip is None or self.reward_clip > 0,
        }
        for name, is_allowed in allowed.items():
            if not is_allowed:
                raise ConfigurationError(f"replay.{name}={asdict(self)[name]} is out of range")
        # A lane must hold a stack and the n frames after it, or nothing in it can ever be sampled.
        smallest = self.num_lanes * (self.stack_size + self.n_step)
        if self.capacity < smallest:
            raise ConfigurationError(
                f"replay.capacity={self.capacity} is less than num_envs * (stack_size + n_step) = "
                f"{smallest}; raise replay.capacity to at least {smallest}"
            )

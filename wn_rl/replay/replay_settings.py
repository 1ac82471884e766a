"""What a replay is told: the section ``replay`` of a configuration, and what stored transitions depend on."""

import json
from dataclasses import asdict, dataclass, fields

from wn_rl.errors import ConfigurationError
from wn_rl.replay.storage import STORAGE_NAMES
from wn_rl.system.fields import get_rules, limit, one_of, setting, share, share_or_null, whole
from wn_rl.types import ObservationSpec


@dataclass(frozen=True, kw_only=True)
class TransitionSettings:
    """How many observations are held, and what a transition sums; what each is stands in configs/algorithm/."""

    capacity: int = setting(whole(1, 2**40))
    n_step: int = setting(whole(1, 255))  # a byte per transition
    gamma: float = setting(share)
    reward_clip: float | None = setting(limit)

    def check_capacity(self, *, num_envs: int, stack_size: int) -> None:
        """Make sure that each environment's lane always holds a complete transition with all of its frames.

        Which takes S + n observations amid an episode. Where one has begun n - 1 agent steps ago, the newest complete
        transition is the last of the episode before, and the new one's first observation takes a place besides. Another
        is taken where the end of an iteration has cut an episode that had just begun.

        Raises:
            ConfigurationError: it does not.
        """
        smallest = num_envs * (stack_size + self.n_step + 2)
        if self.capacity < smallest:
            raise ConfigurationError(
                f"replay.capacity={self.capacity} is less than num_envs * (network.stack_size + replay.n_step + 2) ="
                f" {smallest}; raise replay.capacity to at least {smallest}, or lower num_envs={num_envs}"
            )


@dataclass(frozen=True, kw_only=True)
class ReplaySection(TransitionSettings):
    """The section ``replay``; the storage alone may change on resume, as samples are the same from any."""

    storage: str = setting(one_of(("auto", *STORAGE_NAMES)), changeable=True)
    sampler: str = setting(one_of(("uniform", "prioritized")), before="uniform")
    priority_exponent: float = setting(share, before=0.5)
    importance_exponent: float = setting(share, before=0.5)
    final_importance_exponent: float | None = setting(share_or_null, before=None)
    importance_exponent_agent_steps: int = setting(whole(0), before=0)
    final_gamma: float | None = setting(share_or_null, before=None)
    gamma_agent_steps: int = setting(whole(0), before=0)

    def complete(
        self, *, num_lanes: int, observation: ObservationSpec, stack_size: int, life_loss_ends_discount: bool
    ) -> "ReplaySettings":
        """The settings of a replay, with what the environments and the protocol say."""
        return ReplaySettings(
            **{entry.name: getattr(self, entry.name) for entry in fields(TransitionSettings)}, num_lanes=num_lanes,
            observation=observation, stack_size=stack_size, life_loss_ends_discount=life_loss_ends_discount,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ReplaySettings(TransitionSettings):
    """What stored transitions depend on: a saved replay is loaded into one of the same settings only.

    Attributes:
        capacity: C, observations stored; the oldest are overwritten.
        n_step: n, agent steps summed into one transition.
        gamma: discount per agent step, in [0, 1], unless ``Replay.set_gamma`` says another.
        reward_clip: rewards are clipped to [-reward_clip, reward_clip]; None leaves them as they are.
        num_lanes: N, environments.
        observation: what a frame is.
        stack_size: S, frames in an observation.
        life_loss_ends_discount: whether a lost life ends the discount as a terminal does.
    """

    num_lanes: int = setting(whole(1))
    observation: ObservationSpec
    stack_size: int = setting(whole(1, 256))  # age is a byte
    life_loss_ends_discount: bool

    def to_json(self) -> str:
        """Equal for equal settings; goes into checkpoints, where frames are u8 unless they say otherwise."""
        values = asdict(self)
        shape, dtype = values.pop("observation")
        kind = {"frame_shape": shape} if dtype == "uint8" else {"frame_shape": shape, "frame_dtype": dtype}
        return json.dumps({**values, **kind}, sort_keys=True)

    def check(self) -> None:
        """Make sure that a replay can be made of this.

        Raises:
            ConfigurationError: a setting is out of range, or the capacity too small for one transition.
        """
        for name, rule in get_rules(ReplaySettings).items():
            rule.check(f"replay.{name}", getattr(self, name))
        self.check_capacity(num_envs=self.num_lanes, stack_size=self.stack_size)

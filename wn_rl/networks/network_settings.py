"""Which network: the section ``network`` of a configuration."""

from dataclasses import dataclass

from wn_rl.networks.distributions import HeadSizes
from wn_rl.networks.episode_memory import DEFAULT_UNITS, MEMORIES
from wn_rl.networks.heads import HEADS
from wn_rl.networks.impala import IMPALA_WIDTHS, check_widths
from wn_rl.networks.torsos import TORSOS
from wn_rl.system.fields import one_of, one_of_or_null, setting, switch, whole, whole_or_null


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(HeadSizes):
    """What ``make_q_network`` is told besides what the environments and the normalizer say; see configs/network/."""

    torso: str = setting(one_of(TORSOS))
    head: str = setting(one_of(HEADS))
    dueling: bool = setting(switch, before=False)
    noisy: bool = setting(switch, before=False)
    impala_widths: tuple[int, ...] = setting(check_widths, before=list(IMPALA_WIDTHS))
    impala_pooled_size: int | None = setting(whole_or_null(1, 84), before=None)
    hidden_units: int = setting(whole(1, 65_536))
    memory: str | None = setting(one_of_or_null(MEMORIES), before=None)
    memory_units: int = setting(whole(1, 65_536), before=DEFAULT_UNITS)
    stack_size: int = setting(whole(1, 128))
    center_pixels: bool = setting(switch, before=False)

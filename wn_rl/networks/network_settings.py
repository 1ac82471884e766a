"""Which network: the section ``network`` of a configuration."""

from dataclasses import dataclass

from wn_rl.networks.heads import HEADS
from wn_rl.networks.torsos import TORSOS
from wn_rl.system.fields import one_of, setting, switch, whole


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """What ``make_q_network`` is told besides what the environments and the normalizer say; see configs/network/."""

    torso: str = setting(one_of(TORSOS))
    head: str = setting(one_of(HEADS))
    num_quantiles: int = setting(whole(1, 1024), before=32)  # the loss compares each with each
    hidden_units: int = setting(whole(1, 65_536))
    stack_size: int = setting(whole(1, 128))
    center_pixels: bool = setting(switch, before=False)

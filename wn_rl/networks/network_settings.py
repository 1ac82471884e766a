"""Which network: the section ``network`` of a configuration."""

from dataclasses import dataclass
from typing import Any

from wn_rl.networks.distributions import HeadSizes
from wn_rl.networks.heads import HEADS
from wn_rl.networks.torsos import TORSOS
from wn_rl.system.fields import one_of, setting, switch, whole

RENAMED_HEADS = {
    "dueling": {"head": "linear", "dueling": True},
    "dueling_quantile": {"head": "quantile", "dueling": True},
}
"""Heads that runs and agents know from before, and what they are now."""


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(HeadSizes):
    """What ``make_q_network`` is told besides what the environments and the normalizer say; see configs/network/."""

    torso: str = setting(one_of(TORSOS))
    head: str = setting(one_of(HEADS))
    dueling: bool = setting(switch, before=False)
    noisy: bool = setting(switch, before=False)
    hidden_units: int = setting(whole(1, 65_536))
    stack_size: int = setting(whole(1, 128))
    center_pixels: bool = setting(switch, before=False)


def rename_head(values: dict[str, Any]) -> dict[str, Any]:
    """Settings of a network, of a run or an agent, with the names of now."""
    head = values.get("head")
    return {**values, **RENAMED_HEADS[head]} if isinstance(head, str) and head in RENAMED_HEADS else values

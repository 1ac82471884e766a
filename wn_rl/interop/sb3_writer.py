"""Our agents as a ``.zip`` that Stable-Baselines3's ``DQN.load`` and sb3-contrib's ``QRDQN.load`` take.

Their own classes write it: most of such a file is their pickled objects.
"""

import io
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
from torch import nn

from wn_rl.errors import ConfigurationError
from wn_rl.interop.extras import import_extra
from wn_rl.interop.sb3_weights import POLICY_NETWORKS, write_weights
from wn_rl.networks.q_network import QNetwork
from wn_rl.networks.renamed_heads import rename_head
from wn_rl.runs.agent import Agent
from wn_rl.system.files import write_whole


class _Spaces(gymnasium.Env[Any, Any]):
    """What a network sees and does; nobody plays here."""

    def __init__(self, shape: tuple[int, int, int], num_actions: int) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        self.action_space = gymnasium.spaces.Discrete(num_actions)


def save_sb3_agent(path: Path, agent: Agent) -> None:
    """Write an agent of the Nature network, with a linear or a quantile head, as Stable-Baselines3 saves its own.

    The file has no replay: who goes on learning says ``buffer_size=...`` to ``load``.

    Raises:
        ConfigurationError: no policy of theirs is the same function; or Stable-Baselines3 is not installed.
        OSError: the file cannot be written.
    """
    settings = rename_head(agent.description["network"])
    _check_network(agent, settings)
    policy = POLICY_NETWORKS[settings["head"]]
    module = "stable_baselines3" if policy.algorithm == "DQN" else "sb3_contrib"
    make = getattr(import_extra(module, extra="sb3"), policy.algorithm)
    network = cast(QNetwork, agent.network)
    policy_kwargs: dict[str, Any] = {"features_extractor_kwargs": {"features_dim": settings["hidden_units"]}}
    if settings["head"] == "quantile":
        policy_kwargs["n_quantiles"] = network.head.distribution.num_outputs
    own_channels, height, width = (1, *agent.observation.shape)[-3:]
    model = make(
        "CnnPolicy", _Spaces((agent.stack_size * own_channels, height, width), settings["num_actions"]),
        buffer_size=1, policy_kwargs=policy_kwargs, device="cpu",
    )  # fmt: skip
    weights = write_weights(network, policy)
    for owner in (policy.prefix, f"{policy.prefix}_target"):
        getattr(model, owner).load_state_dict(
            {name.removeprefix(f"{policy.prefix}."): value for name, value in weights.items()}
        )
    model.num_timesteps, model.exploration_rate = agent.description["agent_steps"], 0.0
    content = io.BytesIO()
    model.save(content)
    write_whole(path, content.getbuffer())


def _check_network(agent: Agent, settings: dict[str, Any]) -> None:
    """Raise ConfigurationError where CnnPolicy cannot be the same function; it says by what."""
    needed = {"torso": "nature", "head": "linear or quantile", "dueling": False, "noisy": False, "center_pixels": False}
    own = {key: settings.get(key, value) for key, value in needed.items()}
    own["noisy"] = False  # folded: what plays is the mean
    if settings["head"] in POLICY_NETWORKS:
        own["head"] = needed["head"]
    different = [f"network.{key}={settings[key]}" for key in needed if own[key] != needed[key]]
    if any(isinstance(module, nn.LayerNorm) for module in agent.network.modules()):
        different.append("normalizer=layer_norm")
    if different:
        raise ConfigurationError(
            f"agent={agent.source} has {', '.join(different)}, which Stable-Baselines3's CnnPolicy has not: it takes"
            " network.torso=nature with network.head=linear or quantile, neither dueling nor centered pixels, and any"
            " normalizer but layer_norm; for others say format=onnx"
        )

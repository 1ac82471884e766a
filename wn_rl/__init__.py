"""Deep Q-networks on Atari with weight-normalized networks: train, evaluate, watch; from Python as from a shell.

    run = wn_rl.train("Pong", preset="quick", total_agent_steps=200_000)
    agent = wn_rl.load_agent(run.folder)
    wn_rl.evaluate(agent, episodes=100)["mean"]
    env = wn_rl.make_env(agent)
    action = agent.act(observation)

What is named here is imported when it is first asked for: ``import wn_rl`` alone takes no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wn_rl.app.python_agents import evaluate, load_agent, make_env, wrap_env
    from wn_rl.app.python_training import train
    from wn_rl.callbacks.run_callback import RunCallback
    from wn_rl.errors import ConfigurationError
    from wn_rl.networks.heads import register_head
    from wn_rl.networks.torsos import register_torso
    from wn_rl.nn.normalizers import register_normalizer
    from wn_rl.runs.agent import Agent

__version__ = "0.1.0"

_COMMANDS = ("train", "evaluate")
"""Modules that can be called, so that these names mean the same whatever was imported before."""

_MODULES = {
    "load_agent": "wn_rl.app.python_agents",
    "make_env": "wn_rl.app.python_agents",
    "wrap_env": "wn_rl.app.python_agents",
    "register_torso": "wn_rl.networks.torsos",
    "register_head": "wn_rl.networks.heads",
    "register_normalizer": "wn_rl.nn.normalizers",
    "Agent": "wn_rl.runs.agent",
    "ConfigurationError": "wn_rl.errors",
    "RunCallback": "wn_rl.callbacks.run_callback",
}

__all__ = [
    "Agent", "ConfigurationError", "RunCallback", "__version__", "evaluate", "load_agent", "make_env",
    "register_head", "register_normalizer", "register_torso", "train", "wrap_env",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name in _COMMANDS:
        return importlib.import_module(f"wn_rl.{name}")
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'wn_rl' has no attribute {name!r}")


def __dir__() -> list[str]:
    """For completion."""
    return __all__

"""Fine-tuning: a run whose first weights are an agent's, of the same game or of another one."""

from pathlib import Path
from typing import Any

from torch import nn

from wn_rl.errors import ConfigurationError
from wn_rl.networks.q_network import QNetwork
from wn_rl.networks.renamed_heads import rename_head
from wn_rl.nn.folding import make_folded
from wn_rl.nn.unfolding import unfold_
from wn_rl.runs.agent import Agent, load_agent, save_agent
from wn_rl.runs.layout import INITIAL_AGENT_FOLDER

_OF_THE_RUN = ("normalizer", "noisy", "num_actions")
"""What may differ: plain weights fit either, and other actions have a head of their own."""


def load_initial_agent(source: str | Path) -> Agent:
    """The agent of ``initial_agent=``. Raises ConfigurationError: there is none, or it is damaged."""
    try:
        return load_agent(Path(source))
    except ConfigurationError as error:
        raise ConfigurationError(f"initial_{error}") from error


def adopt_agent(network: nn.Module, description: dict[str, Any], agent: Agent) -> None:
    """Give a new network an agent's weights; a head of other outputs keeps its own, which is told.

    Args:
        network: as it was made.
        description: of what, as ``describe_network`` says it.
        agent: whose weights.

    Raises:
        ConfigurationError: the agent sees something else, or its torso is another one; in one line that says which
            settings are its own.
    """
    assert isinstance(network, QNetwork)
    assert isinstance(agent.network, QNetwork)
    own, theirs = rename_head(description), rename_head(agent.description["network"])
    plain = make_folded(network)
    assert isinstance(plain, QNetwork)
    differing = {key: value for key, value in theirs.items() if key not in _OF_THE_RUN and own.get(key) != value}
    if _list_shapes(plain.torso) != _list_shapes(agent.network.torso):
        words = [
            f"network.{key}={_show(value)}" for key, value in differing.items() if key in own and key != "observation"
        ]
        raise ConfigurationError(
            f"initial_agent={agent.source} has another network, and sees {agent.observation}; if it is to learn on, say"
            f" {' '.join(words) or 'a game of such observations'}"
        )
    unfold_(agent.network.torso, network.torso)
    if _list_shapes(plain.head) == _list_shapes(agent.network.head) and own["head"] == theirs["head"]:
        unfold_(agent.network.head, network.head)
    else:
        print(f"initial_agent={agent.source} has a head for other outputs than this run: it is drawn anew")


def keep_initial_agent(agent: Agent, folder: Path) -> None:
    """Copy it into a run folder: the run begins anew from there, if it is killed before its first checkpoint."""
    save_agent(folder / INITIAL_AGENT_FOLDER, agent.network, agent.description)


def _list_shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def _show(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(map(str, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

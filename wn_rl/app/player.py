"""What evaluating and watching share: an agent from disk, the game that it plays, and a number of whole games."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from wn_rl.acting.evaluator import MAX_EPISODES, evaluate_agent, summarize_returns
from wn_rl.acting.policies import Policy
from wn_rl.app.agent_sources import find_agent
from wn_rl.app.machine import make_device, resolve_accelerator, share_cores
from wn_rl.envs.protocols import AnyProtocol, load_protocol
from wn_rl.envs.rendering import EpisodeRecord
from wn_rl.envs.selection import make_environments
from wn_rl.errors import ConfigurationError
from wn_rl.runs.agent import Agent
from wn_rl.runs.evaluations import make_evaluation_row
from wn_rl.runs.folder import check_links
from wn_rl.runs.layout import AGENT_FOLDER, CHECKPOINT_FOLDER
from wn_rl.runs.published import PUBLISHED_AGENTS
from wn_rl.system.cpu import count_cores, thread_count, use_processor
from wn_rl.system.fields import share, text, whole
from wn_rl.system.terminals import make_progress_bar
from wn_rl.viewing.commentator import AgentView
from wn_rl.viewing.saliency_pictures import make_saliency_function


@dataclass(frozen=True)
class Player:
    """An agent with the rules that it is to play by.

    Attributes:
        agent: the network and what is known of it.
        game: canonical name.
        protocol: the agent's own, or the one that the user asks for.
        device: where the network computes.
    """

    agent: Agent
    game: str
    protocol: AnyProtocol
    device: torch.device

    def make_policy(self) -> Policy:
        """How the agent plays."""
        return self.agent.make_policy(self.device)

    def make_view(self, *, has_saliency: bool) -> AgentView:
        """What an overlay shows of the agent."""
        network = self.agent.network.to(self.device)
        return AgentView(self.make_policy(), make_saliency_function(network) if has_saliency else None)

    def find_output_folder(self, output_dir: str | None) -> Path:
        """Where results go: ``output_dir``, else the run folder or agent folder; it exists on return.

        For a published agent that was named by its game: ``published/<Game>`` here, as a package stays as it is.
        """
        source = self.agent.source
        beside = source.parent if source.name == AGENT_FOLDER else source
        if source.suffix == ".ckpt":
            beside = source.parent.parent if source.parent.name == CHECKPOINT_FOLDER else source.parent
        if source.parent == PUBLISHED_AGENTS:
            beside = Path("published") / source.name
        folder = beside if output_dir is None else Path(output_dir)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"output_dir={folder} cannot be made: {error.strerror}; name another") from error
        check_links(folder, "name another with output_dir=...")
        if not os.access(folder, os.W_OK):
            raise ConfigurationError(f"output_dir={folder} cannot be written to; name another with output_dir=...")
        return folder


def load_player(config: DictConfig) -> Player:
    """Load ``config.agent`` and settle protocol, device and threads.

    Raises:
        ConfigurationError: there is no such agent, or a number is out of range.
    """
    _check_numbers(config)
    return make_player(find_agent(text("agent", config.agent)), config)


def make_player(agent: Agent, config: DictConfig) -> Player:
    """Settle protocol, device and threads of an agent; raises what ``load_player`` does."""
    _check_numbers(config)
    _check_overlay(agent, config)
    values = agent.description["protocol"]
    if config.get("protocol") is not None:
        values = OmegaConf.to_container(config.protocol, resolve=True)
    protocol = load_protocol({str(key): value for key, value in values.items()})
    if protocol.env != load_protocol(agent.description["protocol"]).env:
        raise ConfigurationError(f"protocol={protocol.name} is for env={protocol.env}, which the agent does not play")
    use_processor(_find_num_threads(config)[0])
    device = make_device(resolve_accelerator(config.accelerator))
    return Player(agent, agent.description["game"], protocol, device)


def play_episodes(player: Player, config: DictConfig) -> list[EpisodeRecord]:
    """Play ``config.episodes`` whole games, with a progress bar on stderr where that is a terminal."""
    environments = make_environments(
        player.game, player.protocol, num_envs=min(config.num_envs, config.episodes),
        num_threads=_find_num_threads(config)[1],
    )  # fmt: skip
    num_actions = player.agent.description["network"]["num_actions"]
    if environments.num_actions != num_actions or environments.observation != player.agent.observation:
        environments.close()
        raise ConfigurationError(
            f"the agent chooses among {num_actions} actions and sees {player.agent.observation}, {player.game} has"
            f" {environments.num_actions} and shows {environments.observation} under this protocol: it was trained on"
            " another game, or under another protocol.full_action_space"
        )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with make_progress_bar(*columns, transient=True) as progress:
            task = progress.add_task(f"playing {player.game}", total=config.episodes)
            return evaluate_agent(
                policy=player.make_policy(), environments=environments, game=player.game,
                protocol=player.protocol, num_episodes=config.episodes, epsilon=config.epsilon, seed=config.seed,
                on_episode=lambda record: progress.advance(task),
            )  # fmt: skip
    finally:
        environments.close()


def evaluate_player(player: Player, config: DictConfig) -> tuple[dict[str, Any], list[EpisodeRecord]]:
    """Play ``config.episodes`` whole games; the row of ``evaluations.jsonl`` that they come to, and the games."""
    records = play_episodes(player, config)
    row = make_evaluation_row(
        summary=summarize_returns(records, config.seed), game=player.game, protocol=player.protocol.label,
        epsilon=config.epsilon, seed=config.seed, agent_steps=player.agent.description["agent_steps"],
        source="evaluate",
    )  # fmt: skip
    return row, records


def _check_numbers(config: DictConfig) -> None:
    for key, check in (
        ("episodes", whole(1, MAX_EPISODES)),
        ("num_envs", whole(1, 4096)),
        ("seed", whole(0)),
        ("epsilon", share),
    ):
        check(key, config[key])


def _check_overlay(agent: Agent, config: DictConfig) -> None:
    """Raises ConfigurationError where an overlay is asked for of an agent that does not look at gray frames."""
    observation = agent.observation
    for key in ("overlay", "saliency"):
        if config.get(key) and not (observation.is_image and len(observation.shape) == 2):
            raise ConfigurationError(f"{key}=true draws gray frames, and this agent sees {observation}; leave it out")


def _find_num_threads(config: DictConfig) -> tuple[int, int]:
    """Threads for the network and for the environments: as the configuration says, or what suits their taking turns."""
    found = []
    for key, automatic in (("num_threads", share_cores()[0]), ("num_env_threads", count_cores())):
        found.append(automatic if config[key] == "auto" else thread_count(key, config[key]))
    return found[0], found[1]

"""What ``wn_rl.export`` does: an agent in the form that is asked for, whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from wn_rl.app.agent_sources import import_agent
from wn_rl.envs.rendering import load_episodes
from wn_rl.errors import ConfigurationError
from wn_rl.interop.graphs import save_exported_program, save_onnx
from wn_rl.interop.hub import upload_agent
from wn_rl.interop.minari_sets import save_data_set
from wn_rl.interop.portable import find_video, save_portable_agent
from wn_rl.interop.sb3_writer import save_sb3_agent
from wn_rl.runs.agent import Agent
from wn_rl.system.fields import switch, text, text_or_null
from wn_rl.system.registry import look_up
from wn_rl.system.terminals import quote_command


class FileFormat(NamedTuple):
    """A form that lies on this disk: the suffix of its name, and what writes it."""

    suffix: str
    save: Callable[[Path, Agent], None]


FILE_FORMATS = {
    "agent": FileFormat("", save_portable_agent),
    "onnx": FileFormat(".onnx", save_onnx),
    "torch_export": FileFormat(".pt2", save_exported_program),
    "sb3": FileFormat(".zip", save_sb3_agent),
}


def export(config: DictConfig) -> str:
    """Write what ``config`` asks for, and return a line that says where it is.

    Raises:
        ConfigurationError: it cannot be done; nothing is left half-written.
    """
    text("agent", config.agent)
    output = text_or_null("output", config.output)
    look_up(text("format", config.format), {**FILE_FORMATS, "hub": None, "minari": None}, what="format")
    switch("private", config.private)
    agent = import_agent(config.agent, text_or_null("game", config.game))
    if config.format == "hub":
        if output is None:
            raise ConfigurationError("output is missing; name the repository, as in output=<owner>/<name>")
        return upload_agent(agent, output, video=find_video(agent.source), is_private=config.private)
    if config.format == "minari":
        return str(_save_games(agent, output, config.episodes_dir))
    return str(_save_file(agent, FILE_FORMATS[config.format], output))


def _save_games(agent: Agent, output: str | None, episodes_dir: str | None) -> Path:
    if output is None:
        raise ConfigurationError("output is missing; name the data set, as in output=pong/wn-rl-v0")
    if episodes_dir is None:
        advice = quote_command("evaluate", f"agent={agent.source}")
        raise ConfigurationError(f"episodes_dir is missing; name a folder of games, as this leaves them: {advice}")
    return save_data_set(output, agent, load_episodes(Path(text("episodes_dir", episodes_dir))))


def _save_file(agent: Agent, form: FileFormat, output: str | None) -> Path:
    name = str(agent.description["game"]).replace("/", "-")
    path = Path(f"{name}{form.suffix}" if output is None else output)
    if path.exists() and form.suffix:
        raise ConfigurationError(f"output={path} is there already; name another")
    if form.suffix and path.suffix != form.suffix:
        raise ConfigurationError(f"output={path}: such a file is called {path.name}{form.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        form.save(path, agent)
    except OSError as error:
        raise ConfigurationError(f"output={path} cannot be written: {error.strerror}; name another") from error
    return path

"""What an agent says of itself when it leaves the machine that trained it."""

from pathlib import Path
from typing import Any

from wn_rl.errors import ConfigurationError
from wn_rl.runs.agent import FORMAT, Agent, save_agent
from wn_rl.runs.evaluations import find_evaluation
from wn_rl.runs.layout import AGENT_FOLDER, EVALUATIONS_FILE, VIDEOS_FOLDER

PATHS = ("run_dir", "resume", "sweep", "logger")
"""Settings that say where something lay on that machine."""


def describe_for_others(agent: Agent) -> dict[str, Any]:
    """The agent's description without paths and the checksums of what it was saved as, with its newest evaluation."""
    kept = {key: value for key, value in agent.description.items() if not key.endswith("sha256")}
    config = kept.get("config")
    if isinstance(config, dict):
        kept["config"] = {key: value for key, value in config.items() if key not in PATHS}
    run = agent.source.parent if agent.source.name == AGENT_FOLDER else agent.source
    evaluation = find_evaluation(run / EVALUATIONS_FILE, kept["agent_steps"])
    return {**({} if evaluation is None else {"evaluation": evaluation}), **kept, "format": FORMAT}


def save_portable_agent(folder: Path, agent: Agent) -> None:
    """Write an agent into a new folder, as ``agent=<folder>`` takes it.

    Raises:
        ConfigurationError: the folder holds something.
        OSError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"output={folder} holds something already; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    save_agent(folder, agent.network, describe_for_others(agent))


def find_video(source: Path) -> Path | None:
    """A video of an agent's game: a published agent's own, or the newest of its run."""
    run = source.parent if source.name == AGENT_FOLDER else source
    own = run / "video.mp4"
    if own.is_file() and not own.is_symlink():
        return own
    videos = sorted(path for path in (run / VIDEOS_FOLDER).glob("*.mp4") if not path.is_symlink())
    return videos[-1] if videos else None

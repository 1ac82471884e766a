"""Where the agent of a command comes from: this disk, the Hugging Face Hub, or a ``.zip`` of Stable-Baselines3."""

from pathlib import Path

from wn_rl.errors import ConfigurationError
from wn_rl.interop.hub import PREFIX, download_agent
from wn_rl.interop.sb3_reader import load_sb3_agent
from wn_rl.runs.agent import Agent, load_agent
from wn_rl.system.terminals import quote_command


def find_agent(word: str) -> Agent:
    """The agent that ``agent=<word>`` names, to be played.

    Raises:
        ConfigurationError: there is none; a ``.zip`` does not say what it plays, and is to be made one of ours first.
    """
    path = _find_file(word)
    if path.suffix == ".zip":
        advice = quote_command("export", f"agent={word}", "game=<Game>", "format=agent", "output=<folder>")
        raise ConfigurationError(
            f"agent={word}: a .zip of Stable-Baselines3 does not say its game; say it once: {advice}"
        )
    return load_agent(path)


def import_agent(word: str, game: str | None) -> Agent:
    """The agent that ``agent=<word>`` names, to be given away; ``game`` is what one in a ``.zip`` plays.

    Raises:
        ConfigurationError: there is none, or ``game`` is said where the agent says it.
    """
    path = _find_file(word)
    if path.suffix == ".zip":
        return load_sb3_agent(path, game)
    agent = load_agent(path)
    if game is not None:
        raise ConfigurationError(f"game={game}: agent={word} says itself that it plays {agent.description['game']}")
    return agent


def _find_file(word: str) -> Path:
    return download_agent(word) if word.startswith(PREFIX) else Path(word)

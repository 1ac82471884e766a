"""Agents for programs and notebooks: ``wn_rl.load_agent``, ``make_env``, ``wrap_env``, ``evaluate``; without Lightning.

Settings are those of the command line under the same names, checked in the same way; ConfigurationError, a ValueError,
says in one line what cannot work.
"""

from pathlib import Path
from typing import Any

import gymnasium

from wn_rl.acting.observations import find_shape
from wn_rl.app.composition import compose_settings, translate_arguments
from wn_rl.app.configured import read_command
from wn_rl.app.named_paths import find_path
from wn_rl.app.player import evaluate_player, make_player
from wn_rl.app.plugins import import_plugins
from wn_rl.envs.gymnasium_wrappers import AnyEnv, make_gymnasium_env, wrap_gymnasium_env
from wn_rl.envs.protocols import load_protocol
from wn_rl.errors import ConfigurationError
from wn_rl.runs.agent import Agent
from wn_rl.runs.agent import load_agent as load_agent_from


def load_agent(source: str | Path) -> Agent:
    """An agent from a run folder, a folder under checkpoints/, or a .ckpt file of training; no code of a file runs.

        agent = wn_rl.load_agent("checkpoints/Pong")
        action = agent.act(observation)

    Args:
        source: its path; ``latest``, the newest run under runs/; or a game: its newest run, or its published agent.

    Raises:
        ConfigurationError: there is none, or its files are damaged.
    """
    return load_agent_from(Path(find_path("agent", str(source))))


def make_env(agent: Agent, *, render_mode: str | None = None) -> AnyEnv:
    """An environment of Gymnasium's, in which the agent's game is played under the rules that it was trained under.

        env = wn_rl.make_env(agent)                                                       # one
        envs = gymnasium.vector.SyncVectorEnv([functools.partial(wn_rl.make_env, agent)] * 8)   # several

    Its observations are what ``agent.act`` takes, its actions what that returns, its rewards the game's own.

    Args:
        agent: from ``load_agent``.
        render_mode: Gymnasium's: "human", "rgb_array", ...

    Raises:
        ConfigurationError: the game cannot be made, as where the module that registers it is not imported yet.
    """
    env = make_gymnasium_env(
        agent.description["game"], load_protocol(agent.description["protocol"]), stack_size=agent.stack_size,
        render_mode=render_mode,
    )  # fmt: skip
    return _check_spaces(env, agent)


def wrap_env(env: AnyEnv, agent: Agent) -> AnyEnv:
    """An environment of your own as the agent sees it: start frames, frame skip, size, stack and time limit.

    Args:
        env: of the agent's kind; an Atari game is made with ``frameskip=1`` and sticky actions of its own.
        agent: from ``load_agent``.

    Raises:
        ConfigurationError: it is of another kind, or has other actions or observations.
    """
    protocol = load_protocol(agent.description["protocol"])
    return _check_spaces(wrap_gymnasium_env(env, protocol, stack_size=agent.stack_size), agent)


def _check_spaces(env: AnyEnv, agent: Agent) -> AnyEnv:
    num_actions = agent.description["network"]["num_actions"]
    shape = find_shape(agent.observation, agent.stack_size)
    space = env.action_space
    if (
        not isinstance(space, gymnasium.spaces.Discrete)
        or space.n != num_actions
        or env.observation_space.shape != shape
    ):
        raise ConfigurationError(
            f"the agent chooses among {num_actions} actions and sees {list(shape)}; this environment has {space} and"
            f" shows {list(env.observation_space.shape or ())}"
        )
    return env


def evaluate(agent: Agent | str | Path, **settings: Any) -> dict[str, Any]:
    """What an agent is worth: whole games, raw rewards, under a stated protocol; nothing is written.

        score = wn_rl.evaluate(agent, episodes=100)
        print(score["mean"], score["ci95_low"], score["ci95_high"])

    The same call gives the same games, bit for bit.

    Args:
        agent: from ``load_agent``, or what that takes.
        settings: those of configs/evaluate.yaml: ``episodes``, ``protocol``, ``epsilon``, ``seed``, ...

    Returns:
        What a line of evaluations.jsonl holds, ``mean``, ``median``, ``ci95_low``, ``protocol`` and so on; and
        ``returns``, the score of each game.

    Raises:
        ConfigurationError: there is no such agent, or a setting is unknown or cannot work.
    """
    loaded = agent if isinstance(agent, Agent) else load_agent(agent)
    words = translate_arguments("evaluate", read_command("evaluate"), settings)
    config, _ = compose_settings("evaluate", words)
    import_plugins(config)
    row, records = evaluate_player(make_player(loaded, config), config)
    return {**row, "returns": [record.episode_return for record in records]}

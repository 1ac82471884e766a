"""The commands as functions, for programs and notebooks: ``wn_rl.train``, ``load_agent``, ``make_env``, ``evaluate``.

Settings are those of the command line under the same names, checked in the same way; ConfigurationError, a ValueError,
says in one line what cannot work.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
from lightning.pytorch.callbacks import Callback

from wn_rl.acting.observations import find_shape
from wn_rl.app import training
from wn_rl.app.composition import check_places, compose_settings, translate_arguments
from wn_rl.app.configured import read_command
from wn_rl.app.default_preset import choose_preset
from wn_rl.app.player import evaluate_player, make_player
from wn_rl.app.training import Run
from wn_rl.app.words import find_path
from wn_rl.envs.gymnasium_wrappers import AnyEnv, make_gymnasium_env, wrap_gymnasium_env
from wn_rl.envs.protocols import load_protocol
from wn_rl.errors import ConfigurationError
from wn_rl.runs.agent import Agent
from wn_rl.runs.agent import load_agent as load_agent_from


def train(game: str | None = None, *, callbacks: Sequence[Callback] = (), **settings: Any) -> Run:
    """Train an agent to the end, and return the run; ``resume="runs/Pong/<run>"`` goes on with one.

        run = wn_rl.train("Pong", preset="quick", total_agent_steps=200_000, replay={"n_step": 5})

    Where there is no GPU and no preset is named, it is ``quick``, as on the command line. Ctrl-C finishes what is under
    way and writes a checkpoint; ``run.is_stopped`` says so.

    Args:
        game: Breakout, ALE/Breakout-v5, ...; left out with ``resume``, or ``env={"id": "CartPole-v1"}``.
        callbacks: Lightning's, or ``wn_rl.RunCallback``; a resumed run has those alone that are given again.
        settings: those of configs/train.yaml; ``python -m wn_rl.train --help`` says what each means.

    Raises:
        ConfigurationError: a setting is unknown or cannot work, or training cannot go on.
    """
    if game is not None:
        settings = {"game": game, **settings}
    words = translate_arguments("train", read_command("train"), settings)
    preset = choose_preset(words)
    words = words if preset is None else [f"preset={preset}", *words]
    config, choices = compose_settings("train", words)
    check_places(config)
    if config.sweep is not None:
        raise ConfigurationError("sweep=... is for several runs of a command line (-m); call train once for each")
    if config.resume is None:
        run = training.start_run(config, preset=choices["preset"], callbacks=callbacks)
    else:
        run = training.resume_run(config, overrides=words, folder=Path(config.resume), callbacks=callbacks)
    run.train()
    return run


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
    row, records = evaluate_player(make_player(loaded, config), config)
    return {**row, "returns": [record.episode_return for record in records]}

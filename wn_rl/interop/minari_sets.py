"""Games of an agent as a data set of Minari, for offline reinforcement learning.

Stored games are seeds and actions, a byte an agent step. Here they are played again, and every frame is kept as the
agent saw it, losslessly (Minari's own default, JPEG, changes pixels by up to 39 of 255): some kilobytes a step.
"""

import json
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from wn_rl.envs.protocols import load_protocol
from wn_rl.envs.rendering import EpisodeRecord
from wn_rl.envs.selection import make_environments
from wn_rl.errors import ConfigurationError
from wn_rl.interop.extras import import_extra
from wn_rl.runs.agent import Agent
from wn_rl.types import ObservationSpec, VectorEnvironment


def save_data_set(dataset_id: str, agent: Agent, records: Sequence[EpisodeRecord]) -> Path:
    """Write a local data set of whole games, and return its folder; the games are played one after the other.

    Args:
        dataset_id: ``<name>-v<number>``, or with a name before it, as ``pong/wn-rl-v0``.
        agent: who played.
        records: its games, whole ones; at least one.

    Raises:
        ConfigurationError: there is such a data set, a game is not this agent's, or plays otherwise than it did.
    """
    minari = import_extra("minari", extra="minari")
    import_extra("h5py", extra="minari")
    folder = _find_folder(dataset_id)
    game, values = agent.description["game"], records[0].protocol_values
    for record in records:
        if record.game != game or record.protocol_values != values:
            raise ConfigurationError(
                f"a data set is of one game under one protocol: the agent plays {game}, the first game is of"
                f" {records[0].game} under {records[0].protocol_name}, and one of {record.game} under"
                f" {record.protocol_name}; name another folder of games"
            )
    environments = make_environments(game, load_protocol(values), num_envs=1, num_threads=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of authors, addresses and environments that a data set may say
            minari.create_dataset_from_buffers(
                dataset_id, buffer=(_play(environments, record) for record in records),
                observation_space=_make_space(environments.observation),
                action_space=spaces.Discrete(environments.num_actions), algorithm_name="wn_rl",
                description=_describe(agent, records[0]), data_format="hdf5", jpeg_encoding=False,
            )  # fmt: skip
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and error.errno is None:  # of HDF5, which says it in words
            raise ConfigurationError(f"output={dataset_id} cannot be written: {error}") from error
        raise
    finally:
        environments.close()
    return folder


def _find_folder(dataset_id: str) -> Path:
    """Where the data set will lie; ConfigurationError where it is no name of one, or there is one."""
    places = import_extra("minari.storage.datasets_root_dir", extra="minari")
    parts = import_extra("minari.dataset.minari_dataset", extra="minari")
    try:
        parts.parse_dataset_id(dataset_id)
    except ValueError as error:
        raise ConfigurationError(f"output={dataset_id}: name it as in output=pong/wn-rl-v0") from error
    folder = Path(places.get_dataset_path(dataset_id))
    if folder.exists():
        raise ConfigurationError(
            f"output={dataset_id} is there already, in {folder}; name another, or the next version"
        )
    return folder


def _play(environments: VectorEnvironment, record: EpisodeRecord) -> Any:
    """An episode as Minari's buffer: T + 1 observations, T of all else; ConfigurationError if it ends otherwise."""
    buffers = import_extra("minari.data_collector", extra="minari")
    frames = [environments.reset(seeds=np.array([record.seed], np.int64))[0]]
    steps = []
    for action in record.actions:
        environments.send(np.array([action], np.int64))
        steps.append(environments.receive())
        frames.append(steps[-1].frame[0])
        if steps[-1].ended[0]:
            break
    rewards = np.array([step.reward[0] for step in steps], np.float64)
    if len(steps) != len(record.actions) or rewards.sum() != record.episode_return or not steps[-1].ended[0]:
        raise ConfigurationError(
            f"the game of {record.game} with seed {record.seed} returned {record.episode_return:g} in"
            f" {record.num_agent_steps} agent steps, and {rewards.sum():g} in {len(steps)} when played again; use the"
            " versions that recorded it"
        )
    return buffers.EpisodeBuffer(
        seed=record.seed, observations=np.stack(frames), actions=record.actions.astype(np.int64), rewards=rewards,
        terminations=np.array([step.terminated[0] for step in steps]),
        truncations=np.array([step.truncated[0] for step in steps]), infos={},
    )  # fmt: skip


def _make_space(observation: ObservationSpec) -> spaces.Box:
    if observation.is_image:
        return spaces.Box(0, 255, observation.shape, np.uint8)
    return spaces.Box(-np.inf, np.inf, observation.shape, np.float32)


def _describe(agent: Agent, record: EpisodeRecord) -> str:
    """What must be known of the games: game, protocol, who played, and what an observation is."""
    told = {
        "game": record.game,
        "protocol": record.protocol_values,
        "agent_steps_of_training": agent.description["agent_steps"],
        "observation": "one frame an agent step, not stacked; rewards are the game's own",
    }
    return json.dumps(told)

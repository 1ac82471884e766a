"""Streams of chance: which seed makes which, so that no part of a run can disturb another's.

Every stream is a child of one seed by NumPy's ``SeedSequence``; the first number of its spawn key says what it is
for, and keeps it apart from the streams of all other purposes, whatever the seeds of both.
"""

import numpy as np
import torch
from jaxtyping import Int64

STREAMS = ("initialization", "exploration", "sampling")
"""Of a run, each with a generator of its own."""

_STREAM, _TRAINING, _EVALUATION, _BOOTSTRAP, _STATISTICS, _ORDER, _NOISE, _FLICKER, _LEARNER = range(9)


def compute_learner_seed(seed: int, rank: int) -> int:
    """The seed that one of several learners of a run derives its streams from; the first has the run's own."""
    if rank == 0:
        return seed
    return int(np.random.SeedSequence(seed, spawn_key=(_LEARNER, rank)).generate_state(1, np.uint64)[0] >> 1)


def make_stream(seed: int, name: str) -> torch.Generator:
    """The generator of one named stream of a run."""
    return _make_generator(seed, _STREAM, STREAMS.index(name))


def check_generator_state(state: torch.Tensor) -> None:
    """Make sure that a generator can go on from a saved state. Raises ValueError: it cannot."""
    if state.dtype != torch.uint8 or state.shape != torch.Generator().get_state().shape:
        raise ValueError("the state of its generator is none")


def make_statistics_generator(seed: int, agent_steps: int) -> torch.Generator:
    """What draws the states that statistics after so many agent steps are taken on."""
    return _make_generator(seed, _STATISTICS, agent_steps)


def make_order_generator(seed: int, epoch: int) -> torch.Generator:
    """What draws the order in which an epoch goes through a set of examples."""
    return _make_generator(seed, _ORDER, epoch)


def compute_noise_seed(seed: int, update: int) -> int:
    """The seed of the noise within one update, as of dropout; −1 for that of evaluations."""
    sequence = np.random.SeedSequence(seed, spawn_key=(_NOISE, update + 1))
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def compute_training_seeds(seed: int, iteration: int, num_envs: int) -> Int64[np.ndarray, "N"]:
    """The seeds of the N environments at the start of an iteration: distinct streams for (seed, iteration)."""
    sequence = np.random.SeedSequence(seed, spawn_key=(_TRAINING, iteration))
    return (sequence.generate_state(num_envs, np.uint32) >> 1).astype(np.int64)


def spawn_episode(evaluation_seed: int, number: int) -> tuple[int, np.random.Generator]:
    """The environment's seed, in [0, 2^31), and the stream of exploration of one episode of an evaluation."""
    environment, exploration = np.random.SeedSequence(evaluation_seed, spawn_key=(_EVALUATION, number)).spawn(2)
    return int(environment.generate_state(1, np.uint32)[0] >> 1), np.random.default_rng(exploration)


def make_flicker_generator(environment_seed: int) -> np.random.Generator:
    """What decides which frames of an environment of this seed are blank."""
    return np.random.default_rng(np.random.SeedSequence(environment_seed, spawn_key=(_FLICKER,)))


def make_bootstrap_generator(seed: int) -> np.random.Generator:
    """What draws the resamples of a bootstrap interval."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_BOOTSTRAP,)))


def _make_generator(seed: int, *spawn_key: int) -> torch.Generator:
    sequence = np.random.SeedSequence(seed, spawn_key=spawn_key)
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))

"""The evaluator: an agent plays whole games, in environments and random streams of their own.

The score of a game is its return: the undiscounted sum of raw rewards over all lives. Each episode has its
own environment seed and its own stream of exploration, both functions of (evaluation seed, number of the
episode): which environment plays it, and beside which others, changes nothing but the rounding of a batched
network.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Int64
from torch import Tensor

from wn_rl.acting.policies import Policy
from wn_rl.envs.protocols import AnyProtocol
from wn_rl.envs.rendering import EpisodeRecord
from wn_rl.system.seeding import make_bootstrap_generator, spawn_episode
from wn_rl.types import Step, VectorEnvironment

NUM_RESAMPLES = 10_000
MAX_EPISODES = 100_000
"""Of one evaluation: months of play, and half a gigabyte for the bootstrap."""
RESAMPLES_PER_BLOCK = 500  # bounds the memory of the bootstrap

IDLE_ACTION = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSummary:
    """What an evaluation found; returns are raw, lengths are in agent steps.

    ``ci95_low`` and ``ci95_high`` are the percentile bootstrap interval of the mean over episodes (Efron
    1979): they tell how far luck within this evaluation reaches, and nothing about other training seeds.
    """

    episodes: int
    mean: float
    ci95_low: float
    ci95_high: float
    median: float
    min: float
    max: float
    mean_agent_steps: float


def evaluate_agent(
    *,
    policy: Policy,
    environments: VectorEnvironment,
    game: str,
    protocol: AnyProtocol,
    num_episodes: int,
    epsilon: float,
    seed: int,
    on_episode: Callable[[EpisodeRecord], None] | None,
) -> list[EpisodeRecord]:
    """Play ``num_episodes`` whole games epsilon-greedily, N at a time; return them by number.

    The same call gives the same records, bit for bit. All episodes are played to their end, however long the
    longest takes: stopping earlier would favor short ones. The environments' time limit bounds them.

    Arguments:
        policy: what the agent does where it does not explore.
        environments: N environments that nobody else steps; left amid episodes, so reset them before reuse.
        game, protocol: written into the records; the environments must have been built with them.
        num_episodes: at least 1.
        epsilon: probability of a uniformly random action, in [0, 1].
        seed: of the evaluation, at least 0.
        on_episode: called with each record as soon as its game is over.
    """
    if num_episodes < 1 or not 0.0 <= epsilon <= 1.0:
        raise ValueError(f"{num_episodes=} must be at least 1 and {epsilon=} in [0, 1]")
    schedule = _EpisodeSchedule(environments, policy, num_episodes, seed)
    records: dict[int, EpisodeRecord] = {}
    while len(records) < num_episodes:
        step = schedule.play_round(epsilon)
        for lane in np.flatnonzero(step.ended):
            episode = schedule.episodes[lane]
            if episode is None:
                continue
            record = episode.make_record(game, protocol, terminated=bool(step.terminated[lane]))
            records[episode.number] = record
            if on_episode is not None:
                on_episode(record)
        if step.ended.any():
            schedule.begin_next_episodes(step.ended)
    return [records[number] for number in range(num_episodes)]


def summarize_returns(records: list[EpisodeRecord], seed: int) -> EvaluationSummary:
    """Summarize an evaluation; the bootstrap interval is a function of the returns and ``seed``.

    Raises ValueError without records.
    """
    if not records:
        raise ValueError("an evaluation without episodes has no summary")
    returns = np.array([record.episode_return for record in records], dtype=np.float64)
    ci95_low, ci95_high = compute_bootstrap_interval(returns.tolist(), seed)
    return EvaluationSummary(
        episodes=len(records),
        mean=float(returns.mean()),
        ci95_low=ci95_low,
        ci95_high=ci95_high,
        median=float(np.median(returns)),
        min=float(returns.min()),
        max=float(returns.max()),
        mean_agent_steps=float(np.mean([record.num_agent_steps for record in records])),
    )


def compute_bootstrap_interval(values: Sequence[float], seed: int) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a mean (Efron 1979), a function of the values and ``seed``."""
    sample = np.array(values, dtype=np.float64)
    generator = make_bootstrap_generator(seed)
    resampled_means = np.concatenate(
        [
            sample[generator.integers(len(sample), size=(RESAMPLES_PER_BLOCK, len(sample)))].mean(axis=1)
            for _ in range(NUM_RESAMPLES // RESAMPLES_PER_BLOCK)
        ]
    )
    low, high = np.percentile(resampled_means, [2.5, 97.5])
    return float(low), float(high)


class _Episode:
    """A game being played: its number gives its environment seed and its stream of exploration."""

    def __init__(self, number: int, evaluation_seed: int) -> None:
        self.number = number
        self.environment_seed, self._generator = spawn_episode(evaluation_seed, number)
        self._actions: list[int] = []
        self._return = 0.0

    def draw_exploration(self, num_actions: int, epsilon: float) -> tuple[bool, int]:
        """Return whether the next action is random, and which it then is; both are always drawn."""
        explores = bool(self._generator.random() < epsilon)
        return explores, int(self._generator.integers(num_actions))

    def add(self, action: int, reward: float) -> None:
        """Count one agent step."""
        self._actions.append(action)
        self._return += reward

    def make_record(self, game: str, protocol: AnyProtocol, *, terminated: bool) -> EpisodeRecord:
        """Return the finished game; what did not terminate was truncated."""
        return EpisodeRecord(
            game=game,
            protocol_name=protocol.name,
            protocol_values=dataclasses.asdict(protocol),
            seed=self.environment_seed,
            actions=np.array(self._actions, dtype=np.uint8),
            episode_return=self._return,
            num_agent_steps=len(self._actions),
            num_frames=len(self._actions) * protocol.frame_skip,
            ended_by="terminated" if terminated else "truncated",
        )


class _EpisodeSchedule:
    """Who plays where: N environments, the episodes in them, and the number of the next one.

    An environment without an episode is stepped with the others (they step together) and ignored.
    """

    def __init__(self, environments: VectorEnvironment, policy: Policy, num_episodes: int, seed: int) -> None:
        self._environments, self._policy = environments, policy
        self._num_episodes = num_episodes
        self._seed = seed
        num_envs = environments.num_envs
        first_episodes = [_Episode(number, seed) for number in range(num_envs)]
        self.episodes: list[_Episode | None] = [
            episode if episode.number < num_episodes else None for episode in first_episodes
        ]
        self._next_number = num_envs
        seeds = np.array([episode.environment_seed for episode in first_episodes], dtype=np.int64)
        self._frames, self._is_first = environments.reset(seeds=seeds), np.ones(num_envs, dtype=np.bool_)
        self._policy_state = policy.begin(num_envs)

    def play_round(self, epsilon: float) -> Step:
        """Take one agent step in every environment."""
        decision, self._policy_state = self._policy.act(self._frames, self._is_first, self._policy_state)
        actions = self._explore(decision.actions, epsilon)
        self._environments.send(actions)
        step = self._environments.receive()
        self._frames, self._is_first = step.frame, step.ended
        for episode, action, reward in zip(self.episodes, actions, step.reward, strict=True):
            if episode is not None:
                episode.add(int(action), float(reward))
        return step

    def begin_next_episodes(self, ended: Bool[np.ndarray, "N"]) -> None:
        """Start the next episodes where some ended; without any left, an unrecorded one."""
        is_recorded = np.zeros_like(ended)
        seeds: list[int] = []
        for lane in np.flatnonzero(ended):
            self.episodes[lane] = None
            if self._next_number < self._num_episodes:
                self.episodes[lane] = episode = _Episode(self._next_number, self._seed)
                self._next_number += 1
                is_recorded[lane] = True
                seeds.append(episode.environment_seed)
        # the second reset returns the frames of the first one too
        frames = self._environments.reset(mask=ended & ~is_recorded)
        if is_recorded.any():
            frames = self._environments.reset(seeds=np.array(seeds, dtype=np.int64), mask=is_recorded)
        self._frames = np.where(ended.reshape(-1, *(1,) * (frames.ndim - 1)), frames, self._frames)

    def _explore(self, greedy_actions: Int64[Tensor, "N"], epsilon: float) -> Int64[np.ndarray, "N"]:
        num_actions = self._environments.num_actions
        actions = np.full(len(self.episodes), IDLE_ACTION, dtype=np.int64)
        for lane, (episode, greedy_action) in enumerate(zip(self.episodes, greedy_actions.tolist(), strict=True)):
            if episode is not None:
                explores, random_action = episode.draw_exploration(num_actions, epsilon)
                actions[lane] = random_action if explores else greedy_action
        return actions

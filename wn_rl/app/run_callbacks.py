"""The callbacks of a run: who evaluates, writes, shows, and ends it."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig

from wn_rl.app import build
from wn_rl.callbacks.checkpoint import RunCheckpoint
from wn_rl.callbacks.evaluation import Evaluation
from wn_rl.callbacks.interruption import Interruption
from wn_rl.callbacks.metrics_logging import MetricsLogging
from wn_rl.callbacks.page_writing import RunPage
from wn_rl.callbacks.progress import TrainingProgress
from wn_rl.callbacks.stopping_together import StoppingTogether
from wn_rl.callbacks.time_limit import TimeLimit
from wn_rl.callbacks.video_recording import Videos
from wn_rl.callbacks.weight_statistics import WeightStatistics
from wn_rl.runs.metrics_csv import MetricsCSV
from wn_rl.system.learners import Learners
from wn_rl.types import VectorEnvironment


def make_run_callbacks(
    config: DictConfig, folder: Path, environments: VectorEnvironment, *, metrics_csv: MetricsCSV,
    interruption: Interruption, saving: RunCheckpoint, learners: Learners,
) -> list[Callback]:  # fmt: skip
    """In the order in which they must be called, of the learner that writes, shows and evaluates."""
    limits = []
    if config.max_minutes is not None:
        limits.append(TimeLimit(max_minutes=config.max_minutes, interruption=interruption))
    progress = TrainingProgress()
    videos = Videos(
        run_dir=folder, period_iterations=config.video.period_iterations,
        max_seconds=config.video.max_seconds, scale=config.video.scale,
    )  # fmt: skip
    evaluation = Evaluation(
        make_environments=partial(
            build.make_environments, config,
            num_envs=max(1, min(config.evaluation.num_envs, config.evaluation.episodes)),
            num_threads=config.num_threads + config.num_env_threads,  # the network waits meanwhile
        ),
        game=config.game,
        protocol=build.make_protocol(config), num_episodes=config.evaluation.episodes,
        epsilon=config.evaluation.epsilon, seed=config.evaluation.seed,
        make_policy=build.make_policy(config, environments),
        run_dir=folder, listeners=[saving.on_evaluation, progress.on_evaluation, videos.on_evaluation],
        on_round=_tell_each([*(limit.on_evaluation_round for limit in limits), progress.on_evaluation_round]),
    )  # fmt: skip
    weight_statistics = WeightStatistics(**build.as_dict(config.weight_statistics), seed=config.seed)
    return [
        interruption,
        *limits,
        MetricsLogging(metrics_csv),
        weight_statistics,
        *([progress] if config.progress else []),
        evaluation,
        videos,
        RunPage(run_dir=folder),
        *([StoppingTogether(interruption)] if learners.number > 1 else []),
        saving,
    ]


def _tell_each(listeners: Sequence[Callable[[int, int], None]]) -> Callable[[int, int], None]:
    def tell(num_over: int, num_games: int) -> None:
        for listener in listeners:
            listener(num_over, num_games)

    return tell

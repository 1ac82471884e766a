"""A run: its folder, its trainer, and what is told when it ends."""

import json
import logging
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from wn_rl import build
from wn_rl.acting.reports import drop_later_json_lines
from wn_rl.callbacks.checkpoint import LAST_CHECKPOINT, RunCheckpoint
from wn_rl.callbacks.evaluation import EVALUATIONS_FILE, Evaluation
from wn_rl.callbacks.interruption import Interruption
from wn_rl.callbacks.metrics_csv import MetricsCSV
from wn_rl.callbacks.metrics_logging import MetricsLogging
from wn_rl.callbacks.progress import TrainingProgress
from wn_rl.callbacks.videos import Videos
from wn_rl.callbacks.weight_statistics import WeightStatistics
from wn_rl.configuration import (
    resolve_configuration,
    resume_configuration,
    save_configuration,
)
from wn_rl.dqn import DQN
from wn_rl.errors import ConfigurationError
from wn_rl.provenance import describe_provenance

PROVENANCE_FILE = "provenance.json"


@dataclass(frozen=True)
class Run:
    """One training run, ready to go.

    Attributes:
        folder: where everything is written.
        trainer, module: Lightning's trainer and the algorithm.
        interruption: who knows whether the user stopped it.
        checkpoint: where to go on from; None for a new run.
    """

    folder: Path
    trainer: lightning.Trainer
    module: DQN
    interruption: Interruption
    checkpoint: Path | None

    def train(self) -> bool:
        """Train to the end; False if the user stopped the run before."""
        self.trainer.fit(self.module, ckpt_path=self.checkpoint, weights_only=True)
        self.module.collector.environments.close()
        if self.interruption.is_requested:
            print(f"stopped after {self.module.agent_steps:,} agent steps; a checkpoint is written. Go on with:")
            print(f"  python -m wn_rl.train resume={self.folder}")
            return False
        print(f"done: {self.module.agent_steps:,} agent steps in {self.folder}. Now:")
        print(f"  python -m wn_rl.evaluate agent={self.folder}")
        print(f"  python -m wn_rl.watch agent={self.folder}")
        return True


def start_run(config: DictConfig, *, preset: str | None) -> Run:
    """Begin a new run in a folder of its own.

    Raises:
        ConfigurationError: before anything is written, where the configuration cannot work.
    """
    resolved = resolve_configuration(config)
    resolved.preset = preset
    folder = _choose_folder(resolved)
    resolved.run_dir = str(folder)
    return _make_run(resolved, folder, checkpoint=None)


def resume_run(config: DictConfig, *, overrides: list[str], folder: Path) -> Run:
    """Go on from the last checkpoint of a run folder.

    Raises:
        ConfigurationError: there is nothing to go on from, or the command line asks for another run.
    """
    resolved = resume_configuration(config, overrides, folder)
    resolved.run_dir = str(folder)  # it may have been moved
    checkpoint = folder / LAST_CHECKPOINT
    if not checkpoint.is_file():
        raise ConfigurationError(f"{folder} has no {LAST_CHECKPOINT}: it stopped before its first; start it anew")
    return _make_run(resolved, folder, checkpoint=checkpoint)


def _choose_folder(config: DictConfig) -> Path:
    """``run_dir``, else runs/<Game>/<time>-<name>; never a folder in which a run has begun."""
    if config.run_dir is not None:
        folder = Path(config.run_dir)
        if (folder / "config.yaml").exists():
            raise ConfigurationError(
                f"run_dir={folder} holds a run already; go on with resume={folder}, or name another"
            )
        return folder
    stem = Path("runs") / config.game / f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{config.name}"
    return next(path for path in (stem, *(Path(f"{stem}-{n}") for n in range(2, 1000))) if not path.exists())


def _make_run(config: DictConfig, folder: Path, *, checkpoint: Path | None) -> Run:
    _quieten()
    torch.set_num_threads(config.num_threads)
    environments = build.make_environments(config, config.num_envs)
    module = build.make_module(config, environments, folder)
    agent_steps = None if checkpoint is None else _read_agent_steps(checkpoint)
    _make_folder(folder)
    save_configuration(config, folder)
    provenance = describe_provenance()
    (folder / PROVENANCE_FILE).write_text(json.dumps(provenance, indent=2) + "\n")
    if agent_steps is not None:
        drop_later_json_lines(folder / EVALUATIONS_FILE, agent_steps)
    interruption = Interruption()
    trainer = lightning.Trainer(
        accelerator=config.accelerator, devices=1, precision=config.precision,
        max_epochs=module.settings.run_length.num_iterations,
        logger=_make_loggers(config, folder, agent_steps),
        callbacks=_make_callbacks(config, folder, module, interruption, provenance),
        enable_progress_bar=config.progress, enable_model_summary=False, num_sanity_val_steps=0,
        log_every_n_steps=1, default_root_dir=folder,
    )  # fmt: skip
    return Run(folder, trainer, module, interruption, checkpoint)


def _make_folder(folder: Path) -> None:
    """Make the run folder and make sure that it can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"run_dir={folder} cannot be written to: {error.strerror}; name another with run_dir=..."
        ) from error


def _make_loggers(config: DictConfig, folder: Path, agent_steps: int | None) -> list[Logger]:
    loggers: list[Logger] = [MetricsCSV(folder, keep_until_agent_steps=agent_steps)]
    if config.logger is not None and "_target_" in config.logger:
        logger = build.make_logger(config, keep_until_agent_steps=agent_steps)
        logger.log_hyperparams(build.as_dict(config))
        loggers.append(logger)
    return loggers


def _make_callbacks(
    config: DictConfig, folder: Path, module: DQN, interruption: Interruption, provenance: dict[str, object]
) -> list[Callback]:
    progress = TrainingProgress()
    videos = Videos(
        folder=folder / "videos", period_iterations=config.video.period_iterations,
        max_seconds=config.video.max_seconds, scale=config.video.scale,
    )  # fmt: skip
    evaluation = Evaluation(
        make_environments=lambda: build.make_environments(config, config.evaluation.num_envs), game=config.game,
        protocol=build.make_protocol(config), num_episodes=config.evaluation.episodes,
        epsilon=config.evaluation.epsilon, seed=config.evaluation.seed, stack_size=config.network.stack_size,
        run_dir=folder, listeners=[progress.on_evaluation, videos.on_evaluation],
    )  # fmt: skip
    weight_statistics = WeightStatistics(**build.as_dict(config.weight_statistics), seed=config.seed)
    description = {
        "game": config.game,
        "protocol": OmegaConf.to_container(config.protocol, resolve=True),
        "network": build.describe_network(config, module.collector.environments),
        "normalizer": config.normalizer,
        "config": OmegaConf.to_container(config, resolve=True),
        **provenance,
    }
    checkpoint = RunCheckpoint(run_dir=folder, agent_description=description, interruption=interruption)
    return [
        interruption,
        MetricsLogging(),
        weight_statistics,
        *([progress] if config.progress else []),
        evaluation,
        videos,
        checkpoint,
    ]


def _read_agent_steps(checkpoint: Path) -> int:
    """The agent steps of a checkpoint; reads it without running code of it."""
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return int(state["wn_rl"]["collector"]["agent_steps"])
    except Exception as error:  # a damaged or foreign pickle raises whatever it likes
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"{checkpoint} cannot be read: {reason}") from error


def _quieten() -> None:
    """Lightning's advice on hardware and data loaders does not apply to a range of chunks."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # The folded networks are in evaluation mode, and stay so.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")  # Lightning's own
    # The data is in the replay, which is saved: a checkpoint amid an iteration resumes exactly.
    warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")

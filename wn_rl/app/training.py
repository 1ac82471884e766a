"""A run: its folder, its trainer, and what is told when it ends."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
from filelock import FileLock
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.app import build
from wn_rl.app.configuration import (
    load_configuration,
    resolve_configuration,
    resume_configuration,
    save_configuration,
)
from wn_rl.app.failures import MEMORY_ADVICE, explain_failure, summarize_error
from wn_rl.app.initial_agent import adopt_agent, keep_initial_agent, load_initial_agent
from wn_rl.app.learner_processes import choose_processes, join_learners, lock_for_all
from wn_rl.app.own_callbacks import check_callbacks, make_callbacks
from wn_rl.app.resume import check_length, find_checkpoint
from wn_rl.app.run_callbacks import make_run_callbacks
from wn_rl.app.run_loggers import make_loggers, make_tracking
from wn_rl.app.silence import silence_advice
from wn_rl.callbacks.checkpoint import RunCheckpoint
from wn_rl.callbacks.interruption import Interruption
from wn_rl.callbacks.stopping_together import StoppingTogether
from wn_rl.errors import ConfigurationError, show_text
from wn_rl.runs.evaluations import keep_training_rows
from wn_rl.runs.folder import (
    choose_run_folder,
    make_run_folder,
    remove_leftovers,
    remove_unused_folder,
)
from wn_rl.runs.layout import EVALUATIONS_FILE, INITIAL_AGENT_FOLDER, PROVENANCE_FILE
from wn_rl.runs.metrics_csv import MetricsCSV
from wn_rl.runs.provenance import describe_provenance
from wn_rl.system.cpu import use_processor
from wn_rl.system.files import write_whole
from wn_rl.system.learners import ALONE, Learners
from wn_rl.system.memory import is_memory_error
from wn_rl.system.terminals import quote_command
from wn_rl.types import VectorEnvironment


@dataclass(frozen=True)
class Run:
    """One training run, ready to go.

    Attributes:
        folder: where everything is written.
        trainer, algorithm: Lightning's trainer and the algorithm.
        interruption: who knows whether the user stopped it.
        saving: who writes checkpoints, and knows how far the last one is.
        checkpoint: where to go on from; None for a new run.
        lock: keeps other trainers out of the folder, until ``train`` has ended.
    """

    folder: Path
    trainer: lightning.Trainer
    algorithm: Algorithm
    interruption: Interruption
    saving: RunCheckpoint
    checkpoint: Path | None
    lock: FileLock

    @property
    def is_stopped(self) -> bool:
        """Whether it was asked to stop before its end."""
        return self.interruption.is_requested

    def train(self) -> bool:
        """Train to the end; False if the user stopped the run before.

        Raises:
            ConfigurationError: training cannot go on (disk full, memory short, learning diverged, an environment
                failed, ...): in one line that says from where it can be gone on; the traceback is in ``error.log``.
        """
        try:
            self.trainer.fit(self.algorithm, ckpt_path=self.checkpoint, weights_only=True)
        except SystemExit as error:
            if not isinstance(error.__context__, KeyboardInterrupt):
                raise
            raise KeyboardInterrupt(f"go on with: {quote_command('train', f'resume={self.folder}')}") from None
        except Exception as error:
            raise explain_failure(
                error, folder=self.folder, agent_steps=self.algorithm.agent_steps,
                saved_agent_steps=self.saving.saved_agent_steps,
            ) from error  # fmt: skip
        finally:
            self.close()
        if self.is_stopped:
            print(f"stopped after {self.algorithm.agent_steps:,} agent steps; a checkpoint is written. Go on with:")
            print(f"  {quote_command('train', f'resume={self.folder}')}", flush=True)
            self.interruption.pass_on()
            return False
        print(f"done: {self.algorithm.agent_steps:,} agent steps in {self.folder}. Now:")
        print(f"  {quote_command('evaluate', f'agent={self.folder}')}")
        print(f"  {quote_command('watch', f'agent={self.folder}')}")
        print(f"  {quote_command('watch', f'run={self.folder}', 'open=true')}")
        return True

    def close(self) -> None:
        """Stop the threads and let others into the folder."""
        with suppress(Exception):  # of environments that have failed
            self.algorithm.close()
        self.algorithm.learners.close()
        self.lock.release()


def start_run(
    config: DictConfig, *, preset: str | None, experiment: str | None = None, callbacks: Sequence[Callback] = ()
) -> Run:
    """Begin a new run in a folder of its own.

    Args:
        config: what the user says.
        preset, experiment: the files of configs/preset/ and of the user's that it is made of, to be written down.
        callbacks: the user's own.

    Raises:
        ConfigurationError: before anything is written, where the configuration cannot work.
    """
    callbacks = [*make_callbacks(config.callbacks), *callbacks]
    check_callbacks(callbacks)

    def prepare() -> tuple[DictConfig, bool]:
        resolved = resolve_configuration(config)
        build.check_targets(resolved)
        resolved.preset, resolved.experiment = preset, experiment
        stood_before = resolved.run_dir is not None and Path(resolved.run_dir).exists()
        resolved.run_dir = str(choose_run_folder(resolved))
        return resolved, stood_before

    learners, (resolved, stood_before) = join_learners(config, config, prepare)
    folder = Path(resolved.run_dir)
    silence_advice()
    try:
        environments, algorithm = _make_algorithm(resolved, folder, learners)
        if config.network.torso == "auto":
            print(f"network.torso={resolved.network.torso}, for observations {environments.observation}")
        make_run_folder(folder)
        lock = lock_for_all(folder, learners)
        try:
            if resolved.initial_agent is not None and learners.is_first:  # who shares the weights
                agent = load_initial_agent(resolved.initial_agent)
                adopt_agent(algorithm.network, build.describe_network(resolved, environments), agent)
                keep_initial_agent(agent, folder)
            return _make_run(resolved, folder, environments, algorithm, lock, callbacks=callbacks)
        except BaseException:
            lock.release()
            raise
    except BaseException:
        remove_unused_folder(folder, stood_before=stood_before)
        raise


def resume_run(config: DictConfig, *, overrides: list[str], folder: Path, callbacks: Sequence[Callback] = ()) -> Run:
    """Go on from the newest good checkpoint of a run folder; from the beginning, if it was killed before its first.

    Raises:
        ConfigurationError: there is nothing to go on from, another trainer works there, or the command line asks for
            another run.
    """
    callbacks = [*make_callbacks(config.callbacks), *callbacks]
    check_callbacks(callbacks)

    def prepare() -> DictConfig:
        resolved = resume_configuration(config, overrides, folder)
        resolved.run_dir = str(folder)  # it may have been moved
        build.check_targets(resolved)
        return resolved

    learners, resolved = join_learners(load_configuration(folder), config, prepare)
    silence_advice()
    lock = lock_for_all(folder, learners)
    try:
        if learners.is_first:
            remove_leftovers(folder)
        environments, algorithm = _make_algorithm(resolved, folder, learners)
        found = find_checkpoint(folder, algorithm, resolved)
        if found is None:
            print(f"{folder} was stopped before its first checkpoint: it begins anew")
            if resolved.initial_agent is not None:  # its copy: a file may not say what else is read
                agent = load_initial_agent(folder / INITIAL_AGENT_FOLDER)
                adopt_agent(algorithm.network, build.describe_network(resolved, environments), agent)
            return _make_run(resolved, folder, environments, algorithm, lock, callbacks=callbacks)
        path, state = found
        check_length(state, resolved)
        agent_steps = state["agent"]["agent_steps"]
        num_iterations_done = state["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        algorithm.run_length = algorithm.run_length.go_on(agent_steps, num_iterations_done)
        run = _make_run(
            resolved, folder, environments, algorithm, lock, checkpoint=path, agent_steps=agent_steps,
            callbacks=callbacks,
        )  # fmt: skip
        _tell_missing_callbacks(state["callbacks"], run)
        return run
    except BaseException:
        lock.release()
        raise


def _tell_missing_callbacks(saved: dict[str, Any], run: Run) -> None:
    """Say whose state a checkpoint holds in vain, since the user does not name the callback again."""
    present: list[Callback] = run.trainer.callbacks  # type: ignore[attr-defined]  # Lightning's own hint lacks it
    missing = sorted(saved.keys() - {callback.state_key for callback in present})
    if missing:
        print(show_text(f"without {', '.join(missing)}, which this run had: name callbacks again to go on with them"))


def _make_algorithm(
    config: DictConfig, folder: Path, learners: Learners = ALONE
) -> tuple[VectorEnvironment, Algorithm]:
    """The training environments, and the algorithm that learns in them.

    Raises:
        ConfigurationError: memory is short.
    """
    use_processor(config.num_threads)
    try:
        environments = build.make_environments(config, num_envs=config.num_envs, num_threads=config.num_env_threads)
        return environments, build.make_algorithm(config, environments, folder, learners)
    except (MemoryError, RuntimeError) as error:
        if not is_memory_error(error):
            raise
        raise ConfigurationError(f"memory is short: {summarize_error(error)}; {MEMORY_ADVICE}") from error


def _make_run(
    config: DictConfig, folder: Path, environments: VectorEnvironment, algorithm: Algorithm, lock: FileLock, *,
    checkpoint: Path | None = None, agent_steps: int | None = None, callbacks: Sequence[Callback] = (),
) -> Run:  # fmt: skip
    """The run with its trainer, from the beginning or from a checkpoint that was written after ``agent_steps``."""
    learners = algorithm.learners
    processes = choose_processes(config, learners)  # before the loggers, which else may take this process for another's
    interruption = Interruption(is_heard=learners.is_first)
    provenance = describe_provenance()
    saving = RunCheckpoint(
        run_dir=folder, agent_description=_describe_agent(config, environments, provenance), interruption=interruption,
        keep_last=config.checkpoint.keep_last, keep_best=config.checkpoint.keep_best,
    )  # fmt: skip
    loggers: list[Logger] = []
    all_callbacks: list[Callback] = [interruption, StoppingTogether(interruption), saving]
    if learners.is_first:
        # before it is a run folder: a package may be missing
        loggers = make_loggers(config, keep_until_agent_steps=agent_steps)
        metrics_csv = MetricsCSV(folder)
        if checkpoint is None:  # it may have been killed before its first
            metrics_csv.keep_rows(0)
            keep_training_rows(folder / EVALUATIONS_FILE, 0)
        save_configuration(config, folder)
        write_whole(folder / PROVENANCE_FILE, (json.dumps(provenance, indent=2) + "\n").encode())
        all_callbacks = [
            *make_run_callbacks(
                config, folder, environments, metrics_csv=metrics_csv, interruption=interruption, saving=saving,
                learners=learners,
            ),
            *make_tracking(config, loggers), *callbacks,
        ]  # fmt: skip
        loggers.insert(0, metrics_csv)
    trainer = lightning.Trainer(
        **processes, accelerator=config.accelerator, precision=config.precision, deterministic=config.deterministic,
        max_epochs=algorithm.run_length.num_iterations, logger=loggers, callbacks=all_callbacks,
        enable_progress_bar=config.progress and learners.is_first, enable_model_summary=False, num_sanity_val_steps=0,
        log_every_n_steps=1, default_root_dir=folder,
    )  # fmt: skip
    longest, each = algorithm.run_length.longest_game, f" / {learners.number} learners" if learners.number > 1 else ""
    if longest < build.make_protocol(config).max_episode_agent_steps:
        print(
            f"games longer than {longest:,} agent steps (iteration_agent_steps / num_envs{each}) are cut in training,"
            " and are not in its mean return; evaluations play whole games"
        )
    if (memory := algorithm.describe_memory()) is not None:
        print(memory)
    return Run(folder, trainer, algorithm, interruption, saving, checkpoint, lock)


def _describe_agent(
    config: DictConfig, environments: VectorEnvironment, provenance: dict[str, object]
) -> dict[str, Any]:
    """What a saved agent says of itself besides its counters."""
    return {
        "game": config.game,
        "protocol": OmegaConf.to_container(config.protocol, resolve=True),
        "network": build.describe_network(config, environments),
        "normalizer": config.normalizer,
        "config": OmegaConf.to_container(config, resolve=True),
        **provenance,
    }

"""A run of one of the paper's experiments: its settings, its folder, its trainer."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import lightning
from omegaconf import DictConfig, OmegaConf

from wn_rl.app.machine import resolve_accelerator
from wn_rl.app.one_process import OneProcess
from wn_rl.app.silence import silence_advice
from wn_rl.callbacks.checkpoint import DurableCheckpointIO
from wn_rl.callbacks.interruption import Interruption
from wn_rl.errors import ConfigurationError, show_value
from wn_rl.paper.cifar10 import Cifar10
from wn_rl.paper.draw import DrawExperiment
from wn_rl.paper.epoch_end import EpochEnd
from wn_rl.paper.epoch_progress import EpochProgress
from wn_rl.paper.experiment import Experiment
from wn_rl.paper.experiment_settings import AutoencoderSettings, Cifar10Settings, DrawSettings, ExperimentSettings
from wn_rl.paper.images import ImageData, load_images
from wn_rl.paper.vae import VariationalAutoencoder
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.runs.configuration_file import read_configuration
from wn_rl.runs.folder import lock_run_folder, make_run_folder, remove_leftovers, remove_unused_folder
from wn_rl.runs.layout import EXPERIMENT_FILE, LAST_CHECKPOINT, METRICS_FILE, PAGE_FILE, PROVENANCE_FILE
from wn_rl.runs.metrics_csv import MetricsCSV
from wn_rl.runs.provenance import describe_provenance
from wn_rl.system.cpu import count_cores, use_processor
from wn_rl.system.fields import list_changeable, parse
from wn_rl.system.files import write_whole
from wn_rl.system.terminals import quote_command

PLACES = ("run_dir", "resume")
"""Settings that say where a run lies, and not what it is."""
COUNTER = "epoch"
"""The first column of metrics.csv."""


class Entry(NamedTuple):
    """An experiment by its name: what it is told, the images that it learns from, and what makes it."""

    settings: type[ExperimentSettings]
    images: str
    make: Callable[[Any, ImageData], Experiment]


EXPERIMENTS = {
    "cifar10": Entry(Cifar10Settings, "cifar10", Cifar10),
    "vae": Entry(AutoencoderSettings, "mnist", VariationalAutoencoder),
    "draw": Entry(DrawSettings, "mnist", DrawExperiment),
}


def train(config: DictConfig, *, words: Sequence[str], preset: str | None) -> float | None:
    """Begin a run, or go on with the one that ``resume`` names, to its end; what it is judged by, if it got there.

    Args:
        config: as it was composed.
        words: of the command line, as ``key=value``.
        preset: the one that was chosen.

    Raises:
        ConfigurationError: it cannot work; in one line, and before anything is written.
    """
    values = _as_dict(config)
    folder = None if config.resume is None else Path(str(config.resume))
    if folder is None:
        values["preset"] = preset
    else:
        values = _resume_values(values, words, folder)
    entry = EXPERIMENTS[str(config.experiment)]
    values |= {"accelerator": resolve_accelerator(str(values["accelerator"])), "resume": None}
    if values["num_threads"] == "auto":
        values["num_threads"] = count_cores()
    [settings] = parse(values, entry.settings)
    use_processor(settings.num_threads)
    data = _load(settings, entry.images)
    stood_before = folder is not None or (settings.run_dir is not None and Path(settings.run_dir).exists())
    run_folder = _choose_folder(settings) if folder is None else folder
    try:
        make_run_folder(run_folder)
        with lock_run_folder(run_folder):
            remove_leftovers(run_folder)
            return _train(entry.make(settings, data), values, run_folder)
    except BaseException:
        remove_unused_folder(run_folder, stood_before=stood_before)
        raise


def _as_dict(config: DictConfig) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(config, resolve=True)
    return {str(key): value for key, value in values.items()}


def _resume_values(given: dict[str, Any], words: Sequence[str], folder: Path) -> dict[str, Any]:
    """The settings that a run began with, with what the command line changes where a change is allowed."""
    path = folder / EXPERIMENT_FILE
    if not path.is_file():
        raise ConfigurationError(f"{folder} is no run folder of the paper's experiments: it has no {EXPERIMENT_FILE}")
    try:
        saved = read_configuration(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    if saved.get("experiment") != given["experiment"]:
        command = quote_command(f"paper/{saved.get('experiment')}", f"resume={folder}")
        raise ConfigurationError(f"{folder} is a run of {show_value(saved.get('experiment'))}; say {command}")
    changeable = list_changeable(EXPERIMENTS[given["experiment"]].settings)
    for key in (word.partition("=")[0].lstrip("+") for word in words):
        if key.partition("/")[0] == "preset":
            raise ConfigurationError(f"preset={saved.get('preset')} is what this run began with; leave it out")
        if key in changeable:
            saved[key] = given[key]
        elif key not in PLACES and saved.get(key) != given[key]:
            raise ConfigurationError(
                f"{key} was {show_value(saved.get(key))} when this run began and cannot become"
                f" {show_value(given[key])} on resume; leave it out, or start a new run (may change:"
                f" {', '.join(changeable)})"
            )
    return saved


def _load(settings: ExperimentSettings, name: str) -> ImageData:
    """The images that a run is told to use."""
    data = load_images(name, Path(settings.data_dir).expanduser())
    train, test = data.train.take_first(settings.num_train_images), data.test.take_first(settings.num_test_images)
    if settings.batch_size > len(train.labels):
        raise ConfigurationError(
            f"batch_size={settings.batch_size} is more than the {len(train.labels)} training images; lower it"
        )
    return ImageData(train, test, data.form)


def _choose_folder(settings: ExperimentSettings) -> Path:
    """``run_dir``, else a new folder that is there at once; never one in which anything was written by a run."""
    if settings.run_dir is not None:
        folder = Path(settings.run_dir)
        left = [name for name in (EXPERIMENT_FILE, METRICS_FILE, LAST_CHECKPOINT) if (folder / name).exists()]
        if left:
            command = quote_command(f"paper/{settings.experiment}", f"resume={folder}")
            raise ConfigurationError(
                f"run_dir={folder} holds {', '.join(left)} of another run; name another, or go on with: {command}"
            )
        return folder
    stem = Path("runs", "paper", settings.experiment, f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{settings.normalizer}")
    for path in (stem, *(Path(f"{stem}-{number}") for number in range(2, 1000))):
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be made: {error.strerror}; name another by run_dir=...") from error
        return path
    raise ConfigurationError(f"{stem} and 998 like it are there already; name another by run_dir=...")


def _train(experiment: Experiment, values: dict[str, Any], folder: Path) -> float | None:
    silence_advice()
    process = OneProcess()
    checkpoint = folder / LAST_CHECKPOINT
    metrics_csv = MetricsCSV(folder, counter=COUNTER)
    if checkpoint.exists():
        _check(checkpoint, experiment)
    else:
        metrics_csv.keep_rows(0)  # it may have been killed before its first
    write_whole(folder / EXPERIMENT_FILE, OmegaConf.to_yaml({**values, "run_dir": str(folder)}).encode())
    write_whole(folder / PROVENANCE_FILE, (json.dumps(describe_provenance(), indent=2) + "\n").encode())
    name = f"paper/{experiment.settings.experiment}"
    interruption = Interruption(name)
    saving = EpochEnd(run_dir=folder, metrics_csv=metrics_csv)
    trainer = lightning.Trainer(
        accelerator=experiment.settings.accelerator, devices=1, max_epochs=experiment.settings.num_epochs, logger=False,
        plugins=[DurableCheckpointIO(), process],
        callbacks=[interruption, *([EpochProgress()] if experiment.settings.progress else []), saving],
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
    )  # fmt: skip
    command = quote_command(name, f"resume={folder}")
    try:
        trainer.fit(experiment, ckpt_path=checkpoint if checkpoint.exists() else None, weights_only=True)
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt(f"go on with: {command}") from None
    if interruption.is_requested:
        print(f"stopped after {experiment.num_updates:,} updates; a checkpoint is written. Go on with:\n  {command}")
        return None
    print(f"done: {experiment.settings.num_epochs} epochs in {folder}; the page is {folder / PAGE_FILE}")
    return saving.last_row.get(experiment.main_columns[0])


def _check(path: Path, experiment: Experiment) -> None:
    """Make sure that a checkpoint is whole and of this experiment. Raises ConfigurationError: it is not."""
    saved = read_checkpoint(path)
    try:
        own = experiment.state_dict()
        shapes = {name: tuple(value.shape) for name, value in saved["state_dict"].items()}
        if shapes != {name: tuple(value.shape) for name, value in own.items()}:
            raise ValueError("its weights are of another network")
        if type(saved["wn_rl"]["num_updates"]) is not int:
            raise ValueError("it does not say how far it is")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{path} cannot be gone on from: {error}; start a new run") from error

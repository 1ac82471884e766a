"""``python -m wn_rl.train game=Breakout``: train an agent, or go on with ``resume=<run folder>``."""

from pathlib import Path
from typing import Any

from wn_rl.system.interrupts import listen
from wn_rl.system.missing_packages import explain_missing_packages

if __name__ == "__main__":
    explain_missing_packages()
    listen()  # before what takes long to import

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from wn_rl.app.command_line import run_command
from wn_rl.app.composition import check_places
from wn_rl.app.default_preset import ON_A_PROCESSOR
from wn_rl.app.sweeps import tell_sweep, train_job
from wn_rl.envs.games import resolve_game
from wn_rl.errors import ConfigurationError
from wn_rl.system.callable_module import make_callable
from wn_rl.system.fields import text


def main(config: DictConfig) -> float | None:
    """Train one run, as configured; its score, the mean return of the last evaluation, if there is one."""
    check_places(config)
    if config.game is not None:
        resolve_game(text("game", config.game))  # a misspelled game is told at once, before PyTorch is loaded
    told: Any = HydraConfig.get()
    if told.mode == RunMode.MULTIRUN:
        return train_job(config, told)
    if config.sweep is not None:
        raise ConfigurationError(f"sweep={config.sweep} is the folder of several runs; say -m too, or name run_dir=...")

    from wn_rl.app import training as runs
    from wn_rl.app.plugins import import_plugins
    from wn_rl.runs.outcome import read_progress

    import_plugins(config)
    if config.resume is None:
        choices = told.runtime.choices
        run = runs.start_run(config, preset=choices.get("preset"), experiment=choices.get("experiment"))
        if told.overrides.task[:1] == [f"preset={ON_A_PROCESSOR}"]:  # where nobody named one
            print(f"preset={ON_A_PROCESSOR}, which learns most per hour without a GPU; preset=dopamine is for days")
    else:
        folder = Path(text("resume", config.resume))
        run = runs.resume_run(config, overrides=list(told.overrides.task), folder=folder)
    return read_progress(run.folder).mean_return if run.train() else None


if __name__ != "__main__":
    make_callable(__name__, calls="wn_rl.app.python_training.train")
else:
    run_command("train", main, tell_all=tell_sweep)

"""``python -m wn_rl.train game=Breakout``: train an agent, or go on with ``resume=<run folder>``."""

import sys
from pathlib import Path

from wn_rl.system.interrupts import listen

if __name__ == "__main__":
    listen()  # before what takes long to import

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from wn_rl.app.command_line import run_command
from wn_rl.envs.games import resolve_game
from wn_rl.errors import ConfigurationError
from wn_rl.system.fields import text


def main(config: DictConfig) -> None:
    """Train one run, as configured."""
    if config.resume is None and config.game is None and config.env.name == "atari":
        raise ConfigurationError("game is missing; name one, as in: python -m wn_rl.train game=Breakout")
    if config.resume is not None and config.run_dir is not None:
        raise ConfigurationError(
            f"run_dir={config.run_dir}: a run goes on in its own folder; leave it out, or copy {config.resume} there"
            " first and resume the copy"
        )
    if config.game is not None:
        resolve_game(text("game", config.game))  # a misspelled game is told at once, before PyTorch is loaded

    from wn_rl.app import training as runs

    if config.resume is None:
        run = runs.start_run(config, preset=HydraConfig.get().runtime.choices.get("preset"))
    else:
        folder = Path(text("resume", config.resume))
        run = runs.resume_run(config, overrides=list(HydraConfig.get().overrides.task), folder=folder)
    if not run.train():
        sys.exit(0)  # interrupted: several runs of one command (-m) are left alone too


if __name__ == "__main__":
    run_command("train", main)

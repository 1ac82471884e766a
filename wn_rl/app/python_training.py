"""``wn_rl.train``: the command as a function, for programs and notebooks.

Settings are those of the command line under the same names, checked in the same way.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from wn_rl.app import training
from wn_rl.app.composition import check_places, compose_settings, translate_arguments
from wn_rl.app.configured import find_folders, read_command
from wn_rl.app.default_preset import choose_preset
from wn_rl.app.plugins import import_plugins
from wn_rl.app.training import Run
from wn_rl.errors import ConfigurationError


def train(
    game: str | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    config_dir: str | Path | None = None,
    **settings: Any,
) -> Run:
    """Train an agent to the end, and return the run; ``resume="runs/Pong/<run>"`` goes on with one.

        run = wn_rl.train("Pong", preset="quick", total_agent_steps=200_000, replay={"n_step": 5})

    Where there is no GPU and no preset is named, it is ``quick``, as on the command line. Ctrl-C finishes what is under
    way and writes a checkpoint; ``run.is_stopped`` says so.

    Args:
        game: Breakout, ALE/Breakout-v5, ...; left out with ``resume``, or ``env={"id": "CartPole-v1"}``.
        callbacks: Lightning's, or ``wn_rl.RunCallback``; a resumed run has those alone that are given again.
        config_dir: a folder of configurations of your own, as ``experiment/mine.yaml`` for ``experiment="mine"``.
        settings: those of configs/train.yaml; ``python -m wn_rl.train --help`` says what each means.

    Raises:
        ConfigurationError: a setting is unknown or cannot work, or training cannot go on.
    """
    if game is not None:
        settings = {"game": game, **settings}
    folders = find_folders([] if config_dir is None else ["--config-dir", str(config_dir)])
    words = translate_arguments("train", read_command("train", folders), settings)
    preset = choose_preset(words)
    words = words if preset is None else [f"preset={preset}", *words]
    config, choices = compose_settings("train", words, folders)
    check_places(config)
    import_plugins(config)
    if config.sweep is not None:
        raise ConfigurationError("sweep=... is for several runs of a command line (-m); call train once for each")
    if config.resume is None:
        run = training.start_run(
            config, preset=choices["preset"], experiment=choices["experiment"], callbacks=callbacks
        )
    else:
        run = training.resume_run(config, overrides=words, folder=Path(config.resume), callbacks=callbacks)
    run.train()
    return run

"""``python -m wn_rl.paper cifar10``, ``vae`` or ``draw``: one of the paper's other experiments, or go on with one."""

import sys
from difflib import get_close_matches

from wn_rl.system.interrupts import listen
from wn_rl.system.missing_packages import explain_missing_packages

if __name__ == "__main__":
    explain_missing_packages()
    listen()  # before what takes long to import

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from wn_rl.app.command_line import EXIT_MISUSE, run_command

EXPERIMENTS = {
    "cifar10": "classification of CIFAR-10, without augmentation",
    "vae": "a convolutional variational autoencoder on MNIST",
    "draw": "DRAW, which paints MNIST's digits glimpse by glimpse",
}


def main(config: DictConfig) -> float | None:
    """Train one run, as configured; its last value of what it is judged by."""
    from wn_rl.paper import experiment_run

    told = HydraConfig.get()
    preset = told.runtime.choices.get(f"preset/{config.experiment}")
    return experiment_run.train(config, words=list(told.overrides.task), preset=preset)


def run() -> None:
    """The experiment that is named first; without one, list them."""
    name, *words = sys.argv[1:] or ["--help"]
    if name in EXPERIMENTS:
        sys.argv[1:] = words
        run_command(f"paper/{name}", main)
    elif name in ("--help", "-h"):
        lines = [f"  python -m wn_rl.paper {name:<10}{what}" for name, what in EXPERIMENTS.items()]
        print("\n".join(["Experiments of the weight normalization paper, each with --help of its own:", "", *lines]))
    else:
        nearest = get_close_matches(name, EXPERIMENTS, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        print(f"error: {name!r} is no experiment; name one first: {', '.join(EXPERIMENTS)}{hint}", file=sys.stderr)
        sys.exit(EXIT_MISUSE)


if __name__ == "__main__":
    run()

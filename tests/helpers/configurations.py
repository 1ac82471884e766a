"""Configurations as the commands compose them."""

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from wn_rl.app.command_line import CONFIG_DIRECTORY
from wn_rl.app.hydra_version import VERSION_BASE


def compose_config(name: str, *words: str) -> DictConfig:
    """What ``python -m wn_rl.<name>`` is told by these words of its command line."""
    with initialize_config_dir(str(CONFIG_DIRECTORY), **VERSION_BASE):
        return compose(name, overrides=list(words))

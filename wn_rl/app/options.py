"""Which words of a command line are options and not settings, and which settings are paths; imports nothing."""

from collections.abc import Sequence

CONFIG_DIR_OPTIONS = ("--config-dir", "-cd")
FLAGS = frozenset({"--help", "-h", "--multirun", "-m", "--resolve", "--hydra-help"})
FLAGS_WITH_VALUE = frozenset({"--cfg", "-c", "--info", "-i", "--package", "-p", *CONFIG_DIR_OPTIONS})

AGENTS = frozenset({"agent", "initial_agent"})
"""Settings that are an agent."""
PATHS = frozenset(
    {*AGENTS, "run", "episode", "episodes_dir", "output_dir", "run_dir", "resume", "sweep", "data_dir", "output"}
)
"""Settings that are a path, taken as it is written."""


def split_options(words: Sequence[str]) -> list[str]:
    """``--config-dir=mine`` as ``--config-dir mine``, as Hydra's options are looked for."""
    split: list[str] = []
    for word in words:
        option, equals, value = word.partition("=")
        split += [option, value] if equals and option in FLAGS_WITH_VALUE else [word]
    return split

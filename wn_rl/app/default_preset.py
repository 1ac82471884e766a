"""The preset that ``train`` takes where nobody names one: what learned most per hour on a machine like this one."""

import shutil
from collections.abc import Sequence

ON_A_PROCESSOR = "quick"
"""Of the presets of DQN, on two cores: docs/performance.md."""

_OTHERS = ("preset", "algorithm", "env", "resume", "experiment")
"""Settings after which the presets of DQN on Atari are not the question, or answered."""


def choose_preset(words: Sequence[str]) -> str | None:
    """The preset for these words of a command line; None where the one of configs/train.yaml is right, as on a GPU.

    It is asked before PyTorch is loaded, which takes seconds.
    """
    given = {word.partition("=")[0].lstrip("+"): word.partition("=")[2] for word in words}
    if any(key in given for key in _OTHERS) or given.get("accelerator") == "gpu":
        return None
    has_gpu = shutil.which("nvidia-smi") is not None
    return None if has_gpu and given.get("accelerator") != "cpu" else ON_A_PROCESSOR

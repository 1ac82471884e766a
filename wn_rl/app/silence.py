"""Advice of Lightning that does not apply to runs whose data is in what they save."""

import logging
import warnings


def silence_advice() -> None:
    """Lightning's advice on hardware and data loaders does not apply to a range of chunks, or of minibatches."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # The folded networks are in evaluation mode, and stay so.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")  # Lightning's own
    # The data is in what is saved: a checkpoint amid an iteration resumes exactly.
    warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`, callbacks")  # told by resume_run

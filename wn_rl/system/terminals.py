"""What may be drawn over, in a terminal alone, since files, pipes and notebooks keep it; commands to be pasted."""

import os
import shlex

from rich.console import Console
from rich.progress import Progress, ProgressColumn

IN_NOTEBOOK = "JPY_PARENT_PID"  # Jupyter sets it for its kernels, and with them for all that they start


def can_be_redrawn(console: Console) -> bool:
    """Whether what is written to ``console`` can be replaced.

    Variables that force colors (FORCE_COLOR, in many CI systems) make no terminal of a file. A command that a
    notebook's cell starts (``!python -m wn_rl.train``) has a terminal in name only: the cell keeps every bar that was
    ever drawn.
    """
    return console.is_interactive and console.file.isatty() and IN_NOTEBOOK not in os.environ


def make_progress_bar(*columns: ProgressColumn, transient: bool) -> Progress:
    """A bar on stderr while its ``with`` lasts; nothing where it could not be redrawn. ``transient`` ones vanish."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=transient, disable=not can_be_redrawn(console))


def quote_command(name: str, *words: str) -> str:
    """``python -m wn_rl.<name>`` with its words, as it can be pasted into a shell, whatever the paths in it.

    Of ``paper/draw`` the second part is a word: ``python -m wn_rl.paper draw``.
    """
    module, *first = name.split("/")
    return shlex.join(["python", "-m", f"wn_rl.{module}", *first, *words])

"""A package that a command needs and that is not there: one line, where Python would show where it was imported."""

import sys
from types import TracebackType


def explain_missing_packages() -> None:
    """Call it before a command imports anything; ``wn_rl.nn`` may be installed without what only the commands need."""
    sys.excepthook = _explain


def _explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if not name or name in ("wn_rl", "__main__"):
        sys.__excepthook__(kind, error, trace)
        return
    print(
        f"error: the Python package {name} is missing; install all that the commands need with: pip install wn_rl, or"
        " in a working copy: pip install -e .",
        file=sys.stderr,
    )

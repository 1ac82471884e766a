"""Files that a grammar makes, of every kind that this program reads: each must be taken, or refused in a line and soon.

    python -m scripts.checks.fuzz_files                 1,000 of each kind
    python -m scripts.checks.fuzz_files 200 agents      200 agents

Damage (tests/app/test_fuzzing.py) mostly breaks a file's form; these have the right form, true checksums, and entries
that nobody foresaw. Of each is asked: no error but ``ConfigurationError``, whose message is a short line; no more than
two seconds of the processor; no file changed but in the run folder; no secret of the environment in what is told or
shown. Exit status 1, with an example of every failure, where one is not.
"""

import logging
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scripts.checks.forged_files import KINDS, Case
from wn_rl.errors import MAX_LETTERS, ConfigurationError

MAX_SECONDS = 2.0
SECRET = "5ecre7-of-5omebody"


def judge_message(message: str) -> None:
    assert len(message.splitlines()) == 1, "a message of several lines"
    assert message.isprintable(), "a message with control characters"
    assert len(message) <= MAX_LETTERS + 10, "a message without end"
    assert SECRET not in message, "a secret in a message"


class Watch:
    """Notices files that are changed outside a folder; it stays for ever, as Python's audit hooks do."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.outside: list[str] = []
        self.is_on = False
        sys.addaudithook(self._on_event)

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR) if mode is None else set(mode) & set("wax+")
        else:
            path = arguments[0] if arguments else ""
            writes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate")
            writes = writes or event in ("os.system", "subprocess.Popen", "os.exec", "socket.connect")
        if writes and not isinstance(path, int) and not os.fsdecode(path).startswith(self.folder):
            self.outside.append(f"{event} {arguments}")


def judge(read: Callable[[], str], watch: Watch) -> str | None:
    """What is wrong with the way in which a file is read; None: nothing."""
    began, watch.outside = time.process_time(), []
    watch.is_on = True
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            if SECRET in read():
                return "a secret is shown"
    except ConfigurationError as error:
        try:
            judge_message(str(error))
        except AssertionError as problem:
            return f"{problem}: {str(error)[:300]!r}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {place.filename}:{place.lineno}"
    finally:
        watch.is_on = False
    if warned:  # it would be shown as lines of the program's text
        return f"warns: {warned[0].message!s:.200}"
    if watch.outside:
        return f"outside the folder: {watch.outside[0]:.200}"
    seconds = time.process_time() - began
    return f"it takes {seconds:.0f} s" if seconds > MAX_SECONDS else None


def attack(make: Case, num_files: int, watch: Watch) -> dict[str, str]:
    """Problems, each with the story of the first example."""
    problems: dict[str, str] = {}

    @settings(
        max_examples=num_files, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def run(data: Any) -> None:
        drawn: list[Any] = []

        def draw(strategy: st.SearchStrategy[Any]) -> Any:
            drawn.append(data.draw(strategy))
            return drawn[-1]

        problem = judge(make(draw), watch)
        if problem is not None:
            story = [value[1] if isinstance(value, tuple) else value for value in drawn]
            problems.setdefault(problem, f"{story!r:.600}")

    run()
    return problems


def main(num_files: int, kinds: list[str]) -> int:
    os.environ["A_SECRET"] = SECRET
    num_problems = 0
    with tempfile.TemporaryDirectory() as name:
        watch = Watch(Path(name))
        for kind in kinds:
            case = KINDS[kind](Path(name))
            problems = attack(case, num_files, watch)
            num_problems += len(problems)
            print(f"{kind}: {num_files} files, {len(problems)} problems", flush=True)
            for problem, example in problems.items():
                print(f"  {problem}\n    {example}", flush=True)
    return min(num_problems, 1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    words = sys.argv[1:]
    sys.exit(main(int(words[0]) if words else 1000, words[1:] or list(KINDS)))

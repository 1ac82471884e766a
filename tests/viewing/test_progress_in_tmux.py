"""Does the bar stay in order in a terminal that changes its size? In tmux, which breaks lines anew as others do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TMUX = shutil.which("tmux")
pytestmark = pytest.mark.skipif(TMUX is None, reason="no terminal to be resized: apt-get install tmux")

WIDTHS = (200, 80, 41, 140, 200)
CHILD = """
import dataclasses, signal, subprocess, sys
from rich.console import Console
from wn_rl.viewing.screens import make_screen
from wn_rl.viewing.status_display import StatusDisplay
from wn_rl.viewing.status import TrainingStatus
status = TrainingStatus(
    iteration=11, num_iterations=40, agent_steps=3_125_000, total_agent_steps=10_000_000, agent_steps_per_second=100.0,
    mean_return=312.3, num_episodes=1234, epsilon=0.01, loss=0.0, phase="training", phase_done=125_000,
    phase_total=250_000,
)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
console = Console()
screen = make_screen(console)
for number in range(40):  # from a full screen tmux scrolls nothing away that could still be erased
    screen.print(f"above {number}")
for number, width in enumerate(map(int, sys.argv[1:])):
    while console.width != width:
        signal.sigwait([signal.SIGWINCH])
    if number == 2:
        screen.print("between")
    else:
        status = dataclasses.replace(status, loss=1000.0 + number)
        screen.show(StatusDisplay(status, 100.0, 600.0), elapsed_seconds=1.0)
    subprocess.run(["tmux", "wait-for", "-S", f"drawn-{number}"], check=True)
screen.close()
print("below")
subprocess.run(["tmux", "wait-for", "-S", "closed"], check=True)
signal.sigwait([signal.SIGTERM, signal.SIGHUP])
"""


class Terminal:
    """A tmux of its own, without anybody's settings."""

    def __init__(self, name: str) -> None:
        self._command = [str(TMUX), "-u", "-L", name, "-f", os.devnull]

    def call(self, *words: str) -> str:
        return subprocess.run([*self._command, *words], check=True, capture_output=True, text=True, timeout=60).stdout

    def read(self) -> list[str]:
        """The lines that are not empty, also above the screen, those that the terminal broke put together."""
        return [line.rstrip() for line in self.call("capture-pane", "-p", "-J", "-S", "-").splitlines() if line.strip()]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(f"wn_rl-{os.getpid()}")
    program = tmp_path / "child.py"
    program.write_text(CHILD)
    folder = Path(__file__).resolve().parents[2]
    surroundings = ["env", "-u", "COLUMNS", "-u", "LINES", f"PYTHONPATH={folder}"]
    command = [*surroundings, sys.executable, str(program), *map(str, WIDTHS)]
    terminal.call("new-session", "-d", "-x", str(WIDTHS[0]), "-y", "30", "-c", str(folder), *command)
    yield terminal
    terminal.call("kill-server")


def test_a_terminal_that_changes_its_size_shows_one_bar_and_nothing_left_over(terminal: Terminal) -> None:
    for number, width in enumerate(WIDTHS):
        terminal.call("resize-window", "-x", str(width), "-y", "30")
        terminal.call("wait-for", f"drawn-{number}")
        lines = terminal.read()
        text = "\n".join(lines)
        assert lines[:40] == [f"above {line}" for line in range(40)]
        assert max(len(line) for line in lines) < width
        assert text.count("agent steps") == text.count("loss") == text.count("iteration 12/40") == 1
        assert ("between" in lines) == (number >= 2)
        assert f"loss {1000 + (number if number != 2 else 1)}" in text
    terminal.call("wait-for", "closed")
    *lines, last = terminal.read()
    assert last == "below"
    assert "\n".join(lines).count("loss 1004") == 1

"""Several processes write into one terminal: are their lines whole, and told apart?"""

import io
import sys

from rich.console import Console

from wn_rl.system.labels import LabeledLines, label_output
from wn_rl.system.terminals import can_be_redrawn


class Terminal(io.StringIO):
    """Counts what it is sent at once."""

    def __init__(self) -> None:
        super().__init__()
        self.num_writes = 0

    def write(self, text: str) -> int:
        self.num_writes += 1
        return super().write(text)

    def isatty(self) -> bool:
        return True


def test_each_line_says_who_wrote_it_and_is_written_at_once() -> None:
    terminal = Terminal()
    with LabeledLines(terminal, "seed=1") as stream:
        print("one", "two", 3, file=stream)
        print("four\nfive", end="", file=stream)
        assert terminal.getvalue() == "[seed=1] one two 3\n[seed=1] four\n"
    assert terminal.getvalue() == "[seed=1] one two 3\n[seed=1] four\n[seed=1] five\n"
    assert terminal.num_writes == 3
    assert not terminal.closed


def test_what_a_process_prints_is_labeled_and_no_bar_is_drawn(monkeypatch) -> None:
    terminal, errors = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", errors)
    assert can_be_redrawn(Console(force_terminal=True))
    with label_output("game=Pong"):
        assert not can_be_redrawn(Console(force_terminal=True))
        print("begins")
        print("warning: slow", file=sys.stderr)
    print("ends")
    assert terminal.getvalue() == "[game=Pong] begins\nends\n"
    assert errors.getvalue() == "[game=Pong] warning: slow\n"

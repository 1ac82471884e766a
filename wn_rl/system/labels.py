"""Lines of several processes in one terminal or log: each says who wrote it, and stays whole."""

import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO


class LabeledLines(io.TextIOBase):
    """A stream that writes whole lines to another one, ``[label] line``; it is no terminal, so that none draws bars.

    ``close`` writes the line that was begun, and leaves the other stream open.
    """

    def __init__(self, stream: io.TextIOBase | TextIO, label: str) -> None:
        super().__init__()
        self._stream, self._label, self._begun = stream, label, ""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Keep what is no whole line yet."""
        *lines, self._begun = (self._begun + text).split("\n")
        if lines:
            self._stream.write("".join(f"[{self._label}] {line}\n" for line in lines))
            self._stream.flush()
        return len(text)

    def fileno(self) -> int:
        """The other stream's."""
        return self._stream.fileno()

    def close(self) -> None:
        """End the line."""
        if not self.closed and self._begun:
            self.write("\n")
        super().close()


@contextmanager
def label_output(label: str) -> Iterator[None]:
    """Label what this process prints, to stdout and to stderr, while the ``with`` lasts."""
    with ExitStack() as stack:
        for redirect, stream in ((redirect_stdout, sys.stdout), (redirect_stderr, sys.stderr)):
            stack.enter_context(redirect(stack.enter_context(LabeledLines(stream, label))))
        yield

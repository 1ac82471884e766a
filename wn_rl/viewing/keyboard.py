"""What one types while a terminal shows pictures: read here, and never written into the picture."""

import os
import select
import sys
from typing import Any

if sys.platform != "win32":
    import termios
    import tty


class Keyboard:
    """The keys of the terminal that this process runs in, without echo, until closed; Ctrl-C stays what it is.

    ``is_open`` is False where there are none to be read: the input is no terminal, or it belongs to another process
    (this one is in the background, where changing the terminal would stop it).
    """

    def __init__(self) -> None:
        self.is_open = False
        self._input, self._settings = -1, list[Any]()
        if sys.platform == "win32":
            return
        try:
            self._input = sys.stdin.fileno()
            if os.tcgetpgrp(self._input) != os.getpgrp():
                return
            self._settings = termios.tcgetattr(self._input)
            tty.setcbreak(self._input)
            self.is_open = True
        except (OSError, ValueError, AttributeError, termios.error):  # closed, a file, or none of this terminal
            return

    def read(self) -> str:
        """The keys since the last call."""
        if sys.platform == "win32" or not self.is_open or not select.select([self._input], [], [], 0)[0]:
            return ""
        return os.read(self._input, 1024).decode(errors="ignore")

    def close(self) -> None:
        """Give the terminal back as it was, without what was typed and not read; a second time does nothing."""
        if sys.platform != "win32" and self.is_open:
            self.is_open = False
            termios.tcsetattr(self._input, termios.TCSAFLUSH, self._settings)

"""Does ``open=true`` reach a browser, and say so in one line where there is none? Programs of ours stand for them."""

import os
import shlex
import signal
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from tests.helpers.run_folders import make_run_folder

LOAD = "import sys, urllib.request as net; sys.stdout.buffer.write(net.urlopen(sys.argv[1], timeout=20).read())"
"""A browser that loads the page whole before it ends, as those in a terminal do."""
WATCH = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which is not there where tests run in the background
runpy.run_module("wn_rl.watch", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run_folder(tmp_path / "a run")


def make_command(run: Path, *settings: str) -> list[str]:
    return [sys.executable, "-c", WATCH, f"run='{run}'", "record=false", "open=true", *settings]


def make_surroundings(**changes: str) -> dict[str, str]:
    """The environment of a machine without a browser, and what is added to it."""
    ours = {"BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "PATH", "TERM"}
    return {key: value for key, value in os.environ.items() if key not in ours} | {"PATH": "/nonexistent"} | changes


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_the_browser_is_given_the_page_and_its_own_troubles_are_not_shown(run: Path, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    browser = write_program(tmp_path / "bin" / "browser", f'echo trouble >&2; echo "$1" > {shlex.quote(str(opened))}\n')
    surroundings = make_surroundings(BROWSER=f"{browser} %s")
    ended = subprocess.run(make_command(run), env=surroundings, capture_output=True, text=True, timeout=100)
    address = urllib.parse.urlparse(opened.read_text().strip())
    assert (address.scheme, urllib.parse.unquote(address.path)) == ("file", str(run / "index.html"))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{run / 'index.html'}\n", "")


@pytest.mark.parametrize("has_desktop", [False, True])
def test_without_a_browser_one_line_says_which_page_to_open(run: Path, tmp_path: Path, has_desktop: bool) -> None:
    surroundings = make_surroundings()
    if has_desktop:  # whose xdg-open looks for a browser, finds none, and says so at length
        text = "/bin/sleep 0.3; echo x-www-browser: not found >&2; echo xdg-open: no method >&2; exit 3\n"
        folder = write_program(tmp_path / "bin" / "xdg-open", text).parent
        surroundings = make_surroundings(DISPLAY=":99", PATH=str(folder))
    ended = subprocess.run(make_command(run), env=surroundings, capture_output=True, text=True, timeout=100)
    assert (ended.returncode, ended.stdout) == (0, f"{run / 'index.html'}\n")
    address = (run / "index.html").as_uri()
    assert ended.stderr == f"no browser could be started on this machine; open {address} yourself\n"


def test_a_browser_that_holds_up_its_starter_gets_the_served_page(run: Path, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    os.mkfifo(opened)
    words = [sys.executable, "-c", LOAD]
    browser = write_program(tmp_path / "bin" / "browser", f'{shlex.join(words)} "$1" > {shlex.quote(str(opened))}\n')
    surroundings = make_surroundings(BROWSER=f"{browser} %s")
    command = make_command(run, "serve=true", "port=0")
    with subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("http://127.0.0.1:")
        try:
            page = opened.read_text()  # once the browser has ended
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0
            assert server.stdout.read() == f"{run / 'index.html'}\n"
        finally:
            server.kill()
    assert "refresh-seconds" in page

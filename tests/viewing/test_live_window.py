"""Does a window really open, show the game, and close by its button and its keys? On a virtual screen, by Xvfb."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from wn_rl.viewing.displays import Display, has_window_system, make_display

pytest.importorskip("pygame", reason="pip install -e '.[window]'")
xlib = pytest.importorskip("Xlib.display", reason="pip install -e '.[window]'")
from Xlib import XK, X
from Xlib.ext import xtest
from Xlib.protocol import event

XVFB = shutil.which("Xvfb")
pytestmark = pytest.mark.skipif(XVFB is None, reason="no virtual screen: apt-get install xvfb")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A connection to a screen of its own, which ``DISPLAY`` names."""
    reader, writer = os.pipe()
    assert XVFB is not None
    command = [XVFB, "-displayfd", str(writer), "-screen", "0", "800x700x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as file:
        number = file.readline().strip()
    assert number, "Xvfb did not start"
    monkeypatch.setenv("DISPLAY", f":{number}")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    connection = xlib.Display(f":{number}")
    yield connection
    connection.close()
    server.terminate()
    server.wait(30)


@pytest.fixture
def display(screen: Any) -> Iterator[Display]:
    assert has_window_system()
    display = make_display("window", title="Pong", console=Console())
    yield display
    display.close()


def find_window(screen: Any, title: str) -> Any:
    """The window of that title, which on a busy machine takes its time to get it."""
    name, began = screen.intern_atom("_NET_WM_NAME"), time.monotonic()
    while time.monotonic() < began + 20:
        for window in screen.screen().root.query_tree().children:
            answer = window.get_full_property(name, X.AnyPropertyType)
            if answer is not None and answer.value.decode() == title:
                return window
    raise AssertionError(f"no window is called {title}")


def read_pixels(screen: Any, window: Any) -> np.ndarray:
    """What stands on the screen where the window is, RGB."""
    place = window.get_geometry()
    image = screen.screen().root.get_image(place.x, place.y, place.width, place.height, X.ZPixmap, 0xFFFFFFFF)
    bgrx = np.frombuffer(image.data, np.uint8).reshape(place.height, place.width, 4)
    return bgrx[:, :, 2::-1]


def is_shown_on(display: Display, picture: np.ndarray) -> bool:
    """Whether a display stays open for the next 50 pictures: events need a moment to arrive."""
    return all(display.show(picture, "Pong  score 1") for _ in range(50))


def test_a_window_shows_the_picture_on_the_screen(screen: Any, display: Display) -> None:
    for seed in (0, 1):
        picture = np.random.default_rng(seed).integers(0, 256, (630, 480, 3), dtype=np.uint8)
        assert is_shown_on(display, picture)
        np.testing.assert_array_equal(read_pixels(screen, find_window(screen, "Pong  score 1")), picture)
    display.close()
    screen.sync()
    assert screen.screen().root.query_tree().children == []


@pytest.mark.parametrize(("name", "ends"), [("q", True), ("Escape", True), ("a", False)])
def test_its_keys_close_it(screen: Any, display: Display, name: str, ends: bool) -> None:
    picture = np.zeros((210, 160, 3), np.uint8)
    assert is_shown_on(display, picture)
    find_window(screen, "Pong  score 1").set_input_focus(X.RevertToParent, X.CurrentTime)
    key = screen.keysym_to_keycode(XK.string_to_keysym(name))
    for kind in (X.KeyPress, X.KeyRelease):
        xtest.fake_input(screen, kind, key)
    screen.sync()
    assert is_shown_on(display, picture) == (not ends)


def test_its_close_button_closes_it(screen: Any, display: Display) -> None:
    picture = np.zeros((210, 160, 3), np.uint8)
    assert is_shown_on(display, picture)
    window = find_window(screen, "Pong  score 1")
    protocols, close = (screen.intern_atom(name) for name in ("WM_PROTOCOLS", "WM_DELETE_WINDOW"))
    assert close in window.get_wm_protocols()
    window.send_event(event.ClientMessage(window=window, client_type=protocols, data=(32, [close, 0, 0, 0, 0])))
    screen.sync()
    assert not is_shown_on(display, picture)

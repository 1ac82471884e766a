"""Which colors, letters and marks the pictures made by this project are drawn with.

The colors are Okabe and Ito's eight ("Color Universal Design", 2008), which people with any kind of color
vision tell apart; wherever a color carries meaning, a shape or a place says the same.
"""

import functools
import re
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Color = tuple[int, int, int]
Point = tuple[float, float]
Picture = UInt8[np.ndarray, "_ _ 3"]  # height and width of each picture by itself

ORANGE: Color = (230, 159, 0)
SKY_BLUE: Color = (86, 180, 233)
BLUISH_GREEN: Color = (0, 158, 115)
YELLOW: Color = (240, 228, 66)
VERMILLION: Color = (213, 94, 0)

BACKGROUND: Color = (22, 24, 30)
GROOVE: Color = (46, 50, 60)
DIM: Color = (160, 165, 175)
BRIGHT: Color = (240, 240, 240)

FONT = cv2.FONT_HERSHEY_SIMPLEX
CAPITAL_HEIGHT = 21.0  # pixels of a capital letter of FONT at scale 1

DIRECTIONS = {"UP": (0, -1), "DOWN": (0, 1), "LEFT": (-1, 0), "RIGHT": (1, 0)}
ACTION_WORDS = re.compile("UP|DOWN|LEFT|RIGHT|FIRE|NOOP")


def split_action_name(name: str) -> str:
    """The emulator's name of an action in words: ``UPRIGHTFIRE`` is ``UP RIGHT FIRE``; NOOP says what it does."""
    if name == "NOOP":
        return "NOOP (wait)"
    words = ACTION_WORDS.findall(name)
    return " ".join(words) if "".join(words) == name else name


@functools.lru_cache(maxsize=4096)
def _measure_text(text: str, font_scale: float, thickness: int) -> int:
    """Width in pixels."""
    return int(cv2.getTextSize(text, FONT, font_scale, thickness)[0][0])


class Canvas:
    """A picture that is drawn on in units of ``scale`` pixels, so that a layout is the same at every scale.

    Points are (x, y) in units from the upper left corner; sizes are in units too.

    Args:
        pixels: what is drawn on, RGB.
        scale: pixels per unit.
    """

    def __init__(self, pixels: Picture, scale: int) -> None:
        self.pixels = pixels
        self.scale = scale

    @property
    def width(self) -> float:
        """In units."""
        return self.pixels.shape[1] / self.scale

    @property
    def height(self) -> float:
        """In units."""
        return self.pixels.shape[0] / self.scale

    def text(
        self,
        text: str,
        baseline: Point,
        *,
        height: float,
        color: Color,
        align: Literal["left", "right"] = "left",
        max_width: float = float("inf"),
    ) -> None:
        """Write with capital letters ``height`` units high from, or with "right" up to, ``baseline``.

        Where that takes more than ``max_width`` units, the letters are made smaller.
        """
        font_scale = height * self.scale / CAPITAL_HEIGHT
        thickness = max(1, round(height * self.scale / 12))
        x, y = self._to_pixels(baseline)
        width = _measure_text(text, font_scale, thickness)
        if width > max_width * self.scale:
            font_scale *= max_width * self.scale / width
            width = _measure_text(text, font_scale, thickness)
        if align == "right":
            x -= width
        cv2.putText(self.pixels, text, (x, y), FONT, font_scale, color, thickness, cv2.LINE_AA)

    def fill(self, corner: Point, *, width: float, height: float, color: Color) -> None:
        """Fill a rectangle from its upper left corner."""
        left, top = self._to_pixels(corner)
        right, bottom = self._to_pixels((corner[0] + width, corner[1] + height))
        # a broadcast assignment of three bytes would be 20 times slower
        cv2.rectangle(self.pixels, (left, top), (right - 1, bottom - 1), color, cv2.FILLED)

    def curve(self, points: Float[np.ndarray, "K 2"], *, width: float, color: Color) -> None:
        """Connect points by lines."""
        pixels = np.rint(points * self.scale).astype(np.int32)
        cv2.polylines(self.pixels, [pixels], False, color, max(1, round(width * self.scale)), cv2.LINE_AA)

    def disk(self, center: Point, *, radius: float, color: Color) -> None:
        """Fill a circle."""
        cv2.circle(self.pixels, self._to_pixels(center), self._px(radius), color, cv2.FILLED, cv2.LINE_AA)

    def triangle(self, center: Point, *, size: float, color: Color, points_up: bool) -> None:
        """Fill a triangle, ``2 size`` wide, as a mark of gain (up) or loss (down)."""
        x, y = center
        tip = -size if points_up else size
        corners = np.array([[x - size, y - tip / 2], [x + size, y - tip / 2], [x, y + tip]])
        cv2.fillPoly(self.pixels, [np.rint(corners * self.scale).astype(np.int32)], color, cv2.LINE_AA)

    def joystick(self, center: Point, *, size: float, action_name: str, color: Color) -> None:
        """An action as a joystick shows it: an arrow for its direction, a ring for FIRE, a dot for NOOP."""
        words = ACTION_WORDS.findall(action_name)
        dx = sum(DIRECTIONS[word][0] for word in words if word in DIRECTIONS)
        dy = sum(DIRECTIONS[word][1] for word in words if word in DIRECTIONS)
        x, y = center
        if dx or dy:
            reach = 0.8 * size / float(np.hypot(dx, dy))
            tail = self._to_pixels((x - dx * reach, y - dy * reach))
            head = self._to_pixels((x + dx * reach, y + dy * reach))
            thickness = max(1, round(0.22 * size * self.scale))
            cv2.arrowedLine(self.pixels, tail, head, color, thickness, cv2.LINE_AA, tipLength=0.5)
        elif "NOOP" in words:
            self.disk(center, radius=0.3 * size, color=color)
        if "FIRE" in words:
            thickness = max(1, round(0.18 * size * self.scale))
            cv2.circle(self.pixels, self._to_pixels(center), self._px(size), color, thickness, cv2.LINE_AA)

    def paste(self, picture: UInt8[np.ndarray, "H W"], corner: Point) -> None:
        """Put a gray picture, as many pixels large as it is, with its upper left corner at ``corner``."""
        self.paste_colored(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), corner)

    def paste_colored(self, picture: Picture, corner: Point) -> None:
        """The same with a picture in color."""
        left, top = self._to_pixels(corner)
        height, width, _ = picture.shape
        self.pixels[top : top + height, left : left + width] = picture

    def _px(self, units: float) -> int:
        return round(units * self.scale)

    def _to_pixels(self, point: Point) -> tuple[int, int]:
        return self._px(point[0]), self._px(point[1])

"""Are the eight colors of curves eight to everybody, on both grounds? Color blindness is simulated."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import wn_rl.viewing.pages

STYLE = Path(wn_rl.viewing.pages.__file__).parent / "templates" / "page.css"
SEEN_BY = {
    "trichromats": np.eye(3),
    "protanopes": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopes": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopes": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Machado, Oliveira & Fernandes 2009, severity 1: linear sRGB to the linear sRGB that looks the same to them."""
MIN_DISTANCE, MIN_CONTRAST = 12.0, 3.0
"""In hundredths of OKLab (2 is just noticeable); WCAG 2.2's for graphics."""


def read_palettes() -> dict[str, tuple[str, list[str]]]:
    """Ground and colors, light and dark."""
    style = STYLE.read_text()
    colors = re.findall(r"--c[0-7]: (#[0-9a-f]{6});", style)
    grounds = re.findall(r"--card: (#[0-9a-f]{6});", style)
    assert len(colors) == 16
    return {"light": (grounds[0], colors[:8]), "dark": (grounds[1], colors[8:])}


def to_linear(color: str) -> np.ndarray:
    values = np.array([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_oklab(linear: np.ndarray) -> np.ndarray:
    """Ottosson 2020."""
    cones = np.cbrt(
        [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
         [0.0883024619, 0.2817188376, 0.6299787005]] @ np.clip(linear, 0, 1)
    )  # fmt: skip
    return [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660]] @ cones  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("seer", SEEN_BY)
def test_no_two_colors_of_curves_look_alike(scheme: str, seer: str) -> None:
    _, colors = read_palettes()[scheme]
    seen = {color: to_oklab(np.array(SEEN_BY[seer]) @ to_linear(color)) for color in colors}
    for one, other in itertools.combinations(colors, 2):
        assert 100 * np.linalg.norm(seen[one] - seen[other]) > MIN_DISTANCE, (one, other)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_color_stands_out_from_its_ground(scheme: str) -> None:
    ground, colors = read_palettes()[scheme]
    luminances = [float(to_linear(color) @ [0.2126, 0.7152, 0.0722]) + 0.05 for color in (ground, *colors)]
    for color, luminance in zip(colors, luminances[1:], strict=True):
        ratio = max(luminance, luminances[0]) / min(luminance, luminances[0])
        assert ratio >= MIN_CONTRAST, color

"""What the agent looks at: the saliency of its choice as a calm picture, and how it is painted on a frame."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from wn_rl.networks.saliency import compute_saliency
from wn_rl.viewing import drawing
from wn_rl.viewing.drawing import Picture

NUM_COPIES = 2  # more copies are calmer and slower; with the blur and the fading below one hardly sees it
NOISE_DEVIATION = 0.05  # of pixels in [0, 1]
BLUR_PIXELS = 1.5  # of the network's 84 x 84: about the size of a ball
NEWEST_SHARE = 0.4  # of the picture; the rest is what was seen before, fading within half a second
DARK_QUANTILE = 0.9  # 9 of 10 pixels do not glow: a gradient is nowhere 0, and what glows all over says nothing
BRIGHT_QUANTILE = 0.995  # 35 of 7056 pixels glow fully
BRIGHT_MEMORY = 0.95  # per agent step: how long a bright moment makes the following ones darker

# The saliency of one observation and action, by what is remembered, if anything: u8 [S, H, W] and so on to f32 [H, W].
SaliencyFunction = Callable[[UInt8[Tensor, "S H W"], int, Float32[Tensor, "M"] | None], Float32[Tensor, "H W"]]


def make_saliency_function(network: nn.Module) -> SaliencyFunction:
    """The saliency of a folded network's Q-values, with the same noise at every call."""
    generator = torch.Generator().manual_seed(0)
    drawn: dict[torch.Size, Tensor] = {}

    def compute(
        observation: UInt8[Tensor, "S H W"], action: int, memory: Float32[Tensor, "M"] | None
    ) -> Float32[Tensor, "H W"]:
        shape = observation.shape
        if shape not in drawn:
            noise = NOISE_DEVIATION * torch.randn(NUM_COPIES, *shape, generator=generator)
            drawn[shape] = noise.to(observation.device)
        return compute_saliency(network, observation, action, noise=drawn[shape], memory=memory)

    return compute


class SaliencyFilter:
    """Turns the saliencies of successive agent steps into pictures in [0, 1] that a person can follow.

    Blurred over space and averaged over time; then the tenth that the choice depends on most is stretched from 0 to 1,
    where 1 is what was bright lately.
    """

    def __init__(self) -> None:
        self._mean: Float32[np.ndarray, "H W"] | None = None
        self._bright = 0.0

    def update(self, saliency: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
        """The picture after one more agent step."""
        blurred = np.asarray(cv2.GaussianBlur(saliency, (0, 0), BLUR_PIXELS), dtype=np.float32)
        share = np.float32(NEWEST_SHARE)
        self._mean = blurred if self._mean is None else (1 - share) * self._mean + share * blurred
        dark, bright = (float(value) for value in np.quantile(self._mean, [DARK_QUANTILE, BRIGHT_QUANTILE]))
        self._bright = max(BRIGHT_MEMORY * self._bright, bright - dark)
        return np.clip((self._mean - dark) / max(self._bright, 1e-12), 0, 1).astype(np.float32)


def paint_saliency(picture: UInt8[np.ndarray, "H W"], saliency: Float32[np.ndarray, "H2 W2"]) -> Picture:
    """A gray picture that glows where ``saliency`` is near 1: orange, then yellow; what is bright stays brighter.

    Both colors are far from gray for people with any kind of color vision, and yellow is the lighter of the two.
    """
    height, width = picture.shape
    heat = cv2.resize(saliency, (width, height), interpolation=cv2.INTER_LINEAR)[:, :, None]
    gray = picture.astype(np.float32)[:, :, None]
    orange, yellow = (np.array(color, np.float32) for color in (drawing.ORANGE, drawing.YELLOW))
    glow = (orange + heat * (yellow - orange)) * (0.6 + 0.4 * gray / 255)
    alpha = 0.9 * np.sqrt(heat)
    return np.rint((1 - alpha) * gray + alpha * glow).astype(np.uint8)

"""DRAW's window: a grid of Gaussian filters that reads a patch of an image, or writes one (Gregor et al. 2015)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

NUM_WINDOW_PARAMETERS = 5
SMALLEST_SUM = 1e-8  # of a filter that lies outside of the image, which would be divided by 0


class Window(NamedTuple):
    """Filters along both axes, ``rows`` [B, N, H] and ``columns`` [B, N, W], and the ``intensity`` [B]."""

    rows: Float[Tensor, "B N H"]
    columns: Float[Tensor, "B N W"]
    intensity: Float[Tensor, "B"]


def make_window(parameters: Float[Tensor, "B 5"], *, size: int, height: int, width: int) -> Window:
    """The N x N filters that five numbers describe: g̃_X, g̃_Y, ln σ², ln δ̃, ln γ.

        g_X = (W + 1)/2 (g̃_X + 1),  g_Y = (H + 1)/2 (g̃_Y + 1),  δ = (max(H, W) − 1)/(N − 1) δ̃      (Eq. 22-24)
        μ_i = g + (i − N/2 − 1/2) δ  for i = 1 ... N                                                 (Eq. 19-20)

    Args:
        parameters: those of each image.
        size: N; of one filter, δ is 0.
        height, width: H and W.
    """
    center_x, center_y, log_variance, log_stride, log_intensity = parameters.unbind(1)
    center_x, center_y = (width + 1) / 2 * (center_x + 1), (height + 1) / 2 * (center_y + 1)
    stride = (max(height, width) - 1) / max(size - 1, 1) * log_stride.exp()
    places = torch.arange(1, size + 1, device=parameters.device) - size / 2 - 0.5
    rows, columns = (
        _make_filters(center[:, None] + places * stride[:, None], log_variance.exp(), length)
        for center, length in ((center_y, height), (center_x, width))
    )
    return Window(rows, columns, log_intensity.exp())


def _make_filters(means: Float[Tensor, "B N"], variance: Float[Tensor, "B"], length: int) -> Float[Tensor, "B N L"]:
    """F[i, a] ∝ exp(−(a − μ_i)² / 2σ²) for the places a = 1 ... L, its sum over a being 1 (Eq. 25-26)."""
    places = torch.arange(1, length + 1, device=means.device)
    filters = (-(places - means[:, :, None]).square() / (2 * variance[:, None, None])).exp()
    return filters / filters.sum(2, keepdim=True).clamp(min=SMALLEST_SUM)


def read_patch(image: Float[Tensor, "B H W"], window: Window) -> Float[Tensor, "B N2"]:
    """γ F_Y x F_Xᵀ, flat (Eq. 27)."""
    patch = window.rows @ image @ window.columns.transpose(1, 2)
    return window.intensity[:, None] * patch.flatten(1)


def write_patch(patch: Float[Tensor, "B N N"], window: Window) -> Float[Tensor, "B H W"]:
    """1/γ F_Yᵀ w F_X (Eq. 29)."""
    written = window.rows.transpose(1, 2) @ patch @ window.columns
    return written / window.intensity[:, None, None]

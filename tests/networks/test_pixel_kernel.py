"""The loop that makes numbers of pixels does what PyTorch does, and is left out where it does not know how."""

import pytest
import torch

from wn_rl.networks import pixel_kernel
from wn_rl.networks.pixel_kernel import can_scale, scale_pixels
from wn_rl.networks.pixels import ScalePixels


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_pixels_are_scaled_as_pytorch_scales_them_in_their_memory_format(memory_format, dtype):
    pixels = torch.arange(3 * 4 * 6 * 7).remainder(256).to(torch.uint8).view(3, 4, 6, 7)
    pixels = pixels.contiguous(memory_format=memory_format)
    assert can_scale(pixels, dtype)
    for mean in (None, torch.arange(6 * 7, dtype=torch.uint8).view(6, 7) * 6):
        scaled = scale_pixels(pixels, mean, 1 / 255, dtype)
        assert torch.equal(scaled, ((pixels.float() - (0 if mean is None else mean)) * (1 / 255)).to(dtype))
        assert scaled.stride() == pixels.stride()
    assert ScalePixels(None)(pixels).equal(scale_pixels(pixels, None, 1 / 255, torch.float32))


@pytest.mark.parametrize("take", [lambda pixels: pixels[:, :, ::2], lambda pixels: pixels[:0]])
def test_pixels_with_gaps_or_without_elements_are_scaled_by_pytorch(take):
    pixels = take(torch.arange(2 * 4 * 6 * 8).remainder(256).to(torch.uint8).view(2, 4, 6, 8))
    assert not can_scale(pixels, torch.float32)
    torch.testing.assert_close(ScalePixels(None)(pixels), pixels.float() / 255)


def test_where_a_network_is_traced_pytorch_scales_the_pixels(monkeypatch):
    pixels = torch.arange(2 * 4 * 6 * 8).remainder(256).to(torch.uint8).view(2, 4, 6, 8)
    monkeypatch.setattr(torch.jit, "is_tracing", lambda: True)  # jaxtyping's checks do not bear tracing itself
    monkeypatch.setattr(pixel_kernel, "scale_pixels", None)  # a trace would take what it returns for a constant
    torch.testing.assert_close(ScalePixels(None)(pixels), pixels.float() / 255)

"""Saliency: the pixels that a Q-value depends on, by its gradient, smoothed."""

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from wn_rl.networks.pixels import ScalePixels


def compute_saliency(
    network: nn.Module, observation: UInt8[Tensor, "S H W"], action: int, *, noise: Float32[Tensor, "K S H W"],
    memory: Float32[Tensor, "M"] | None = None,
) -> Float32[Tensor, "H W"]:  # fmt: skip
    """Σ_s |1/K Σ_k ∂q(x + noise_k, a)/∂x|, with pixels x in [0, 1] (SmoothGrad, Smilkov et al. 2017, arXiv:1706.03825).

    The gradient itself flickers with every ReLU that switches; its mean over copies with a little noise shows what
    the value really depends on. The same noise for every frame of a game keeps the picture calm.

    Args:
        network: folded, in float32, with parameters that need no gradient; a hook is put on it for this one call.
        observation: what the network is shown, on its device.
        action: index of the action whose value is explained.
        noise: what is added to the pixels; K copies.
        memory: what is remembered before the observation; None: nothing.
    """
    past = {} if memory is None else {"memory": memory.expand(len(noise), -1)}
    pixels = noise

    def replace_pixels(module: nn.Module, inputs: tuple[Tensor], scaled: Tensor) -> Tensor:
        nonlocal pixels
        pixels = (scaled + noise).requires_grad_()
        return pixels

    (scale_pixels,) = [module for module in network.modules() if isinstance(module, ScalePixels)]
    handle = scale_pixels.register_forward_hook(replace_pixels)
    try:
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # whose LSTM has no gradient in evaluation
            q_values = network(observation.expand(noise.shape), **past).q_values
            (gradient,) = torch.autograd.grad(q_values[:, action].sum(), pixels)
    finally:
        handle.remove()
    return gradient.mean(0).abs().sum(0)

"""The weight-normalized linear layer."""

import torch
from torch import Tensor, nn

from wn_rl.nn.weight_norm_layer import layer_weight, reparameterize_


class WeightNormLinear(nn.Linear):
    """y = w x + b with w = g v / ‖v‖ (Eq. 2): ``nn.Linear`` with the parameters v [O, I], g [O] and bias [O].

    Takes ``nn.Linear``'s arguments and ``g_mode`` ("free", "fixed" or "exponential"). v ~ N(0, 0.05) and g =
    ‖v‖ at first; ``initialization.initialize_from_data`` gives the paper's g and bias. ``weight`` is w,
    computed from v and g and not assignable.
    """

    v: nn.Parameter
    g_mode: str
    output_axis: int
    groups: int

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        g_mode: str = "free",
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        reparameterize_(self, g_mode=g_mode, output_axis=0, groups=1, generator=generator)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """w = g v / ‖v‖, [O, I]."""
        return layer_weight(self)

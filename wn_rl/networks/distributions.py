"""Kinds of heads, by name: what the outputs of a head say of the return of an action.

Its mean alone (Mnih et al. 2015), quantiles at fixed probabilities (QR-DQN, Dabney et al. 2018), probabilities of fixed
returns (C51, Bellemare et al. 2017), or quantiles at whatever probabilities are asked for (IQN, Dabney et al. 2018b,
"Implicit Quantile Networks", arXiv:1806.06923). Each goes with linear and with dueling outputs (heads.py).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from wn_rl.errors import ConfigurationError
from wn_rl.losses.quantile_regression import compute_midpoints
from wn_rl.system.fields import number, setting, whole
from wn_rl.types import QOutput


@dataclass(frozen=True, kw_only=True)
class HeadSizes:
    """The settings of single kinds of heads; agents and runs that do not say one were made with its ``before``."""

    num_quantiles: int = setting(whole(1, 1024), before=32)  # the loss compares each with each
    num_atoms: int = setting(whole(2, 4096), before=51)
    v_min: float = setting(number(-1e6, 1e6), before=-10.0)
    v_max: float = setting(number(-1e6, 1e6), before=10.0)
    num_taus: int = setting(whole(1, 4096), before=64)
    num_target_taus: int = setting(whole(1, 4096), before=64)
    num_acting_taus: int = setting(whole(1, 4096), before=32)
    num_cosines: int = setting(whole(1, 65_536), before=64)

    def __post_init__(self) -> None:
        if self.v_min >= self.v_max:
            raise ConfigurationError(
                f"network.v_min={self.v_min} is not below network.v_max={self.v_max}; lower it, or raise network.v_max"
            )


class Distribution(nn.Module):
    """What Z outputs of each action say of its return: its mean, which is the Q-value.

    Args:
        sizes: how many there are of what.
        make_embedding: what makes a hidden layer from so many numbers to as many as there are features.

    Attributes:
        num_outputs: Z.
        error_name: what the priority of a transition is that is learned from, as a metric.
    """

    error_name = "absolute_td_error"

    def __init__(self, sizes: HeadSizes, make_embedding: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.num_outputs = 1

    def condition(self, features: Float[Tensor, "B F"], taus: Float32[Tensor, "B K"] | None) -> Float[Tensor, "M F"]:
        """The features that output layers are applied to."""
        return features

    def read(self, outputs: Float32[Tensor, "M A Z"], features: Float[Tensor, "B F"]) -> QOutput:
        """What the outputs on these features, conditioned, say."""
        return QOutput(q_values=outputs.squeeze(2))

    def draw_taus(
        self, batch_size: int, generator: torch.Generator
    ) -> tuple[Float32[Tensor, "B K"], Float32[Tensor, "B Kt"]] | None:
        """The probabilities that learning asks the online and the target network for, on the generator's device."""
        return None


class QuantileDistribution(Distribution):
    """Z quantiles of the return, at the probabilities (z + 1/2) / Z."""

    def __init__(self, sizes: HeadSizes, make_embedding: Callable[[int], nn.Module]) -> None:
        super().__init__(sizes, make_embedding)
        self.num_outputs = sizes.num_quantiles

    def read(self, outputs: Float32[Tensor, "M A Z"], features: Float[Tensor, "B F"]) -> QOutput:
        return QOutput(q_values=outputs.mean(dim=2), quantiles=outputs)


class CategoricalDistribution(Distribution):
    """The logits of the probabilities p_z of Z returns, the atoms v_min to v_max: q = Σ_z p_z atom_z."""

    error_name = "kl_divergence"

    def __init__(self, sizes: HeadSizes, make_embedding: Callable[[int], nn.Module]) -> None:
        super().__init__(sizes, make_embedding)
        self.num_outputs, self._bounds = sizes.num_atoms, (sizes.v_min, sizes.v_max)

    def read(self, outputs: Float32[Tensor, "M A Z"], features: Float[Tensor, "B F"]) -> QOutput:
        # No buffer, which would be converted to the network's precision.
        atoms = torch.linspace(*self._bounds, self.num_outputs, dtype=torch.float32, device=outputs.device)
        return QOutput(q_values=(outputs.softmax(dim=2) * atoms).sum(dim=2), logits=outputs, atoms=atoms)


class ImplicitQuantileDistribution(Distribution):
    """The quantile of any probability τ, from the features times an embedding of τ (Section 3.1, Dabney et al. 2018b),

        features ⊙ φ(τ),    φ_f(τ) = ReLU(Σ_i cos(π i τ) w_if + b_f),    i = 1 .. n                        (Eq. 4)

    (the paper's i = 0 is a second bias; Dopamine begins with 1, too). The layer w passes through the normalizer like
    any hidden one: under weight normalization w_f = g v / ‖v‖ for each feature f, which may grow or be shut by its g.

    Learning draws τ ~ U[0, 1) anew for every transition. What acts, selects the action of a target, or is evaluated,
    asks for the same K = ``num_acting_taus`` probabilities (k + 1/2) / K of every observation, where the paper draws
    them: that is the midpoint rule for q = ∫ F⁻¹(τ) dτ, whose error is a fraction of a sample's, needs no generator, so
    that an agent's score can be had again, and one embedding serves all observations.
    """

    def __init__(self, sizes: HeadSizes, make_embedding: Callable[[int], nn.Module]) -> None:
        super().__init__(sizes, make_embedding)
        self._num_drawn, self._num_acting_taus = (sizes.num_taus, sizes.num_target_taus), sizes.num_acting_taus
        self._num_cosines = sizes.num_cosines
        self.embedding = make_embedding(sizes.num_cosines)

    def condition(self, features: Float[Tensor, "B F"], taus: Float32[Tensor, "B K"] | None) -> Float[Tensor, "BK F"]:
        if taus is None:
            taus = compute_midpoints(self._num_acting_taus, features.device).unsqueeze(0)  # [1, K]
        embedded = self._embed(taus.flatten(), features.dtype).unflatten(0, taus.shape)  # [B or 1, K, F]
        return (features.unsqueeze(1) * embedded).flatten(0, 1)

    def _embed(self, taus: Float32[Tensor, "M"], dtype: torch.dtype) -> Float[Tensor, "M F"]:
        """φ(τ); the cosines in float32, since bfloat16 does not know where in its period an angle of 200 is."""
        frequencies = torch.arange(1, self._num_cosines + 1, dtype=torch.float32, device=taus.device)
        cosines = (math.pi * frequencies * taus.unsqueeze(1)).cos()
        return self.embedding(cosines.to(dtype))

    def read(self, outputs: Float32[Tensor, "M A Z"], features: Float[Tensor, "B F"]) -> QOutput:
        quantiles = outputs.squeeze(2).unflatten(0, (features.shape[0], -1)).transpose(1, 2)  # [B, A, K]
        return QOutput(q_values=quantiles.mean(dim=2), quantiles=quantiles)

    def draw_taus(
        self, batch_size: int, generator: torch.Generator
    ) -> tuple[Float32[Tensor, "B K"], Float32[Tensor, "B Kt"]] | None:
        taus_tm1, taus_t = (torch.rand(batch_size, count, generator=generator) for count in self._num_drawn)
        return taus_tm1, taus_t

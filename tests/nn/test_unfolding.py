"""Plain weights in a normalized network: the same function, which learns on."""

import pytest
import torch
from torch import nn

from wn_rl.errors import ConfigurationError
from wn_rl.nn.folding import make_folded
from wn_rl.nn.noisy_linear import make_noisy
from wn_rl.nn.normalizers import make_normalizer
from wn_rl.nn.unfolding import unfold_


def make_network(normalizer: str, seed: int, *, noisy: bool = False) -> nn.Sequential:
    torch.manual_seed(seed)
    normalize = make_noisy(make_normalizer(normalizer)) if noisy else make_normalizer(normalizer)
    return nn.Sequential(
        normalize(nn.Conv2d(2, 3, 2), is_output=False), nn.ReLU(), nn.Flatten(),
        normalize(nn.Linear(12, 5), is_output=False), normalize(nn.Linear(5, 4), is_output=True),
    )  # fmt: skip


@pytest.mark.parametrize("normalizer", ["none", "weight_norm", "weight_norm_projected_v", "projection"])
@pytest.mark.parametrize("noisy", [False, True])
def test_the_function_stays_and_what_is_folded_is_what_was_unfolded(normalizer: str, noisy: bool) -> None:
    plain = make_folded(make_network("weight_norm", 1))
    network, x = make_network(normalizer, 2, noisy=noisy), torch.randn(6, 2, 3, 3)
    unfold_(plain, network)
    folded = make_folded(network)
    torch.testing.assert_close(folded(x), plain(x), rtol=1e-5, atol=1e-6)
    for name, weights in plain.state_dict().items():
        torch.testing.assert_close(folded.state_dict()[name], weights, rtol=1e-5, atol=1e-6)
    for module in network.modules():
        if hasattr(module, "initial_norms"):
            before = [parameter.clone() for parameter in module.parameters()]
            module.project()  # its norms are those to return to
            torch.testing.assert_close([*module.parameters()], before)


def test_layer_norm_is_taken_over() -> None:
    plain, network, x = (
        make_folded(make_network("layer_norm", 1)),
        make_network("layer_norm", 2),
        torch.randn(6, 2, 3, 3),
    )
    unfold_(plain, network)
    torch.testing.assert_close(network(x), plain(x))


@pytest.mark.parametrize(
    "normalizer", ["batch_norm", "mean_only_batch_norm", "weight_norm_mean_only_batch_norm", "spectral_norm"]
)
def test_what_plain_weights_do_not_tell_is_refused(normalizer: str) -> None:
    with pytest.raises(ConfigurationError, match="take another normalizer"):
        unfold_(make_folded(make_network("none", 1)), make_network(normalizer, 2))

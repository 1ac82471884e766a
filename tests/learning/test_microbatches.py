"""A minibatch that is learned in parts has the loss and the gradient that it has as a whole."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.networks import draw_frames, make_generator, make_network, make_trained
from tests.helpers.toy_runs import make_toy_module, make_trainer
from wn_rl.algorithms.dqn import DQN, Outputs
from wn_rl.errors import ConfigurationError
from wn_rl.learning.gradients import GradientFunction, make_gradient_function
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.networks.q_network import QNetwork
from wn_rl.nn.noisy_linear import resample_noise_
from wn_rl.types import Batch, BatchLoss


def draw_batch(size: int) -> Batch:
    generator = torch.Generator().manual_seed(size)
    return Batch(
        s_tm1=draw_frames(size, seed=2), a_tm1=torch.randint(5, (size,), generator=generator),
        r_t=torch.randn(size, generator=generator), discount_t=torch.rand(size, generator=generator),
        s_t=draw_frames(size, seed=3), weight=torch.rand(size, generator=generator), index=torch.arange(size),
    )  # fmt: skip


class Learner(NamedTuple):
    """What DQN's loss asks for, and the gradient of that loss."""

    settings: Any
    acting: FoldedNetwork
    target: FoldedNetwork

    def apply_networks(self, online: nn.Module, batch: Batch) -> Outputs:
        return DQN.apply_networks(self, online, batch)  # type: ignore[arg-type]

    def make_gradient_function(self, network: QNetwork, num_parts: int) -> GradientFunction:
        def compute_loss(online: nn.Module, batch: Batch) -> BatchLoss:
            return DQN.compute_loss(self, online, batch)  # type: ignore[arg-type]

        return make_gradient_function(network, self.acting, compute_loss, num_microbatches=num_parts, compiled=False)


def make_learner(network: QNetwork, dtype: torch.dtype, *, double: bool = True) -> Learner:
    """The target is not the network, so that the two can be told apart."""
    other = make_trained("none")
    acting, target = FoldedNetwork(network, dtype=dtype), FoldedNetwork(network, dtype=dtype)
    with torch.no_grad():
        for parameter, source in zip(target.parameters(), other.parameters(), strict=False):
            if parameter.shape == source.shape:
                parameter.copy_(source)
    settings = SimpleNamespace(
        double=double, error_function="huber", advantage_learning=0.5, munchausen=False, value_rescaling=False
    )
    return Learner(settings, acting, target)


def learn(
    network: QNetwork, *, num_parts: int, size: int, dtype: torch.dtype = torch.float32, double: bool = True
) -> tuple[BatchLoss, dict[str, Tensor]]:
    """Loss and gradient of the second of two updates by gradient descent."""
    network = copy.deepcopy(network)
    learner = make_learner(network, dtype, double=double)
    compute = learner.make_gradient_function(network, num_parts)
    batch = draw_batch(size)
    taus = network.head.distribution.draw_taus(size, make_generator(7))
    if taus is not None:
        batch = batch._replace(taus_tm1=taus[0], taus_t=taus[1])
    resample_noise_(make_generator(8), network, learner.acting)
    resample_noise_(make_generator(9), learner.target)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        for _ in range(2):
            network.zero_grad()
            if double:
                learner.acting.sync(network)
            result = compute(batch)
            gradients = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}  # type: ignore[union-attr]
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter -= 0.05 * parameter.grad  # type: ignore[operator]
            learner.acting.expire()
    return result, gradients


@pytest.mark.parametrize(
    ("num_parts", "size", "double"), [(2, 16, True), (2, 7, False), (3, 7, True), (3, 4, False), (2, 1, True)]
)
@pytest.mark.parametrize("head", ["linear", "dueling", "quantile", "categorical", "noisy_implicit_quantile"])
@pytest.mark.parametrize("normalizer", ["weight_norm", "none", "layer_norm"])
def test_loss_and_gradient_are_those_of_the_whole(
    normalizer: str, head: str, num_parts: int, size: int, double: bool
) -> None:
    network = make_trained(normalizer, head=head)
    expected, expected_gradients = learn(network, num_parts=1, size=size, double=double)
    found, gradients = learn(network, num_parts=num_parts, size=size, double=double)
    for one, other in zip(found, expected, strict=True):  # an error is as exact as the values that it is between
        assert (one - other).norm() < 1e-5 * (other.norm() + expected.q_tm1.norm())
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in gradients.items():
        assert (gradient - expected_gradients[name]).norm() < 1e-5 * expected_gradients[name].norm() + 1e-7, name


@pytest.mark.parametrize("normalizer", ["weight_norm", "none", "layer_norm"])
def test_in_bfloat16_the_gradient_is_as_near_to_the_exact_one(normalizer: str) -> None:
    network = make_trained(normalizer)
    _, exact = learn(network, num_parts=1, size=16)
    errors = []
    for num_parts in (1, 2):
        _, gradients = learn(network, num_parts=num_parts, size=16, dtype=torch.bfloat16)
        assert all(gradient.dtype == torch.float32 for gradient in gradients.values())
        differences = torch.cat([(gradients[name] - exact[name]).flatten() for name in exact])
        errors.append(differences.norm() / torch.cat([gradient.flatten() for gradient in exact.values()]).norm())
    assert errors[1] < 1.2 * errors[0]


def test_the_copies_learn_nothing_by_themselves() -> None:
    network = make_trained("weight_norm")
    learner = make_learner(network, torch.float32)
    before = copy.deepcopy(learner.acting.state_dict())
    learner.make_gradient_function(network, 2)(draw_batch(4))
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.acting.state_dict().items())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in learner.acting.parameters())


def train(folder: Path, **changes: Any) -> Tensor:
    module = make_toy_module(folder, total_agent_steps=600, double=True, **changes)
    make_trainer(module, folder, []).fit(module)
    return torch.cat([parameter.detach().flatten() for parameter in module.network.parameters()])


def test_a_run_in_parts_is_the_same_every_time_and_learns_as_one_without(tmp_path: Path) -> None:
    first, second = (train(tmp_path / name, minibatch_parts=2) for name in ("1", "2"))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, train(tmp_path / "3"), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("normalizer", ["batch_norm", "weight_norm_mean_only_batch_norm", "projection"])
def test_other_layers_are_refused_in_a_line(normalizer: str) -> None:
    network = make_trained(normalizer)
    learner = make_learner(network, torch.float32)
    with pytest.raises(ConfigurationError, match="say minibatch_parts=1, or normalizer=weight_norm") as refusal:
        learner.make_gradient_function(network, 2)
    assert "\n" not in str(refusal.value)


def test_parts_see_the_mean_frame_that_was_found_after_they_were_made() -> None:
    network = make_network("weight_norm", center_pixels=True)
    learner = make_learner(network, torch.float32)
    whole, parts = (learner.make_gradient_function(network, num_parts) for num_parts in (1, 2))
    network.initialize_from_data(draw_frames(32, seed=5), 1.0, None)
    for folded in (learner.acting, learner.target):
        folded.expire()
        folded.sync(network)
    for expected, found in zip(*(compute(draw_batch(6)) for compute in (whole, parts)), strict=True):
        torch.testing.assert_close(found, expected)
    (copy_of_it, _) = parts._copies  # type: ignore[attr-defined]
    assert copy_of_it.torso.layers[0].mean.equal(network.torso.layers[0].mean)  # type: ignore[union-attr, operator]

"""FusedRAdam beside PyTorch's own RAdam."""

import pytest
import torch
from torch import nn

from wn_rl.learning.optimizers import FusedRAdam


def make_twins(seed: int = 0, **options: object) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """PyTorch's RAdam and ours on equal parameters in float64, in two groups."""
    generator = torch.Generator().manual_seed(seed)
    values = [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in [(7, 5), (7,), (3, 2, 2)]]
    made = []
    for kind in (torch.optim.RAdam, FusedRAdam):
        first, *rest = (nn.Parameter(value.clone()) for value in values)
        made.append(kind([{"params": [first]}, {"params": rest, "weight_decay": 0.0}], **options))
    return made[0], made[1]


def list_parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def step_both(theirs: torch.optim.Optimizer, ours: torch.optim.Optimizer, seed: int, scale: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for a, b in zip(list_parameters(theirs), list_parameters(ours), strict=True):
        a.grad = scale * torch.randn(a.shape, dtype=a.dtype, generator=generator)
        b.grad = a.grad.clone()
    theirs.step()
    ours.step()


def assert_equal(theirs: torch.optim.Optimizer, ours: torch.optim.Optimizer) -> None:
    for a, b in zip(list_parameters(theirs), list_parameters(ours), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e3])
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"betas": (0.5, 0.9), "eps": 1e-3}], ids=str)
def test_every_step_is_that_of_pytorchs_radam(scale: float, options: dict[str, object]) -> None:
    """From the first, which knows no variance, past the sixth, the first that is rectified."""
    theirs, ours = make_twins(lr=1e-2, **options)
    for seed in range(40):
        step_both(theirs, ours, seed, scale)
        assert_equal(theirs, ours)


def test_learning_rate_may_change_between_steps_and_stays_as_it_was_said() -> None:
    theirs, ours = make_twins(lr=1e-2)
    for seed in range(20):
        for group in theirs.param_groups + ours.param_groups:
            group["lr"] = 1e-2 / (1 + seed)
        step_both(theirs, ours, seed)
        assert {(group["lr"], group["eps"]) for group in ours.param_groups} == {(1e-2 / (1 + seed), 1e-8)}
    assert_equal(theirs, ours)


@pytest.mark.parametrize("steps_before", [3, 30])
def test_a_restored_optimizer_goes_on_where_it_was(steps_before: int) -> None:
    theirs, ours = make_twins(lr=1e-2)
    for seed in range(steps_before):
        step_both(theirs, ours, seed)
    _, restored = make_twins(lr=1e-2)
    for parameter, saved in zip(list_parameters(restored), list_parameters(ours), strict=True):
        parameter.data.copy_(saved.data)
    restored.load_state_dict(ours.state_dict())
    for seed in range(100, 110):
        step_both(theirs, restored, seed)
    assert_equal(theirs, restored)

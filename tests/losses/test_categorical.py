"""C51: the projection against numbers worked by hand and a brute force, the loss, and what it converges to."""

from functools import partial

import numpy as np
import pytest
import torch

from wn_rl.losses.bellman_error import compute_error
from wn_rl.losses.categorical import compute_categorical_loss, project
from wn_rl.losses.q_learning import select_action
from wn_rl.types import Batch, QOutput

ATOMS = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])


def draw(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def project_by_brute_force(returns: np.ndarray, probabilities: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """Algorithm 1 of Bellemare et al. 2017 as it is written, in float64."""
    projected = np.zeros((len(returns), len(atoms)))
    last = len(atoms) - 1
    for b, row in enumerate(returns):
        for j, value in enumerate(row):
            place = min(max((float(value) - atoms[0]) / (atoms[-1] - atoms[0]) * last, 0), last)
            lower, upper = int(np.floor(place)), int(np.ceil(place))
            if lower == upper:
                projected[b, lower] += probabilities[b, j]
            else:
                projected[b, lower] += probabilities[b, j] * (upper - place)
                projected[b, upper] += probabilities[b, j] * (place - lower)
    return projected


def test_a_projection_worked_by_hand() -> None:
    """0.25 lies a quarter from 0 to 1; 1 is an atom; -9 and 7 lie beyond the ends."""
    projected = project(torch.tensor([[0.25, 1.0, -9.0, 7.0]]), torch.tensor([[0.4, 0.3, 0.2, 0.1]]), ATOMS)
    torch.testing.assert_close(projected, torch.tensor([[0.2, 0.0, 0.3, 0.4, 0.1]]))


@pytest.mark.parametrize("discount", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("num_atoms", [2, 7])
def test_the_projection_is_that_of_algorithm_1(discount: float, num_atoms: int) -> None:
    atoms = torch.linspace(-1.5, 2.0, num_atoms)
    returns = draw(6, 1) + discount * atoms
    probabilities = draw(6, num_atoms, seed=4).softmax(1)
    projected = project(returns, probabilities, atoms)
    expected = project_by_brute_force(returns.numpy(), probabilities.double().numpy(), atoms.double().numpy())
    np.testing.assert_allclose(projected, expected, atol=1e-5)
    torch.testing.assert_close(projected.sum(1), torch.ones(6))
    torch.testing.assert_close(projected @ atoms, (probabilities * returns.clamp(-1.5, 2.0)).sum(1))  # keeps the mean


def test_the_loss_is_the_cross_entropy_and_the_priority_the_divergence() -> None:
    logits, target = draw(4, 5).requires_grad_(), draw(4, 5, seed=4).softmax(1)
    target[0] = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0])
    loss, priority = compute_categorical_loss(logits, target)
    p, m = logits.detach().double().softmax(1).numpy(), target.double().numpy()
    np.testing.assert_allclose(loss.detach(), -(m * np.log(p)).sum(1), rtol=1e-5)
    divergence = [
        sum(mi * np.log(mi / pi) for mi, pi in zip(*rows, strict=True) if mi > 0) for rows in zip(m, p, strict=True)
    ]
    np.testing.assert_allclose(priority, divergence, rtol=1e-4)
    assert not priority.requires_grad
    assert compute_categorical_loss(target[1:].log(), target[1:]).priority.abs().max() < 1e-6


def make_batch(size: int) -> Batch:
    frames = torch.zeros(size, 1, 1, 1, dtype=torch.uint8)
    return Batch(
        frames, torch.arange(size) % 3, draw(size, seed=5), torch.tensor([0.0, 0.5, 1.0, 0.9, 0.97])[:size], frames,
        torch.ones(size), torch.arange(size),
    )  # fmt: skip


def test_the_target_is_the_projected_return_of_the_selected_action_and_gets_no_gradient() -> None:
    logits_tm1, logits_t = draw(5, 3, 5).requires_grad_(), draw(5, 3, 5, seed=6).requires_grad_()
    batch, a_t = make_batch(5), torch.tensor([2, 1, 0, 2, 1])
    evaluate = partial(select_action, action=a_t)
    outputs = [QOutput(logits.mean(2), logits=logits, atoms=ATOMS) for logits in (logits_tm1, logits_t)]
    loss, _ = compute_error(*outputs, evaluate, batch, error_function="cross_entropy")
    for b in range(5):
        probabilities = logits_t[b, a_t[b]].detach().softmax(0)
        returns = batch.r_t[b] + batch.discount_t[b] * ATOMS
        (m,) = project_by_brute_force(returns[None].numpy(), probabilities[None].numpy(), ATOMS.numpy())
        log_p = logits_tm1[b, batch.a_tm1[b]].detach().log_softmax(0).numpy()
        assert loss[b].item() == pytest.approx(-(m * log_p).sum(), rel=1e-5)
    loss.sum().backward()
    assert logits_t.grad is None
    assert logits_tm1.grad is not None
    is_executed = torch.nn.functional.one_hot(batch.a_tm1, 3).bool()
    assert logits_tm1.grad[~is_executed].eq(0).all()


def test_descent_finds_the_distribution_of_returns_between_atoms() -> None:
    """Half of the returns are -0.5, half are 2: the one lies between two atoms, the other on the last."""
    logits = torch.zeros(1, 5, requires_grad=True)
    target = project(torch.tensor([[-0.5], [2.0]]), torch.ones(2, 1), ATOMS)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        compute_categorical_loss(logits.expand(2, 5), target).loss.mean().backward()
        optimizer.step()
    torch.testing.assert_close(logits.detach().softmax(1), torch.tensor([[0.0, 0.25, 0.25, 0, 0.5]]), atol=0.01, rtol=0)

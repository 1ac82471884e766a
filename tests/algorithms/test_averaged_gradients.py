"""Two learners with a minibatch each make the update that one makes with both minibatches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed

from tests.helpers.learner_runs import run_together
from tests.helpers.toy_runs import OBSERVATION, STACK_SIZE, make_toy_module, make_toy_pqn
from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.algorithms.dqn import DQN
from wn_rl.system.learners import Learners
from wn_rl.types import Batch, RolloutBatch

SIZE = 12


def make_module(folder: Path, algorithm: str) -> Any:
    module: Algorithm = make_toy_module(folder) if algorithm == "dqn" else make_toy_pqn()
    if isinstance(module, DQN):
        module.target.sync(module.network)
    return module


def draw_batch(algorithm: str, seed: int) -> Batch | RolloutBatch:
    generator = torch.Generator().manual_seed(seed)
    s_tm1, s_t = torch.randint(256, (2, SIZE, STACK_SIZE, *OBSERVATION.shape), generator=generator, dtype=torch.uint8)
    a_tm1 = torch.randint(2, (SIZE,), generator=generator)
    r_t, discount_t, weight = torch.rand((3, SIZE), generator=generator)
    if algorithm == "pqn":
        return RolloutBatch(s_tm1, a_tm1, r_t)
    return Batch(s_tm1, a_tm1, r_t, discount_t, s_t, weight, torch.arange(SIZE))


def update(module: Any, batch: Any, max_norm: float | None) -> dict[str, torch.Tensor]:
    """The weights after one update, and the gradient that it was made by."""
    optimizer = torch.optim.SGD(module.network.parameters(), lr=1.0)
    module.optimizers = lambda: optimizer
    module.compute_gradient(batch)
    module.apply_gradient(max_norm)
    gradients = {f"gradient of {name}": p.grad for name, p in module.network.named_parameters()}
    return {**gradients, **module.network.state_dict()}


def update_in_one_of_two(rank: int, folder: Path, algorithm: str, max_norm: float | None) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    module = make_module(folder / f"{rank}", algorithm)
    module.learners = Learners(rank, 2)
    torch.save(update(module, draw_batch(algorithm, seed=rank), max_norm), folder / f"{rank}.pt")
    module.learners.close()


@pytest.mark.parametrize("max_norm", [None, 1e-3])
@pytest.mark.parametrize("algorithm", ["dqn", "pqn"])
def test_two_learners_make_the_update_that_one_makes_with_both_minibatches(
    algorithm: str, max_norm: float | None, tmp_path: Path
) -> None:
    batches = [draw_batch(algorithm, seed) for seed in (0, 1)]
    both = type(batches[0])(*(None if pair[0] is None else torch.cat(pair) for pair in zip(*batches, strict=True)))
    expected = update(make_module(tmp_path / "both", algorithm), both, max_norm)
    run_together(update_in_one_of_two, 2, tmp_path, algorithm, max_norm)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, value in expected.items():
        torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-7)
        assert torch.equal(first[name], second[name])
    gradients = [value for name, value in first.items() if name.startswith("gradient")]
    norm = float(torch.nn.utils.get_total_norm(gradients))
    assert norm == pytest.approx(max_norm, rel=1e-3) if max_norm else norm > 1e-2

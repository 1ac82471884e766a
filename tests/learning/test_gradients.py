"""The loss of a minibatch, compiled and not: the same numbers, also where nothing can be compiled."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.toy_runs import make_toy_module, make_trainer


def learn(folder: Path, *, agent_steps: int = 400, **changes: Any) -> tuple[torch.Tensor, int]:
    """The weights and running statistics after a short run, and its number of updates."""
    module = make_toy_module(folder, total_agent_steps=agent_steps, **changes)
    make_trainer(module, folder, []).fit(module)
    return torch.cat([tensor.detach().flatten() for tensor in module.network.state_dict().values()]), module.num_updates


@pytest.mark.parametrize("double", [False, True])
def test_what_is_compiled_computes_what_is_computed_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, double: bool
) -> None:
    expected, num_updates = learn(tmp_path / "1", double=double, normalizer="batch_norm")
    asked = []
    monkeypatch.setattr(torch, "compile", lambda function, **how: asked.append(how) or function)
    found, _ = learn(tmp_path / "2", double=double, normalizer="batch_norm", compile=True)
    assert num_updates == 49
    assert asked == [{"dynamic": False, "mode": "reduce-overhead"}]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_double_q_learning_compiled_selects_by_the_newest_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    several: dict[str, Any] = {"double": True, "samples_per_agent_step": 32, "agent_steps": 300}  # four updates a round
    expected, _ = learn(tmp_path / "1", **several)
    found, _ = learn(tmp_path / "2", **several, compile=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_without_a_compiler_the_run_goes_on_as_it_would_without_compiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, _ = learn(tmp_path / "1", normalizer="batch_norm")

    def compile_badly(function: Any, **_: Any) -> Any:
        def fail(*inputs: Any) -> Any:
            function(*inputs)  # running statistics move before the failure
            raise RuntimeError("no C++ compiler was found\nSet VERBOSE=1")

        return fail

    monkeypatch.setattr(torch, "compile", compile_badly)
    found, _ = learn(tmp_path / "2", normalizer="batch_norm", compile=True)
    assert torch.equal(found, expected)
    said = "compile=true: PyTorch cannot compile here, so nothing is compiled (no C++ compiler was found)"
    assert said in capsys.readouterr().out.splitlines()


def test_short_memory_is_not_taken_for_a_missing_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_hugely(function: Any, **_: Any) -> Any:
        def fail(*inputs: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

        return fail

    monkeypatch.setattr(torch, "compile", compile_hugely)
    with pytest.raises(torch.OutOfMemoryError):
        learn(tmp_path, compile=True)


COMPILED = """
import sys
from pathlib import Path
import torch
from tests.learning.test_gradients import learn

for normalizer in ("weight_norm", "batch_norm"):
    for double in (False, True):
        expected, _ = learn(Path(sys.argv[1]) / "1", normalizer=normalizer, double=double)
        found, _ = learn(Path(sys.argv[1]) / "2", normalizer=normalizer, double=double, compile=True)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
print("equal")
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_run_learns_the_same(tmp_path: Path) -> None:
    # In a process of its own: dynamo cannot trace the checks of shapes that the tests put around every function.
    done = subprocess.run([sys.executable, "-c", COMPILED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["equal"], done.stdout + done.stderr


UPDATED = """
import sys
from copy import deepcopy
import torch
from types import SimpleNamespace
from wn_rl.algorithms.dqn import DQN
from wn_rl.learning.gradients import make_gradient_function
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.networks.q_network import make_q_network
from wn_rl.types import Batch
from wn_rl.envs.atari import OBSERVATION

device, size, generator = torch.device(sys.argv[1]), 32, torch.Generator().manual_seed(1)
first = make_q_network(
    torso="nature", head="linear", dueling=True, normalizer="weight_norm", num_actions=4, stack_size=4,
    observation=OBSERVATION, hidden_units=64, generator=torch.Generator().manual_seed(0),
).to(device, memory_format=torch.channels_last)
batches = [
    Batch(
        s_tm1=torch.randint(256, (size, 4, 84, 84), generator=generator, dtype=torch.uint8).to(device),
        a_tm1=torch.randint(4, (size,), generator=generator).to(device),
        r_t=torch.rand(size, generator=generator).to(device), discount_t=torch.full((size,), 0.99, device=device),
        s_t=torch.randint(256, (size, 4, 84, 84), generator=generator, dtype=torch.uint8).to(device),
        weight=torch.ones(size, device=device), index=torch.zeros(size, dtype=torch.int64, device=device),
    )
    for _ in range(12)
]

def learn(compiled):
    network, losses = deepcopy(first), []
    acting, target = (FoldedNetwork(network, dtype=torch.float32).to(device) for _ in range(2))
    target.sync(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    settings = SimpleNamespace(
        double=True, error_function="mse", advantage_learning=0.5, munchausen=False, value_rescaling=False
    )
    algorithm = SimpleNamespace(settings=settings, acting=acting, target=target)
    algorithm.apply_networks = lambda online, batch: DQN.apply_networks(algorithm, online, batch)
    def compute_loss(online, batch):
        return DQN.compute_loss(algorithm, online, batch)
    compute = make_gradient_function(network, acting, compute_loss, num_microbatches=1, compiled=compiled)
    for moment, batch in enumerate(batches):
        optimizer.zero_grad()
        acting.sync(network)
        loss = compute(batch).loss.mean()
        optimizer.step()
        acting.expire()
        losses.append(loss.item())
        if moment == 6:
            target.expire(); target.sync(network)  # in place: what is compiled must see it
    return torch.tensor(losses)

torch.testing.assert_close(learn(True), learn(False), rtol=1e-3, atol=1e-4)
print("equal")
"""


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_updates_of_the_nature_network_see_what_changes_in_place(device: str) -> None:
    done = subprocess.run([sys.executable, "-c", UPDATED, device], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["equal"], done.stdout + done.stderr[-2000:]

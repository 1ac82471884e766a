"""Weight-normalized networks under torch.compile and distributed data-parallel training."""

import shutil
import subprocess
import sys

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from wn_rl.nn.conversion import weight_normalize

pytestmark = pytest.mark.slow


def make_network_and_inputs():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 5, 3))
    return weight_normalize(network), torch.randn(3, 2, 6, 7)


def outputs_and_gradients(call, network, x):
    network.zero_grad()
    y = call(x)
    y.square().sum().backward()
    return [y.detach(), *(parameter.grad.clone() for parameter in network.parameters())]


COMPILED = """
import torch
from tests.nn.test_weight_norm_systems import make_network_and_inputs, outputs_and_gradients

network, x = make_network_and_inputs()
expected = outputs_and_gradients(network, network, x)
found = outputs_and_gradients(torch.compile(network, fullgraph=True), network, x)
for one, other in zip(found, expected, strict=True):
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
print("equal")
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_network_has_the_same_outputs_and_gradients():
    # In a process of its own: dynamo cannot trace the checks of shapes that the tests put around every function.
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "equal", done.stderr


TRACED = """
import torch
from torch import nn
from tests.nn.test_weight_norm_systems import outputs_and_gradients
from wn_rl.nn.conversion import weight_normalize

torch.manual_seed(0)
cases = [
    (nn.Linear(600, 512), (4, 600)), (nn.Conv1d(4, 6, 3), (2, 4, 9)), (nn.Conv3d(4, 6, 2), (2, 4, 5, 4, 3)),
    (nn.ConvTranspose1d(4, 6, 3, groups=2), (2, 4, 9)), (nn.ConvTranspose2d(4, 6, 3), (2, 4, 5, 6)),
    (nn.ConvTranspose3d(4, 6, 2), (2, 4, 3, 2, 3)), (nn.LSTM(3, 5, 2), (4, 2, 3)), (nn.GRU(3, 5), (4, 2, 3)),
]
for layer, shape in cases:
    for g_mode in ("free", "exponential"):
        network, x = weight_normalize(layer, g_mode=g_mode), torch.randn(shape)
        recurrent = isinstance(layer, nn.RNNBase)  # which PyTorch itself does not trace as one graph
        torch._dynamo.reset()
        compiled = torch.compile(network, backend="aot_eager", fullgraph=not recurrent)
        first = lambda y: y[0] if recurrent else y
        expected = outputs_and_gradients(lambda x: first(network(x)), network, x)
        found = outputs_and_gradients(lambda x: first(compiled(x)), network, x)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
print("equal")
"""


def test_every_layer_is_traced_with_the_same_outputs_and_gradients():
    done = subprocess.run([sys.executable, "-c", TRACED], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "equal", done.stderr


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_distributed_data_parallel_has_the_same_outputs_and_gradients(tmp_path):
    network, x = make_network_and_inputs()
    expected = outputs_and_gradients(network, network, x)
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        found = outputs_and_gradients(DistributedDataParallel(network), network, x)
    finally:
        distributed.destroy_process_group()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def train_in_one_of_two_processes(rank, folder):
    """Two updates on every second example; leaves the parameters in ``folder``."""
    network, x = make_network_and_inputs()
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    try:
        train(DistributedDataParallel(network), torch.cat([x, -x])[rank::2])
    finally:
        distributed.destroy_process_group()
    torch.save(network.state_dict(), folder / f"{rank}.pt")


def train(network, x):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        network(x).square().mean().backward()
        optimizer.step()


def test_two_processes_with_half_a_minibatch_each_learn_what_one_learns_from_all_of_it(tmp_path):
    network, x = make_network_and_inputs()
    train(network, torch.cat([x, -x]))
    torch.multiprocessing.spawn(train_in_one_of_two_processes, args=(tmp_path,), nprocs=2)
    for rank in range(2):
        for name, found in torch.load(tmp_path / f"{rank}.pt", weights_only=True).items():
            torch.testing.assert_close(found, network.state_dict()[name])

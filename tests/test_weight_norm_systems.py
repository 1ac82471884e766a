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
from tests.test_weight_norm_systems import make_network_and_inputs, outputs_and_gradients

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

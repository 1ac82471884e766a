"""What do weight-normalized layers cost outside the application? Plain, ours, PyTorch's, taking turns in one process.

    python -m scripts.benchmarks.bench_layers               all rows, one thread, float32
    python -m scripts.benchmarks.bench_layers --seconds 60 --threads 2

An update is a forward and a backward pass of a network of library layers, without an optimizer. Contestants take turns
in slices of a few milliseconds, in an order that changes; a ratio is the median over the rounds of one contestant's
slice over the plain network's in the same round, so that a busy machine slows all alike.
"""

import argparse
import copy
import statistics
import time

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from wn_rl.nn.conversion import weight_normalize
from wn_rl.system.cpu import use_processor

SLICE_SECONDS = 0.01
WARM_ROUNDS = 3


def make_mlp(width: int) -> nn.Sequential:
    """Three linear layers."""
    return nn.Sequential(
        nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
    )


def make_nature_network() -> nn.Sequential:
    """The network of Mnih et al. 2015 with 6 actions."""
    return nn.Sequential(
        nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 6),
    )  # fmt: skip


ROWS = {
    "MLP 16 x 3": (lambda: make_mlp(16), (16,)),
    "MLP 1024 x 3": (lambda: make_mlp(1024), (1024,)),
    "Nature DQN": (make_nature_network, (4, 84, 84)),
}


def parametrize_(network: nn.Module) -> nn.Module:
    """Put every layer under PyTorch's weight norm."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            parametrizations.weight_norm(layer)
    return network


def time_updates(network: nn.Module, inputs: Tensor, num_updates: int) -> float:
    """Seconds of so many forward and backward passes."""
    start = time.perf_counter()
    for _ in range(num_updates):
        network.zero_grad()
        network(inputs).square().mean().backward()
    return time.perf_counter() - start


def compare(network: nn.Module, inputs: Tensor, *, seconds: float) -> dict[str, float]:
    """The ratio to the plain network of each contestant, and "round", of which there were so many."""
    contestants = {
        "plain": network,
        "ours": weight_normalize(network),
        "theirs": parametrize_(copy.deepcopy(network)),
    }
    slices: dict[str, list[float]] = {name: [] for name in contestants}
    num_updates = max(1, int(SLICE_SECONDS / min(time_updates(network, inputs, 1) for _ in range(3))))
    names, begin = list(contestants), time.perf_counter()
    while time.perf_counter() - begin < seconds or len(slices["plain"]) < WARM_ROUNDS + 3:
        for name in names:
            slices[name].append(time_updates(contestants[name], inputs, num_updates))
        names.append(names.pop(0))
    rounds = list(zip(*(slices[name][WARM_ROUNDS:] for name in contestants), strict=True))
    ratios = {
        name: statistics.median(times[position] / times[0] for times in rounds)
        for position, name in enumerate(contestants)
    }
    return ratios | {"round": len(rounds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[32, 128])
    parser.add_argument("--seconds", type=float, default=30, help="per row")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    use_processor(options.threads)
    torch.manual_seed(0)
    print("| network | minibatch | ours / plain | PyTorch's / plain | rounds |")
    print("|---|---|---|---|---|")
    for name, (make, shape) in ROWS.items():
        for batch_size in options.batch_sizes:
            found = compare(make(), torch.randn(batch_size, *shape), seconds=options.seconds)
            print(
                f"| {name} | {batch_size} | {found['ours']:.2f} | {found['theirs']:.2f} | {found['round']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

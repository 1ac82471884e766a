"""What does a normalizer cost? Updates of a Nature DQN with each of them, taking turns in one process.

    python -m scripts.benchmarks.bench_normalizers  minibatches of 32 and 128, on this machine's best device
    python -m scripts.benchmarks.bench_normalizers --seconds 5 --device cpu --threads 1

An update is what training does: online forward pass, targets of the folded network, loss, backward pass, Adam, what
the normalizer does after it, and the folded copy that acts. Ratios are to the plain network in the same round, the
median over the rounds. Memory is what a network adds to the process: parameters, buffers, gradients, Adam's averages,
and what the forward pass keeps for the backward pass.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from wn_rl.envs.atari import OBSERVATION
from wn_rl.losses.q_learning import compute_value_loss, select_action
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.networks.q_network import make_q_network
from wn_rl.nn.normalizers import NORMALIZERS, project_weights
from wn_rl.nn.optimizer_groups import make_parameter_groups
from wn_rl.system.cpu import use_processor

NUM_ACTIONS = 6
UPDATES_PER_TURN = 3


class Contestant:
    """A network with one normalizer, its optimizer and its folded copies."""

    def __init__(self, normalizer: str, frames: Tensor, *, dtype: torch.dtype) -> None:
        device = frames.device
        self.network = make_q_network(
            torso="nature", head="linear", normalizer=normalizer, num_actions=NUM_ACTIONS, stack_size=4,
            observation=OBSERVATION, hidden_units=512, generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.initialize_from_data(frames, 0.1, torch.Generator().manual_seed(1))
        self.dtype, self.device = dtype, device
        self.acting, self.target = (FoldedNetwork(self.network, dtype=dtype) for _ in range(2))
        groups = make_parameter_groups(self.network, weight_decay=0.0)
        self.optimizer = torch.optim.Adam(groups, lr=6.25e-5, eps=1.5e-4, fused=True)

    def compute_loss(self, frames: Tensor, actions: Tensor, rewards: Tensor) -> Tensor:
        """The loss of a minibatch whose next states are its states."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            with self.acting.lend_weights(self.network):
                q_tm1 = self.network(frames).q_values.float()
            q_t = self.target(frames)
        target = rewards + 0.99 * q_t.amax(dim=1)
        loss, _ = compute_value_loss(select_action(q_tm1, actions), target, error_function="mse")
        return loss.mean()

    def update(self, *minibatch: Tensor) -> None:
        """One update."""
        self.optimizer.zero_grad()
        self.compute_loss(*minibatch).backward()
        self.optimizer.step()
        project_weights(self.network)
        self.acting.expire()
        self.acting.sync(self.network)

    def compute_memory(self, *minibatch: Tensor) -> int:
        """Bytes of the network's state, gradients and optimizer, and of what the forward pass keeps."""
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            self.compute_loss(*minibatch)
        state = [*self.network.parameters(), *self.network.buffers()]
        own = {tensor.untyped_storage().data_ptr() for tensor in [*state, *minibatch]}
        gradients = [parameter.grad for parameter in self.network.parameters() if parameter.grad is not None]
        averages = [value for entry in self.optimizer.state.values() for value in entry.values()]
        tensors = [*state, *gradients, *averages]
        return sum(t.nbytes for t in tensors) + sum(size for place, size in kept.items() if place not in own)


def time_turn(function: Callable[[], Any], device: torch.device) -> float:
    """Seconds of one update, over a few."""
    start = time.perf_counter()
    for _ in range(UPDATES_PER_TURN):
        function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / UPDATES_PER_TURN


def compare(names: list[str], *, batch_size: int, dtype: torch.dtype, device: torch.device, seconds: float) -> None:
    """Print the table of one minibatch size and precision."""
    generator = torch.Generator().manual_seed(2)
    coarse = torch.rand(batch_size, 4, 12, 12, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=(84, 84), mode="bilinear")
    frames = (smooth * 255).to(torch.uint8).to(device).contiguous(memory_format=torch.channels_last)
    actions = torch.randint(NUM_ACTIONS, (batch_size,), generator=generator).to(device)
    rewards = torch.rand(batch_size, generator=generator).to(device)
    contestants = {name: Contestant(name, frames, dtype=dtype) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(times["none"]) < 4:
        for name, contestant in contestants.items():
            times[name].append(time_turn(partial(contestant.update, frames, actions, rewards), device))
    print(
        f"\n{device.type}, minibatch {batch_size}, {str(dtype).removeprefix('torch.')}, {len(times['none'])} rounds\n"
    )
    print("| normalizer | ms per update: least | median | ratio to plain | memory, MB |")
    print("|---|---|---|---|---|")
    for name, contestant in contestants.items():
        measured = times[name][2:]  # the first rounds allocate
        ratio = statistics.median(ours / plain for ours, plain in zip(measured, times["none"][2:], strict=True))
        memory = contestant.compute_memory(frames, actions, rewards) / 1e6
        print(
            f"| {name} | {min(measured) * 1e3:.2f} | {statistics.median(measured) * 1e3:.2f} | {ratio:.3f}"
            f" | {memory:.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[32, 128])
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16"], choices=["bfloat16", "float32"])
    parser.add_argument("--normalizers", nargs="+", default=["none", *(n for n in NORMALIZERS if n != "none")])
    parser.add_argument("--seconds", type=float, default=30, help="per table")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    use_processor(torch.get_num_threads() if options.threads is None else options.threads)  # as training does
    names = list(dict.fromkeys(["none", *options.normalizers]))
    for dtype in options.dtypes:
        for batch_size in options.batch_sizes:
            compare(
                names, batch_size=batch_size, dtype=getattr(torch, dtype), device=torch.device(options.device),
                seconds=options.seconds,
            )  # fmt: skip


if __name__ == "__main__":
    main()

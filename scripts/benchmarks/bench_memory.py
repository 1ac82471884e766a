"""What does an update of a network with an LSTM cost? Weight-normalized, plain, and beside loops on PyTorch's LSTM.

    python -m scripts.benchmarks.bench_memory                      one thread, float32, into docs/memory.md
    python -m scripts.benchmarks.bench_memory --seconds 20 --no-page

An update is a forward and a backward pass of a minibatch of whole lanes, as preset=pqn_lstm has them (2 lanes of 128
steps, one frame each, in which some episodes begin), without an optimizer. PyTorch's LSTM step after step has its state
multiplied by 0 where an episode begins, as in CleanRL's pqn_atari_envpool_lstm.py; in one call it knows no beginnings,
and is the least that an update can cost. Contestants take turns; a ratio is the median over the rounds of one's time
over that of the step-after-step loop in the same round.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from scripts.benchmarks.bench_training import ROOT, describe_machine
from scripts.publishing.marked_sections import replace_section
from wn_rl.networks.q_network import make_q_network
from wn_rl.system.cpu import use_processor
from wn_rl.types import ObservationSpec

PAGE = ROOT / "docs" / "memory.md"
NUM_LANES, NUM_STEPS, NUM_UNITS, NUM_ACTIONS = 2, 128, 128, 6
BEGIN_SHARE = 1 / 64  # of steps that are an episode's first
WARM_ROUNDS = 2
REFERENCE = "PyTorch's LSTM, step after step"


class PlainNetwork(nn.Module):
    """The same layers without any part of this project."""

    def __init__(self, *, step_by_step: bool) -> None:
        super().__init__()
        self.torso = nn.Sequential(
            nn.Conv2d(1, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(),
            nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(),
        )  # fmt: skip
        self.lstm = nn.LSTM(512, NUM_UNITS)
        self.head = nn.Linear(NUM_UNITS, NUM_ACTIONS)
        self._step_by_step = step_by_step

    def forward(self, frames: Tensor, is_first: Tensor) -> Tensor:
        """Q-values [L T, A] of frames [L T, 1, 84, 84], all of a lane in a row."""
        features = self.torso(frames / 255.0).unflatten(0, is_first.shape).transpose(0, 1)
        if self._step_by_step:
            goes_on = (~is_first).float().T[:, None, :, None]  # [T, 1, L, 1]
            state = (features.new_zeros(1, len(is_first), NUM_UNITS),) * 2
            outputs = []
            for step, keeps in zip(features, goes_on, strict=True):
                output, state = self.lstm(step[None], (keeps * state[0], keeps * state[1]))
                outputs.append(output)
            hidden = torch.cat(outputs)
        else:
            hidden, _ = self.lstm(features)
        return self.head(hidden).transpose(0, 1).flatten(0, 1)


def make_ours(normalizer: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Q-values by this project's network."""
    network = make_q_network(
        torso="nature", head="linear", normalizer=normalizer, num_actions=NUM_ACTIONS,
        stack_size=1, observation=ObservationSpec((84, 84), "uint8"), hidden_units=512, memory="lstm",
        memory_units=NUM_UNITS, generator=None,
    )  # fmt: skip
    return lambda frames, is_first: network(frames, is_first=is_first).q_values


def time_update(network: Callable[[Tensor, Tensor], Tensor], frames: Tensor, is_first: Tensor) -> float:
    """Seconds of a forward and a backward pass."""
    start = time.perf_counter()
    network(frames, is_first).square().mean().backward()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-page", action="store_true", help="print only")
    options = parser.parse_args()
    use_processor(options.threads)
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(256, (NUM_LANES * NUM_STEPS, 1, 84, 84), dtype=torch.uint8, generator=generator)
    is_first = torch.rand(NUM_LANES, NUM_STEPS, generator=generator) < BEGIN_SHARE
    contestants: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "wn_rl, weight_norm": make_ours("weight_norm"),
        "wn_rl, plain": make_ours("none"),
        REFERENCE: PlainNetwork(step_by_step=True),
        "PyTorch's LSTM, one call without beginnings": PlainNetwork(step_by_step=False),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    names, begin = list(contestants), time.perf_counter()
    while time.perf_counter() - begin < options.seconds or len(times[REFERENCE]) < WARM_ROUNDS + 3:
        for name in names:
            times[name].append(time_update(contestants[name], frames, is_first))
        names.append(names.pop(0))
    kept = {name: values[WARM_ROUNDS:] for name, values in times.items()}
    lines = [
        f"{describe_machine('bench_memory')} Threads: {options.threads}. Median of {len(kept[REFERENCE])} rounds.", "",
        f"| network | ms an update | ratio to {REFERENCE} |", "|---|---|---|",
    ]  # fmt: skip
    for name, values in kept.items():
        ratio = statistics.median(ours / theirs for ours, theirs in zip(values, kept[REFERENCE], strict=True))
        lines.append(f"| {name} | {1000 * statistics.median(values):.1f} | {ratio:.2f} |")
    text = "\n".join(lines)
    print(text)
    if not options.no_page:
        replace_section(PAGE, "bench_memory", text)


if __name__ == "__main__":
    main()

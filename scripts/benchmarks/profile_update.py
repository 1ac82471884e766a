"""Where does the time of an update go? Its pieces as parts of updates and alone, and what a network costs by size.

    python -m scripts.benchmarks.profile_update  minibatches of 32 and 128 in bfloat16, into docs/performance.md
    python -m scripts.benchmarks.profile_update --precision float32 --no-page

A piece that is called alone again and again finds in the cache what an update has driven out of it, so that the two
differ by what memory takes. All times are medians, on the CPU, in milliseconds. Run it with nothing else running.
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from scripts.benchmarks.training_loops import Stopwatch, Work, start_wn_rl, time_update
from scripts.publishing.marked_sections import replace_section

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
BATCH_SIZES = (32, 128)
NETWORK_SIZES = (1, 16, 64, 256)
PIECES = ("loss and gradient", "optimizer", "folding", "sampling", "rest of an update")
NUM_UPDATES = 200
REPETITIONS = 60
MFLOP_FORWARD, MFLOP_GRADIENT = 18.7, 30.8  # of a sample in the network of Mnih et al. 2015; none for the frames


def time_alone(function: Callable[[], Any]) -> float:
    """Milliseconds of one call, the median of many."""
    measured = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        function()
        measured.append(time.perf_counter() - start)
    return statistics.median(measured) * 1e3


class Profiler(Callback):
    """Looks at updates at the end of the first chunk in which there were any, and stops the training."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.stopwatch = stopwatch
        self.inside: dict[str, float] = {}
        self.alone: dict[str, float] = {}
        self.network: dict[int, tuple[float, float]] = {}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if pl_module.num_updates > 0 and not self.inside:
            with trainer.precision_plugin.forward_context():
                self._time_updates(pl_module)
                self._time_pieces(pl_module)
                self._time_network(pl_module)
            trainer.should_stop = True

    def _time_updates(self, module: Any) -> None:
        updates: list[dict[str, float]] = []
        for _ in range(NUM_UPDATES):
            self.stopwatch.seconds.clear()
            module._update()
            updates.append(dict(self.stopwatch.seconds))
        self.inside = {piece: statistics.median(one[piece] for one in updates) * 1e3 for piece in PIECES}
        self.inside["the whole update"] = statistics.median(sum(one.values()) for one in updates) * 1e3

    def _time_pieces(self, module: Any) -> None:
        def fold() -> None:
            module.acting.expire()
            module.acting.sync(module.network)

        batch = module.replay.sample(module.settings.batch_size, module.generator)
        self.alone = {
            "folding": time_alone(fold),
            "sampling": time_alone(lambda: module.replay.sample(module.settings.batch_size, module.generator)),
            "optimizer": time_alone(module.optimizers().step),
        }
        fold()
        self.alone["loss and gradient"] = time_alone(lambda: module.compute_gradient(batch))

    def _time_network(self, module: Any) -> None:
        """A forward pass of plain weights, and its gradient, by one thread."""
        network = copy.deepcopy(module.target.network).requires_grad_(True)
        parameters = list(network.parameters())
        with torch.autocast("cpu", enabled=False):  # the network has its precision
            for size in NETWORK_SIZES:
                frames = module.replay.sample(size, module.generator).s_t
                total = network(frames).q_values.sum()
                with torch.no_grad():
                    forward = time_alone(lambda frames=frames: network(frames))  # type: ignore[misc]
                gradient = time_alone(
                    lambda total=total: torch.autograd.grad(total, parameters, retain_graph=True)  # type: ignore[misc]
                )
                self.network[size] = (forward, gradient)


def profile(batch_size: int, precision: str) -> Profiler:
    """The profile of updates of this size, in a run of its own."""
    work = Work(
        game="Breakout", precision=precision, batch_size=batch_size, samples_per_agent_step=8, replay_capacity=20_000,
        warmup=4000, settling=1000, timed=5000, seed=0,
    )  # fmt: skip
    profiler = Profiler(Stopwatch(work))
    with tempfile.TemporaryDirectory() as folder:
        run = start_wn_rl(work, folder)
        run.trainer.callbacks.append(profiler)
        time_update(run.algorithm, profiler.stopwatch)
        run.train()
    return profiler


def make_tables(profiles: dict[int, Profiler]) -> str:
    """Both tables as Markdown."""
    columns = [f"{kind}, {size}" for size in profiles for kind in ("in an update", "alone")]
    lines = ["| piece, ms | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for piece in (*PIECES, "the whole update"):
        cells = [table.get(piece) for one in profiles.values() for table in (one.inside, one.alone)]
        lines.append(f"| {piece} | " + " | ".join("" if cell is None else f"{cell:.2f}" for cell in cells) + " |")
    network = next(iter(profiles.values())).network
    lines += [
        "", "| samples, by one thread | forward, ms | gradient, ms | GFLOP/s forward | GFLOP/s gradient |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for size, (forward, gradient) in network.items():
        speeds = (size * MFLOP_FORWARD / forward, size * MFLOP_GRADIENT / gradient)
        lines.append(f"| {size} | {forward:.2f} | {gradient:.2f} | {speeds[0]:.0f} | {speeds[1]:.0f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", default="bf16", choices=["float32", "bf16"])
    parser.add_argument("--no-page", action="store_true", help="print only")
    options = parser.parse_args()
    text = make_tables({size: profile(size, options.precision) for size in BATCH_SIZES})
    print(text)
    if not options.no_page:
        replace_section(PAGE, "profile_update", text)


if __name__ == "__main__":
    main()

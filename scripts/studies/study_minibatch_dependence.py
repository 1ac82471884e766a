"""Do the examples of a minibatch depend on each other? One of them is changed; what becomes of the others is measured.

    python -m scripts.studies.study_minibatch_dependence
    python -m scripts.studies.study_minibatch_dependence --game Pong --batch-sizes 2 8 32 --repetitions 5

For every normalizer of the project a Q-network in training mode sees a minibatch of real frames, and then the same with
another frame stack in the place of the first. Nothing else differs: both times the network starts from the same
state. Two numbers are 0 exactly if the examples are independent:

- how much the Q-values of the others change: root mean square, over the deviation of the Q-values;
- how much the gradient of the others' loss changes: its norm over that of the gradient.
"""

import argparse
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from scripts.studies.study_results import (
    COLORS,
    FIGURES,
    compute_interval,
    make_figure,
    read_rows,
    save_figure,
    write_rows,
)
from wn_rl.envs.atari import OBSERVATION, AtariEnvironments
from wn_rl.envs.protocols import Protocol
from wn_rl.networks.q_network import make_q_network
from wn_rl.nn.normalizers import NORMALIZERS

TABLE = FIGURES / "minibatch_dependence.csv"
STACK_SIZE = 4
NUM_ENVS = 8
AGENT_STEPS_BETWEEN = 12  # from one stack of frames to the next of the same game
PROTOCOL = Protocol(
    name="machado", repeat_action_probability=0.25, noop_max=0, use_fire_reset=False, life_loss_ends_discount=False,
    full_action_space=False, max_episode_frames=108_000, frame_skip=4,
)  # fmt: skip


class Dependence(NamedTuple):
    """How much of the others' outputs, and of the gradient of their loss, depends on the example that was changed."""

    outputs: float
    gradients: float


def measure(compute: Callable[[nn.Module, Tensor], Tensor], network: nn.Module, x: Tensor, other: Tensor) -> Dependence:
    """Change example 0 of ``x`` [B, ...] into ``other``; ``compute(network, x)`` are outputs [B, A]."""
    changed = x.clone()
    changed[0] = other
    (outputs, gradient), (new_outputs, new_gradient) = (_look(compute, network, batch) for batch in (x, changed))
    return Dependence(
        outputs=float((new_outputs - outputs)[1:].square().mean().sqrt() / outputs.std()),
        gradients=float((new_gradient - gradient).norm() / gradient.norm()),
    )


def _look(compute: Callable[[nn.Module, Tensor], Tensor], network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs, and the gradient of the others' mean squared output, of a copy in training mode."""
    network = copy.deepcopy(network).train()  # running statistics and power iterations start alike
    outputs = compute(network, x)
    outputs[1:].square().mean().backward()
    gradients = [parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None]
    return outputs.detach(), torch.cat(gradients)


def play(game: str, num_stacks: int, seed: int) -> UInt8[Tensor, "K S 84 84"]:
    """Frame stacks of random play, shuffled."""
    environments = AtariEnvironments(game=game, protocol=PROTOCOL, num_envs=NUM_ENVS, num_threads=1)
    generator = np.random.default_rng(seed)
    newest = [environments.reset(seeds=np.arange(NUM_ENVS) + seed)]
    stacks: list[UInt8[np.ndarray, "S 84 84"]] = []
    while len(stacks) < num_stacks:
        for _ in range(AGENT_STEPS_BETWEEN):
            environments.send(generator.integers(environments.num_actions, size=NUM_ENVS))
            step = environments.receive()
            newest = [*newest, step.frame][-STACK_SIZE:]
            if step.ended.any():
                environments.reset(mask=step.ended)
        stacks += list(np.stack(newest, axis=1))
    environments.close()
    return torch.from_numpy(np.stack(stacks)[generator.permutation(len(stacks))[:num_stacks]])


def make_network(normalizer: str, frames: Tensor) -> nn.Module:
    """The network of Mnih et al. 2013, initialized from the frames: the same function for every normalizer."""
    network = make_q_network(
        torso="small", head="linear", normalizer=normalizer, num_actions=6, stack_size=STACK_SIZE,
        observation=OBSERVATION, hidden_units=64, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    network.initialize_from_data(frames, 1.0, torch.Generator().manual_seed(1))
    return network


def measure_all(frames: Tensor, batch_sizes: list[int], repetitions: int) -> list[dict[str, Any]]:
    """A row per normalizer, size of the minibatch and repetition, each with frames of its own."""
    rows, generator = [], torch.Generator().manual_seed(2)
    draws = {
        (size, repetition): torch.randperm(len(frames), generator=generator)[: size + 1]
        for size in batch_sizes for repetition in range(repetitions)
    }  # fmt: skip
    for normalizer in NORMALIZERS:
        network = make_network(normalizer, frames)
        for (batch_size, repetition), drawn in draws.items():
            x, other = frames[drawn[:-1]], frames[drawn[-1]]
            found = measure(lambda network, x: network(x).q_values, network, x, other)
            rows.append(
                {"normalizer": normalizer, "batch_size": batch_size, "repetition": repetition, **found._asdict()}
            )
        print(rows[-1], flush=True)
    return rows


def draw(table: Path, figure_path: Path) -> None:
    """Dependence over the size of the minibatch; what is 0 exactly is named instead."""
    rows = read_rows(table)
    figure, axes = make_figure(2)
    titles = {"outputs": "change of the others' Q-values", "gradients": "change of the gradient of the others' loss"}
    for axis, (quantity, title) in zip(axes[0], titles.items(), strict=True):
        independent = []
        for normalizer in NORMALIZERS:
            own = [row for row in rows if row["normalizer"] == normalizer]
            if not any(float(row[quantity]) for row in own):
                independent.append(normalizer)
                continue
            sizes = sorted({int(row["batch_size"]) for row in own})
            intervals = [
                compute_interval([float(r[quantity]) for r in own if int(r["batch_size"]) == size], seed=0)
                for size in sizes
            ]
            color = COLORS[normalizer]
            axis.plot(sizes, [one.mean for one in intervals], ".-", color=color, label=normalizer)
            axis.fill_between(
                sizes, [one.low for one in intervals], [one.high for one in intervals], color=color, alpha=0.2, lw=0
            )
        axis.set(xscale="log", yscale="log", xlabel="examples in the minibatch", ylabel="relative change", title=title)
        exact = "exactly 0:\n" + "\n".join(independent)
        axis.text(0.02, 0.02, exact, transform=axis.transAxes, fontsize=7, va="bottom")
    axes[0][0].legend(frameon=False, fontsize=7, loc="upper right")
    save_figure(figure, figure_path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--game", default="Breakout")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[2, 8, 32, 128])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--figure-only", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if min(options.batch_sizes) < 2:
        parser.error("--batch-sizes must be at least 2: one example is changed, the others are looked at")
    if not options.figure_only:
        frames = play(options.game, 4 * max(options.batch_sizes), seed=0)
        write_rows(options.table, measure_all(frames, options.batch_sizes, options.repetitions))
    draw(options.table, options.table.with_suffix(".svg"))


if __name__ == "__main__":
    main()

"""Does weight normalization make the gradients' covariance more like the identity? Section 2.1, Salimans & Kingma 2016.

    python -m scripts.studies.study_gradient_covariance

If C is the covariance of ∇w L over the examples, that of ∇v L is D = (g/‖v‖)² M C M with M = I − w wᵀ/‖w‖² (Eq. 4):
the direction of w is taken out. The paper: "Empirically, we find that w is often (close to) a dominant eigenvector of
the covariance matrix C", so that D is closer to the identity. Whatever direction is taken out, no eigenvalue that is
left exceeds the largest, or falls below the smallest (Cauchy's interlacing theorem). So w is compared with a random
direction, and with the best one, the dominant eigenvector.

The problem: from a state of CartPole as four bytes, far from mean 0 and of unequal scales, predict
the discounted return of random play. Two networks of two hidden layers, plain and weight-normalized, are trained from
the same data-dependent initialization. Covariances are those of the gradients with respect to the weight vector of
one unit, of the squared error of one example.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from scripts.studies.study_results import COLORS, FIGURES, make_figure, read_rows, save_figure, write_rows
from wn_rl.envs.gymnasium_environments import GymnasiumEnvironments
from wn_rl.envs.protocols import GymnasiumProtocol
from wn_rl.nn.conversion import weight_normalize
from wn_rl.nn.initialization import initialize_from_data

TABLE = FIGURES / "gradient_covariance.csv"
RULES = GymnasiumProtocol(name="gymnasium", max_episode_agent_steps=500, kwargs={})
LIMITS = np.array([2.4, 3.0, 0.21, 3.0])  # of position, velocity, angle, angular velocity
GAMMA = 0.9
NUM_UNITS = 32
BATCH_SIZE = 64
LOOKS = (0, 10, 30, 100, 300, 1000, 3000)
"""After how many updates the covariances are looked at."""

REMOVED = {"nothing": "#444444", "random": "#e69f00", "w": "#0072b2", "dominant": "#009e73"}
"""Which direction is taken out of C, and its color: nothing (C itself), a random one, w, the dominant eigenvector."""

NUM_RANDOM_DIRECTIONS = 8
SMALLEST_EIGENVALUE = 1e-10  # of the largest: below it is rounding


def compute_covariances(x: Float[Tensor, "B I"], deltas: Float[Tensor, "B O"]) -> Float[Tensor, "O I I"]:
    """Covariance over the examples of ∇w L = δ x for each output unit, where δ is ∂L/∂t of t = w · x + b."""
    gradients = deltas.double().t().unsqueeze(2) * x.double()  # [O, B, I]
    centered = gradients - gradients.mean(1, keepdim=True)
    return centered.transpose(1, 2) @ centered / len(x)


def remove_direction(covariance: Float[Tensor, "I I"], direction: Float[Tensor, "I"]) -> Float[Tensor, "J J"]:
    """M C M without its zero eigenvalue, J = I − 1: C in an orthonormal basis of what is orthogonal to it."""
    basis = torch.linalg.qr(direction.double().unsqueeze(1), mode="complete").Q[:, 1:]
    return basis.t() @ covariance @ basis


def compute_spectrum(covariance: Float[Tensor, "I I"]) -> Float[Tensor, "I"]:
    """Eigenvalues over their mean, the largest first: all 1 for a multiple of the identity."""
    eigenvalues = torch.linalg.eigvalsh(covariance).flip(0).clamp(min=0)
    return eigenvalues / eigenvalues.mean()


def compute_condition_number(spectrum: Float[Tensor, "I"]) -> float:
    """The largest eigenvalue over the smallest of those that are not 0: a feature that is dead has no gradient."""
    return float(spectrum[0] / spectrum[spectrum > SMALLEST_EIGENVALUE * spectrum[0]][-1])


def compute_share(covariance: Float[Tensor, "I I"], direction: Float[Tensor, "I"]) -> float:
    """Variance of the gradient along ``direction`` over its mean in all directions: 1 is what a random one has."""
    direction = direction.double()
    along = direction @ covariance @ direction / direction.square().sum()
    return float(along / covariance.diagonal().mean())


def describe_unit(
    covariance: Float[Tensor, "I I"], w: Float[Tensor, "I"], generator: torch.Generator
) -> Iterator[tuple[str, str, float]]:
    """(what was removed, quantity, value): condition number, eigenvalues over their mean, variance along w."""
    dominant = torch.linalg.eigh(covariance).eigenvectors[:, -1]
    random = torch.randn(NUM_RANDOM_DIRECTIONS, len(w), generator=generator)
    rest = {
        "nothing": [covariance],
        "random": [remove_direction(covariance, direction) for direction in random],
        "w": [remove_direction(covariance, w)],
        "dominant": [remove_direction(covariance, dominant)],
    }
    for removed, matrices in rest.items():
        spectrum = torch.stack([compute_spectrum(matrix) for matrix in matrices]).mean(0)
        yield removed, "condition_number", compute_condition_number(spectrum)
        for place, eigenvalue in enumerate(spectrum.tolist()):
            yield removed, f"eigenvalue_{place}", eigenvalue
    yield "w", "share", compute_share(covariance, w)
    yield "dominant", "share", compute_share(covariance, dominant)


def look_at_gradients(network: nn.Sequential, x: Tensor, y: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Covariances [O, I, I] and w [O, I] of the hidden layers, from the squared error of every example."""
    seen: dict[str, list[Tensor]] = {}

    def keep(name: str, inputs: Tensor, output: Tensor) -> None:
        output.retain_grad()
        seen[name] = [inputs.detach(), output]

    layers = {f"hidden layer {number}": network[index] for number, index in ((1, 0), (2, 2))}
    handles = [
        layer.register_forward_hook(lambda _, inputs, output, name=name: keep(name, inputs[0], output))
        for name, layer in layers.items()
    ]
    (0.5 * (network(x).squeeze(1) - y).square()).sum().backward()
    for handle in handles:
        handle.remove()
    network.zero_grad()
    looks = {}
    for name, (inputs, output) in seen.items():
        assert output.grad is not None
        weight: Any = layers[name].weight
        looks[name] = compute_covariances(inputs, output.grad), weight.detach()
    return looks


def summarize_look(network: nn.Sequential, x: Tensor, y: Tensor, update: int) -> Iterator[dict[str, Any]]:
    """Rows with quartiles over the units of each layer; units without any gradient are left out."""
    generator = torch.Generator().manual_seed(update)
    for layer, (covariances, weights) in look_at_gradients(network, x, y).items():
        found: dict[tuple[str, str], list[float]] = {}
        for covariance, w in zip(covariances, weights, strict=True):
            if covariance.diagonal().sum() > 0:
                for removed, quantity, value in describe_unit(covariance, w, generator):
                    found.setdefault((removed, quantity), []).append(value)
        for (removed, quantity), values in found.items():
            low, median, high = np.percentile(values, [25, 50, 75])
            yield {
                "update": update, "layer": layer, "removed": removed, "quantity": quantity,
                "low": f"{low:.3g}", "median": f"{median:.3g}", "high": f"{high:.3g}", "units": len(values),
            }  # fmt: skip


def encode(observations: Float32[np.ndarray, "N 4"]) -> UInt8[np.ndarray, "N 4"]:
    """Every number as one byte: 0 at minus its limit, 255 at its limit, and no further."""
    shares = (np.clip(observations / LIMITS, -1, 1) + 1) / 2
    return np.round(255 * shares).astype(np.uint8)


def play(num_states: int, seed: int) -> tuple[Float[Tensor, "B 4"], Float[Tensor, "B"]]:
    """States of random play on CartPole, as bytes over 255, and the discounted returns from them, standardized."""
    environments = GymnasiumEnvironments(game="CartPole-v1", protocol=RULES, num_envs=1)
    generator = np.random.default_rng(seed)
    frames, returns = [], []
    frame = environments.reset(seeds=np.array([seed]))
    while len(frames) < num_states:
        episode = []
        while True:
            episode.append(encode(frame)[0] / 255)
            environments.send(generator.integers(2, size=1))
            step = environments.receive()
            frame = step.frame
            if step.ended[0]:
                break
        frame = environments.reset(mask=np.array([True]))
        frames += episode
        returns += [(1 - GAMMA ** (len(episode) - time)) / (1 - GAMMA) for time in range(len(episode))]
    y = torch.tensor(returns[:num_states], dtype=torch.float32)
    return torch.tensor(np.array(frames[:num_states]), dtype=torch.float32), (y - y.mean()) / y.std()


def train(
    normalizer: str, x: Tensor, y: Tensor, *, looks: tuple[int, ...], learning_rate: float
) -> list[dict[str, Any]]:
    """Train one network with Adam, and look at the gradients of all examples on the way."""
    network = nn.Sequential(
        nn.Linear(4, NUM_UNITS), nn.ReLU(), nn.Linear(NUM_UNITS, NUM_UNITS), nn.ReLU(), nn.Linear(NUM_UNITS, 1)
    )
    network = {"none": network, "weight_norm": weight_normalize(network)}[normalizer]  # type: ignore[assignment]
    initialize_from_data(network, x, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    generator = torch.Generator().manual_seed(2)
    rows: list[dict[str, Any]] = []
    for update in range(max(looks) + 1):
        if update in looks:
            loss = (network(x).squeeze(1) - y).square().mean().item()
            rows += [
                {"normalizer": normalizer, "loss": f"{loss:.6g}", **row}
                for row in summarize_look(network, x, y, update)
                if update == max(looks) or not row["quantity"].startswith("eigenvalue")
            ]
            print(f"{normalizer}: {update} updates, mean squared error {loss:.3f}", flush=True)
        chosen = torch.randint(len(x), (BATCH_SIZE,), generator=generator)
        optimizer.zero_grad()
        (network(x[chosen]).squeeze(1) - y[chosen]).square().mean().backward()
        optimizer.step()
    return rows


def draw(table: Path, figure_path: Path) -> None:
    """A row per layer: spectra at the end, condition numbers and the variance along w while learning."""
    rows = read_rows(table)
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    figure, axes = make_figure(3, len(layers))
    for line, layer in enumerate(layers):
        own = [row for row in rows if row["layer"] == layer]
        learned = [row for row in own if row["normalizer"] == "weight_norm"]
        last = max(int(row["update"]) for row in rows)
        for removed, color in REMOVED.items():
            selected = [row for row in learned if row["removed"] == removed]
            label = "C" if removed == "nothing" else f"without {removed}"
            spectrum = [r for r in selected if int(r["update"]) == last and r["quantity"].startswith("eigenvalue")]
            axes[line][0].plot([float(row["median"]) for row in spectrum], ".-", color=color, label=label)
            _draw_course(axes[line][1], selected, "condition_number", color, label)
        for normalizer in ("none", "weight_norm"):
            selected = [row for row in own if row["normalizer"] == normalizer and row["removed"] == "w"]
            _draw_course(axes[line][2], selected, "share", COLORS[normalizer], f"along w, {normalizer}")
        dominant = [row for row in learned if row["removed"] == "dominant"]
        _draw_course(axes[line][2], dominant, "share", REMOVED["dominant"], "along the dominant eigenvector")
        axes[line][2].axhline(1, color="#999999", ls=":", label="a random direction")
        axes[line][0].set_ylim(bottom=SMALLEST_EIGENVALUE)
        axes[line][0].set(yscale="log", xlabel="place", ylabel="eigenvalue / mean", title=f"{layer}, {last:,} updates")
        axes[line][1].set(yscale="log", xlabel="update", ylabel="condition number", title="of the covariance")
        axes[line][2].set(
            yscale="log", xlabel="update", ylabel="variance / mean", title="of the gradient, by direction"
        )
    axes[0][0].legend(frameon=False)
    axes[0][2].legend(frameon=False, fontsize=7)
    save_figure(figure, figure_path)


def _draw_course(axis: Any, rows: list[dict[str, str]], quantity: str, color: str, label: str) -> None:
    """Median and quartiles over units while learning; the look before the first update is drawn at 1."""
    selected = [row for row in rows if row["quantity"] == quantity]
    updates = [max(1, int(row["update"])) for row in selected]
    low, median, high = ([float(row[name]) for row in selected] for name in ("low", "median", "high"))
    axis.plot(updates, median, color=color, label=label)
    axis.fill_between(updates, low, high, color=color, alpha=0.15, lw=0)
    axis.set(xscale="log")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=2000)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--figure-only", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.figure_only:
        x, y = play(options.states, seed=0)
        rows = [
            row for normalizer in ("none", "weight_norm")
            for row in train(normalizer, x, y, looks=LOOKS, learning_rate=options.learning_rate)
        ]  # fmt: skip
        write_rows(options.table, rows)
    draw(options.table, options.table.with_suffix(".svg"))


if __name__ == "__main__":
    main()

"""Write the tables of docs/results.md: our agents beside what the literature reports, and normalizers side by side.

The first goes into README.md too.

    python -m scripts.publishing.make_results

Everything comes from the agents' own files, docs/reference/, and what compare_normalizers.py has left in docs/figures/;
run it again when an agent has been published or runs have been compared.
"""

import itertools
import json
from pathlib import Path
from typing import Any

from scripts.publishing.marked_sections import replace_section
from scripts.studies.compare_normalizers import summarize
from scripts.studies.learning_curves import FRAMES_PER_AGENT_STEP
from scripts.studies.study_results import COLORS, make_figure, read_rows, save_figure

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINTS, DOCS = ROOT / "checkpoints", ROOT / "docs"


def read_dopamine(game: str) -> list[dict[str, float]]:
    """Million frames, mean, min and max over five seeds of Dopamine's DQN (Adam, mean squared error); [] if unknown."""
    rows = read_rows(DOCS / "reference" / "dopamine_dqn_adam.csv")
    names = ("frames_M", "mean", "min", "max")
    return [{name: float(row[name]) for name in names} for row in rows if row["game"] == game]


def find_comparable(description: dict[str, Any]) -> list[dict[str, float]]:
    """Dopamine's rows for an agent that played by the same rules: sticky actions, no end at a lost life."""
    return read_dopamine(description["game"]) if description["protocol"]["name"] == "machado" else []


def interpolate(rows: list[dict[str, float]], frames: float) -> float | None:
    """Dopamine's mean after ``frames`` million: linear between its rows; None before the first and after the last."""
    for before, after in itertools.pairwise(rows):
        if before["frames_M"] <= frames <= after["frames_M"]:
            share = (frames - before["frames_M"]) / (after["frames_M"] - before["frames_M"])
            return before["mean"] + share * (after["mean"] - before["mean"])
    return None


def describe_reference(rows: list[dict[str, float]], frames: float) -> str:
    """What Dopamine has after ``frames`` million; where it has no row so early or late, what it has nearest to that."""
    if not rows:
        return "none"
    mean = interpolate(rows, frames)
    if mean is not None:
        return f"{mean:.1f}"
    nearest = rows[0] if frames < rows[0]["frames_M"] else rows[-1]
    return f"{nearest['mean']:.1f} after {nearest['frames_M']:.0f} M"


def find_first_above(rows: list[dict[str, float]], value: float) -> str:
    """After how many million frames Dopamine's mean is at least ``value``, among the rows that it publishes."""
    reached = [row["frames_M"] for row in rows if row["mean"] >= value]
    return f"{reached[0]:.0f} M" if reached else "never in 200 M" if rows else "none"


def make_line(folder: Path) -> str:
    """An agent's line of the table."""
    description: dict[str, Any] = json.loads((folder / "agent.json").read_text())
    last, score = read_rows(folder / "learning_curve.csv")[-1], description["evaluation"]
    frames = FRAMES_PER_AGENT_STEP * description["agent_steps"] / 1e6
    training_mean = float(last["training_mean"])
    rows = find_comparable(description)
    return " | ".join([
        f"| {folder.name}",
        f"{description['config']['preset']}, {description['protocol']['name']}",
        f"{frames:.2f} M",
        f"{training_mean:.1f}",
        describe_reference(rows, frames),
        find_first_above(rows, training_mean),
        f"{score['mean']:.1f} [{score['ci95_low']:.1f}, {score['ci95_high']:.1f}] ({score['episodes']} games)",
        f"{description['training_minutes']:.0f} |",
    ])  # fmt: skip


def draw(folders: list[Path]) -> None:
    """Returns over frames, one game beside the other."""
    figure, axes = make_figure(len(folders))
    for axis, folder in zip(axes[0], folders, strict=True):
        curve = read_rows(folder / "learning_curve.csv")
        frames = [int(row["frames"]) / 1e6 for row in curve]
        column = {name: [float(row[name]) for row in curve] for name in curve[0]}
        color = COLORS["weight_norm"]
        axis.plot(frames, column["evaluation_mean"], color=color, label="evaluation, 95 % interval")
        axis.fill_between(
            frames, column["evaluation_ci95_low"], column["evaluation_ci95_high"], color=color, alpha=0.2, linewidth=0
        )
        axis.plot(frames, column["training_mean"], color=color, linestyle="--", label="last 100 games of training")
        description = json.loads((folder / "agent.json").read_text())
        rows = [row for row in find_comparable(description) if row["frames_M"] <= 20]
        places, mean, low, high = ([row[name] for row in rows] for name in ("frames_M", "mean", "min", "max"))
        axis.plot(places, mean, color="#d55e00", marker="o", markersize=3, label="Dopamine's DQN (5 seeds)")
        axis.fill_between(places, low, high, color="#d55e00", alpha=0.2, linewidth=0)
        axis.set(title=f"{folder.name}, {description['protocol']['name']}", xscale="log", xlabel="million frames")
    axes[0][0].set_ylabel("return of a game")
    axes[0][0].legend(fontsize=7)
    save_figure(figure, DOCS / "figures" / "results.svg")


def main() -> None:
    folders = sorted(path.parent for path in CHECKPOINTS.glob("*/agent.json"))
    draw(folders)
    header = (
        "| game | preset, protocol | frames | return in training | Dopamine's DQN after as many | Dopamine has"
        " that after | evaluation, epsilon 0.001 [95 % interval] | minutes |"
    )
    lines = [header, "|" + "---|" * (header.count("|") - 1), *(make_line(folder) for folder in folders)]
    for page in (DOCS / "results.md", ROOT / "README.md"):
        replace_section(page, "results", "\n".join(lines))
    for table in sorted((DOCS / "figures").glob("normalizers_*.csv")):
        replace_section(DOCS / "results.md", table.stem, summarize(read_rows(table)))


if __name__ == "__main__":
    main()

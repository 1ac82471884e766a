"""What the studies share: rows of a CSV file that survive an interruption, intervals over seeds, the figures' look."""

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wn_rl.acting.evaluator import compute_bootstrap_interval
from wn_rl.system.files import write_whole

FIGURES = Path(__file__).resolve().parents[2] / "docs" / "figures"
COLORS = {
    "none": "#444444", "weight_norm": "#0072b2", "weight_norm_projected_v": "#56b4e9", "projection": "#009e73",
    "layer_norm": "#cc79a7", "spectral_norm": "#e69f00", "batch_norm": "#d55e00", "mean_only_batch_norm": "#a6611a",
    "weight_norm_mean_only_batch_norm": "#b8a100",
}  # fmt: skip
"""One color per normalizer in all figures (after Okabe & Ito 2008: told apart by the color-blind)."""


class Interval(NamedTuple):
    """A mean with its 95 % bootstrap interval, NaN without values; of one value the interval is that value."""

    mean: float
    low: float
    high: float


def compute_interval(values: Iterable[float], *, seed: int) -> Interval:
    """Mean over training seeds, and the percentile bootstrap interval of it (Efron 1979)."""
    values = list(values)
    if not values:
        return Interval(*(float("nan"),) * 3)
    return Interval(sum(values) / len(values), *compute_bootstrap_interval(values, seed))


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file that is growing: none if it does not exist, and a last line only if it is whole."""
    text = path.read_text() if path.exists() else ""
    return list(csv.DictReader(line for line in text.splitlines(keepends=True) if line.endswith("\n")))


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append a row, and force it to disk; the first writes the header, and removes nothing but a broken last line."""
    rows = [*read_rows(path), {name: str(value) for name, value in row.items()}]
    write_rows(path, rows)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write all rows in the place of what was there."""
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(line + "\n" for line in lines).encode())


def make_figure(columns: int, rows: int = 1, **options: Any) -> tuple[Any, Any]:
    """An empty figure and its axes [rows, columns], without a window."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise SystemExit('figures need matplotlib: pip install "wn_rl[docs]"') from None
    plt.rcParams.update(
        {
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "wn_rl",
            "svg.fonttype": "none",
        }
    )
    size = (3.6 * columns + 0.4, 3.0 * rows + 0.3)
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)


def save_figure(figure: Any, path: Path) -> None:
    """Write an SVG that is the same for the same data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    print(path)

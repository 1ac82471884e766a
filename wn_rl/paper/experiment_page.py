"""The page of a run of one of the paper's experiments: its curves beside the paper's, and pictures; one file."""

import base64
import csv
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from wn_rl.paper.paper_numbers import find_curves, find_references
from wn_rl.paper.pictures import PictureRow
from wn_rl.runs.configuration_file import read_configuration
from wn_rl.runs.layout import EXPERIMENT_FILE, METRICS_FILE, PICTURES_FOLDER, PROVENANCE_FILE
from wn_rl.system.files import write_whole
from wn_rl.viewing.pages.curves import make_training_series, make_weight_charts
from wn_rl.viewing.pages.formatting import format_hours, format_number
from wn_rl.viewing.pages.run_page import PLACES
from wn_rl.viewing.pages.run_reader import Columns, flatten
from wn_rl.viewing.pages.templating import escape_json, render, write_page

SCRIPTS = ["plotting.js", "saving.js", "chart.js", "paper.js"]
LIST_FILE = "pictures.json"
DOTTED = 16
"""Added to a curve's number: the same color, dotted (templates/plotting.js)."""

TITLES = {"cifar10": "CIFAR-10", "vae": "Variational autoencoder", "draw": "DRAW"}
PAPER_EPOCHS = {"cifar10": 200, "vae": 300, "draw": 100}
CHARTS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("error", "Error", " %", {"test/error_percent": "test", "train/error_percent": "training"}),
    ("bound", "Bound on the log likelihood", "", {"test/bound": "test", "train/bound": "training"}),
    ("loss", "Loss", "", {"train/loss": "training", "test/loss": "test"}),
    ("kl", "KL divergence of the latents", "", {"test/kl": "test", "train/kl": "training"}),
    ("learning_rate", "Learning rate", "", {"train/learning_rate": "learning rate"}),
    ("seconds", "Time of an epoch", "", {"speed/epoch_seconds": "seconds"}),
)
"""Identity, title, unit, and the metrics with their curves' names."""
NOTES = {
    "error": "test images with running means of batch norms; training with noise and dropout, mean of an epoch",
    "bound": "nats per image; more is better",
    "kl": "nats per image",
}


def write_pictures(folder: Path, rows: list[PictureRow]) -> None:
    """Replace the pictures of a run folder, and the list of what they show."""
    place = folder / PICTURES_FOLDER
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    described = []
    for row in rows:
        names = [f"{row.name}-{number:02d}.png" for number in range(len(row.pictures))]
        for name, picture in zip(names, row.pictures, strict=True):
            (place / name).write_bytes(picture.content)
        captions = [[name, picture.caption] for name, picture in zip(names, row.pictures, strict=True)]
        described.append({"title": row.title, "note": row.note, "scale": row.scale, "pictures": captions})
    write_whole(place / LIST_FILE, json.dumps(described, indent=1).encode())


def write_experiment_page(folder: Path) -> Path:
    """Write ``index.html`` into a run folder from what lies there, and return its path.

    Raises:
        ConfigurationError: it cannot be written.
    """
    settings = flatten(read_configuration(folder / EXPERIMENT_FILE))
    metrics = _read_metrics(folder / METRICS_FILE)
    charts = make_experiment_charts(settings, metrics)
    page = render(
        "paper.html", SCRIPTS, refresh_seconds=None, name=folder.resolve().name, title=TITLES[settings["experiment"]],
        settings={key: value for key, value in settings.items() if key not in (*PLACES, "data_dir")},
        tiles=_make_tiles(settings, metrics), rows=_read_pictures(folder / PICTURES_FOLDER),
        num_done=len(metrics.get("epoch", [])), paper_epochs=PAPER_EPOCHS[settings["experiment"]],
        provenance=flatten(json.loads((folder / PROVENANCE_FILE).read_text())),
        written=f"{datetime.now():%Y-%m-%d %H:%M}",
        data=escape_json({"charts": charts, "num_epochs": settings["num_epochs"]}),
    )  # fmt: skip
    return write_page(folder, page)


def make_experiment_charts(settings: dict[str, Any], metrics: Columns) -> list[dict[str, Any]]:
    """Curves over epochs, with the paper's dotted in the same colors; a chart without data is left out."""
    curves = find_curves(settings["experiment"], settings["normalizer"])
    references = find_references(settings["experiment"], settings["normalizer"])
    charts: list[dict[str, Any]] = []
    for identity, title, unit, columns in CHARTS:
        series = []
        for number, (column, name) in enumerate(columns.items()):
            if column in metrics:
                series.append({**make_training_series(metrics, column, name, counter="epoch"), "color": number})
                series += [
                    {"name": curve.name, "steps": [epoch for epoch, _ in curve.points],
                     "y": [value for _, value in curve.points], "color": DOTTED + number}
                    for curve in curves if curve.column == column
                ]  # fmt: skip
        if series:
            shown = [{"name": entry.name, "y": entry.value} for entry in references if entry.column in columns]
            note = NOTES.get(identity, "")
            chart = {"id": identity, "title": title, "note": note, "unit": unit, "series": series, "references": shown}
            charts.append(chart)
    return charts + make_weight_charts(metrics, counter="epoch")


def _make_tiles(settings: dict[str, Any], metrics: Columns) -> list[dict[str, str]]:
    """The last value of what counts, the best one, how many epochs, and how long."""
    tiles = []
    for column, label, best in (("test/error_percent", "Test error", min), ("test/bound", "Test bound", max)):
        values = [value for value in metrics.get(column, []) if value is not None]
        if values:
            unit = " %" if column.endswith("percent") else " nats"
            tiles.append({"label": label, "value": f"{format_number(values[-1])}{unit}",
                          "detail": f"best of all epochs {format_number(best(values))}{unit}"})  # fmt: skip
    references = find_references(settings["experiment"], settings["normalizer"])
    tiles += [{"label": "The paper", "value": f"{entry.value} %", "detail": entry.name} for entry in references]
    num_done = len(metrics.get("epoch", []))
    seconds = [value for name in ("speed/epoch_seconds", "speed/evaluation_seconds") for value in metrics.get(name, [])]
    hours = sum(value or 0.0 for value in seconds) / 3600
    paper = PAPER_EPOCHS[settings["experiment"]]
    tiles.append({"label": "Epochs", "value": f"{num_done} of {settings['num_epochs']}", "detail": f"paper: {paper}"})
    tiles.append({"label": "Training time", "value": format_hours(hours), "detail": "with its evaluations"})
    return tiles


def _read_metrics(path: Path) -> Columns:
    """metrics.csv by columns."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0]) if rows else []
    return {name: [float(row[name]) if row[name] else None for row in rows] for name in names}


def _read_pictures(folder: Path) -> list[dict[str, Any]]:
    """Rows of pictures, each as the text of an address that holds it."""
    if not (folder / LIST_FILE).exists():
        return []
    rows = json.loads((folder / LIST_FILE).read_text())
    for row in rows:
        row["pictures"] = [
            {"caption": caption, "address": f"data:image/png;base64,{_encode(folder / name)}"}
            for name, caption in row["pictures"]
        ]
    return rows


def _encode(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()

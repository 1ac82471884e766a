"""The notebook trains, evaluates and plays: executed as a whole, on a small agent."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "train_and_watch.ipynb"
SMALL = [
    "network.torso=small", "network.hidden_units=16", "warmup_agent_steps=80", "replay.capacity=1000", "batch_size=16",
    "evaluation.episodes=0", "video.period_iterations=0", "protocol.max_episode_frames=200",
]  # fmt: skip


def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    settings = notebook.cells[1]
    for old, new in (
        ("AGENT_STEPS = 100_000", "AGENT_STEPS = 500"),
        ("MORE = []", f"MORE = {SMALL}"),
    ):
        assert settings.source.count(old) == 1
        settings.source = settings.source.replace(old, new)
    for cell in notebook.cells:
        cell.source = cell.source.replace('"episodes=10"', '"episodes=1"')
    nbclient.NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in data for data in shown)  # the curve
    assert any("<video" in data.get("text/html", "") for data in shown)
    assert len(list(tmp_path.glob("runs/Breakout/notebook-*/agent/agent.json"))) == 1

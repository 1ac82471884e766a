"""The agents in checkpoints/: small, complete, free of their trainer's paths, and as good as they say."""

import csv
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from scripts.publishing import make_results, publish_agent
from scripts.studies import learning_curves
from wn_rl.app.player import Player
from wn_rl.envs.protocols import load_protocol
from wn_rl.errors import ConfigurationError
from wn_rl.runs.agent import load_agent
from wn_rl.runs.published import list_published

ROOT = Path(__file__).resolve().parents[2]


CHECKPOINTS = ROOT / "checkpoints"
AGENTS = sorted(path.parent for path in CHECKPOINTS.glob("*/agent.json"))
each_agent = pytest.mark.parametrize("folder", AGENTS, ids=lambda folder: folder.name)


def test_a_learning_curve_has_the_iterations_of_metrics_csv_with_the_minutes_of_training(tmp_path: Path) -> None:
    header = (
        "agent_steps,speed/agent_steps_per_second,train/mean_return,evaluation/mean,evaluation/ci95_low,"
        "evaluation/ci95_high"
    )
    rows = ["600,10,,,,", "1200,5,-20.5,,,", "1200,,,-19,-20,-18", "1500,2.5,-19.5,,,", "1500,,,3,2,4"]
    (tmp_path / "metrics.csv").write_text("\n".join([header, *rows]) + "\n")
    first, second = learning_curves.read_learning_curve(tmp_path)
    assert (first.agent_steps, first.frames, first.minutes) == (1200, 4800, 3.0)  # 600/10 s + 600/5 s
    assert (second.agent_steps, second.minutes) == (1500, 5.0)  # and 300/2.5 s
    assert (first.training_mean, first.evaluation_mean, first.evaluation_ci95_low) == (-20.5, -19.0, -20.0)
    assert (second.training_mean, second.evaluation_ci95_high) == (-19.5, 4.0)
    learning_curves.write_learning_curve(tmp_path / "curve.csv", [first, second])
    with (tmp_path / "curve.csv").open() as file:
        assert [float(row["evaluation_mean"]) for row in csv.DictReader(file)] == [-19.0, 3.0]


@pytest.mark.parametrize(
    ("frames", "mean", "words"),
    [
        (0.5, None, "-20.0 after 1 M"),
        (1, -20.0, "-20.0"),
        (2, -15.0, "-15.0"),
        (4, 0.0, "0.0"),
        (9, None, "10.0 after 5 M"),
    ],
)
def test_what_dopamine_has_after_as_many_frames_lies_between_its_rows(frames, mean, words) -> None:
    rows = [{"frames_M": 1.0, "mean": -20.0}, {"frames_M": 3.0, "mean": -10.0}, {"frames_M": 5.0, "mean": 10.0}]
    assert make_results.interpolate(rows, frames) == mean
    assert make_results.describe_reference(rows, frames) == words
    assert make_results.describe_reference([], frames) == "none"


def test_dopamines_returns_stand_beside_agents_of_its_own_protocol_alone() -> None:
    agent = {"game": "Breakout", "protocol": {"name": "machado"}}
    assert make_results.find_comparable(agent)[0]["frames_M"] > 0
    assert make_results.find_comparable({**agent, "protocol": {"name": "nature"}}) == []


@each_agent
def test_an_agent_is_small_complete_and_tells_no_paths(folder: Path) -> None:
    agent = load_agent(folder)
    text = (folder / "agent.json").read_text()
    description = json.loads(text)
    assert folder.name == description["game"]
    assert sum(path.stat().st_size for path in folder.iterdir() if path.suffix != ".mp4") < 8e6
    assert {"versions", "hardware", "commit", "updates", "training_minutes", "evaluation"} <= description.keys()
    assert description["evaluation"]["agent_steps"] == agent.description["agent_steps"]
    assert not any(path in text for path in ('"/', "C:\\\\", "/root", "/home"))
    assert (folder / "video.mp4").stat().st_size > 0
    with (folder / "learning_curve.csv").open() as file:
        points = list(csv.DictReader(file))
    assert int(points[-1]["agent_steps"]) <= description["agent_steps"]
    weights = load_file(folder / "weights.safetensors")
    mean_frame = weights.pop("torso.layers.0.mean", torch.zeros(0, dtype=torch.uint8))  # of centered pixels: bytes
    assert mean_frame.dtype == torch.uint8
    assert {value.dtype for value in weights.values()} in ({torch.float16}, {torch.float32})


@each_agent
def test_the_table_has_the_agent_as_its_files_have_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / folder.name).symlink_to(folder)
    publish_agent.write_table(tmp_path)
    line = next(line for line in (tmp_path / "README.md").read_text().splitlines() if f"[{folder.name}]" in line)
    assert line in (CHECKPOINTS / "README.md").read_text()


@pytest.mark.slow
@each_agent
def test_an_agent_is_as_good_as_it_says(folder: Path) -> None:
    stated = json.loads((folder / "agent.json").read_text())["evaluation"]
    row, _ = publish_agent.evaluate(folder, stated["episodes"])
    assert stated["ci95_low"] <= row["mean"] <= stated["ci95_high"]


@pytest.mark.parametrize("name", ["Pong", "pong", "checkpoints/Pong"])
def test_a_published_agent_is_found_by_its_game_from_any_folder_and_played_here(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    agent = load_agent(Path(name))
    assert agent.description["game"] == "Pong"
    player = Player(agent, "Pong", load_protocol(agent.description["protocol"]), torch.device("cpu"))
    assert player.find_output_folder(None).resolve() == tmp_path / "published" / "Pong"


def test_a_game_without_an_agent_is_told_with_those_that_have_one(tmp_path: Path) -> None:
    assert list_published() == [folder.name for folder in AGENTS]
    with pytest.raises(ConfigurationError, match="a published agent: Boxing, Breakout"):
        load_agent(Path("Skiing"))
    (tmp_path / "Pong").mkdir()
    with pytest.raises(ConfigurationError, match="no agent there"):  # a folder of the user's is not passed over
        load_agent(tmp_path / "Pong")

"""Configurations of a user's own: experiments, presets and networks in a folder that the command line names."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import wn_rl
from tests.app.test_gymnasium_runs import SMALL
from wn_rl.app.command_line import run_command
from wn_rl.app.composition import compose_settings
from wn_rl.app.configuration import load_configuration
from wn_rl.app.configured import find_folders, read_command
from wn_rl.app.help_page import render_help
from wn_rl.app.options import split_options
from wn_rl.app.words import translate_words
from wn_rl.errors import ConfigurationError

FILES = {
    "experiment/longer.yaml": """
        # @package _global_
        defaults:
          - override /preset: nature
          - override /network: wide
        game: Pong
        replay: {n_step: 5}
        double: true
        """,
    "preset/mine.yaml": "# @package _global_\nseed: 7\n",
    "network/wide.yaml": "defaults: [nature, _self_]\nhidden_units: 1024    # mine\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "my configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(line[8:] if line.startswith(" " * 8) else line for line in text.strip().split("\n")))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "my configs"


def run_train(*words: str, monkeypatch: pytest.MonkeyPatch) -> tuple[DictConfig, dict[str, Any]]:
    """What ``python -m wn_rl.train`` is told by these words."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "argv", ["train", *words])
    run_command("train", lambda config: told.extend((config, dict(HydraConfig.get().runtime.choices))))
    return told[0], told[1]


@pytest.mark.parametrize(
    "spelling", [["--config-dir", "my configs"], ["--config-dir=my configs"], ["-cd", "my configs"]]
)
def test_an_experiment_chooses_files_and_sets_values_over_theirs(
    spelling: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, choices = run_train(*spelling, "experiment=longer", "replay.gamma=0.9", monkeypatch=monkeypatch)
    assert (config.game, config.replay.n_step, config.replay.gamma, config.double) == ("Pong", 5, 0.9, True)
    assert (config.total_agent_steps, config.network.hidden_units) == (50_000_000, 1024)
    assert (config.protocol.name, config.optimizer._target_) == ("nature", "torch.optim.RMSprop")  # of that preset
    assert (choices["preset"], choices["experiment"]) == ("nature", "longer")


def test_the_experiment_of_the_documentation_is_taken_as_it_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    [(name, content)] = re.findall(r"`my_configs/(\S+\.yaml)`[^`]*```yaml\n(.*?)```", text, re.DOTALL)
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    config, choices = run_train("--config-dir", str(tmp_path), f"experiment={path.stem}", monkeypatch=monkeypatch)
    assert (config.game, config.replay.n_step, choices["preset"]) == ("Pong", 5, "quick")


def test_python_is_told_the_same(folder: Path) -> None:
    folders = find_folders(["--config-dir", str(folder)])
    words = translate_words("train", read_command("train", folders), ["experiment=longer", "preset=mine"])
    config, choices = compose_settings("train", words, folders)
    assert (config.seed, config.replay.n_step, choices["preset"]) == (7, 5, "mine")  # who types a preset wants that


def test_a_run_says_which_experiment_it_is_and_is_no_other_on_resume(folder: Path) -> None:
    (folder / "experiment" / "poles.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /env: gymnasium\nenv: {id: CartPole-v1}\n"
    )
    words = dict(word.split("=") for word in SMALL if not word.startswith("env="))
    words |= {"evaluation.episodes": "0", "video.period_iterations": "0", "total_agent_steps": "150"}
    words |= {"iteration_agent_steps": "150", "run_dir": "run"}
    wn_rl.train(config_dir=folder, experiment="poles", **words)
    assert load_configuration(Path("run")).experiment == "poles"
    with pytest.raises(ConfigurationError, match="experiment was poles when this run began and cannot become longer"):
        wn_rl.train(config_dir=folder, experiment="longer", resume="run")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["experiment=longer"], "experiment=longer: there is none; yours are files experiment/*.yaml in a folder that"),
        (["--config-dir", "nowhere", "experiment=longer"], "--config-dir nowhere: there is no such folder"),
        (["--config-dir", "my configs", "experiment=longr"], "did you mean longer?"),
        (["--config-dir", "my configs", "preset=mein"], "did you mean mine?"),
    ],
)
def test_what_is_not_there_is_refused_by_name(
    words: list[str], told: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_train("Pong", *words, monkeypatch=monkeypatch)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_help_lists_the_files_of_both_and_says_what_they_say(folder: Path) -> None:
    words = split_options([f"--config-dir={folder}"])
    folders = find_folders(words)
    command = read_command("train", folders)
    page = render_help("train", command, [*words, "--help", "network=wide"], folders)
    assert "experiment: longer\n" in page
    assert "network: categorical, dueling, impala, implicit_quantile, nature, noisy, quantile, wide\n" in page
    assert "hidden_units: 1024" in page
    assert "experiment: yours are files experiment/*.yaml" in render_help("train", read_command("train"), [])

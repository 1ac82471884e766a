"""What people write on a command line is understood, or refused by name; Hydra's grammar never reaches them."""

import os
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from wn_rl.app.configured import read_command
from wn_rl.app.help_page import render_help
from wn_rl.app.words import quote_for_hydra, translate_words
from wn_rl.errors import ConfigurationError
from wn_rl.runs.published import PUBLISHED_AGENTS
from wn_rl.system.terminals import quote_command


def translate(name: str, *words: str) -> list[str]:
    return translate_words(name, read_command(name), list(words))


@pytest.mark.parametrize("sign", ["", "+", "++"])
@pytest.mark.parametrize(
    ("name", "word", "told"),
    [
        ("train", "learning_rates=1e-4", "did you mean learning_rate "),
        ("train", "replay.capasity=9", "did you mean replay.capacity"),
        ("train", "gamma=0.9", "did you mean replay.gamma or rollout.gamma"),
        ("train", "env.nmae=atari", "did you mean env.name"),
        ("train", "initial_q_deviation=0.1", "say initial_q_std=0.1"),
        ("train", "network.head=dueling_quantile", "say network.head=quantile network.dueling=true"),
        ("evaluate", "game=Breakout", "no such setting of evaluate"),
        ("evaluate", "epsiodes=3", "did you mean episodes"),
        ("watch", "overlya=true", "did you mean overlay"),
        ("paper/cifar10", "learning_rte=1", "did you mean learning_rate"),
        ("paper/cifar10", "num_glimpses=3", "python -m wn_rl.paper cifar10 --help lists them all"),
    ],
)
def test_an_unknown_setting_is_refused_in_every_spelling_with_the_nearest(
    sign: str, name: str, word: str, told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        translate(name, f"{sign}{word}")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words", "told"),
    [
        ("train", ["~logger"], "cannot be removed; give it another value, as in logger=null"),
        ("evaluate", ["agent=A", "agent=B"], "agent is given twice, as A and as B"),
        ("watch", ["A", "B"], "run is given twice, as A and as B"),
        ("train", ["seed=1", "++seed=2"], "seed is given twice"),
        ("train", ["preset=null"], "preset=null: unknown; known: btr, cartpole, "),
        ("train", ["preset=quik"], "did you mean quick?"),
        ("paper/draw", ["preset=quik"], "preset=quik: unknown; known: paper, quick; did you mean quick?"),
        ("paper/draw", ["seed=1,2"], "that is python -m wn_rl.paper draw -m seed=1,2"),
        ("train", ["network=3"], "network=3: unknown"),
        ("train", ["game=Pong,Boxing"], "that is python -m wn_rl.train -m game=Pong,Boxing"),
        ("train", ["seed=1,2"], "that is python -m wn_rl.train -m seed=1,2"),
        ("train", ["--seed"], "--seed has no value; say it as in seed=0"),
        ("watch", ["--overlay", "--saliency"], "--overlay has no value; say it as in overlay=False"),
        ("train", ["--gmae", "Pong"], "--gmae: there is no such option; did you mean game?"),
    ],
)
def test_what_is_meant_otherwise_is_refused(name: str, words: list[str], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        translate(name, *words)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("train", ["Pong"], ["game=Pong"]),
        ("train", ["--game", "Pong", "--learning-rate=1e-4"], ["game=Pong", "learning_rate=1e-4"]),
        ("train", ["."], ["resume='.'"]),
        ("train", ["game=3"], ["game='3'"]),
        ("train", ["total_agent_steps=1e6", "num_envs=1.6e1", "learning_rate=1e0"],
         ["total_agent_steps=1000000", "num_envs=16", "learning_rate=1e0"]),
        ("train", ["total_agent_steps=1.5", "max_gradient_norm=1e1"],
         ["total_agent_steps=1.5", "max_gradient_norm=1e1"]),
        ("train", ["-m", "game=Pong,Boxing", "replay.capacity=1e4,2e4"],
         ["-m", "game=Pong,Boxing", "replay.capacity=10000,20000"]),
        ("train", ["-m", "seed=range(3)"], ["-m", "seed=range(3)"]),
        ("train", ["logger=null", "+seed=1", "env.kwargs.gravity=5.0", "++logger.offline=true"],
         ["logger=none", "seed=1", "++env.kwargs.gravity=5.0", "++logger.offline=true"]),
        ("train", ["learning_rate=[1", "hydra/launcher=joblib", "--cfg", "job"],
         ["learning_rate='[1'", "hydra/launcher=joblib", "--cfg", "job"]),
        ("evaluate", ["checkpoints/Pong", "protocol=null"], ["agent=checkpoints/Pong"]),
        ("evaluate", ["output_dir=null"], ["output_dir=null"]),
        ("watch", ["runs/", "open=true", "scale=2"], ["run=runs/", "open=true", "scale=2"]),
        ("watch", ["it's a\\b"], ["run='it\\'s a\\b'"]),
        ("watch", ["a/003.npz"], ["episode=a/003.npz"]),
        ("watch", ["a/last.ckpt", "--run=b"], ["agent=a/last.ckpt", "run=b"]),
        ("watch", ["run='a b'"], ["run='a b'"]),
        ("train", ["name=null", "game=True"], ["name=null", "game='True'"]),
    ],
)  # fmt: skip
def test_what_people_write_is_understood(name: str, words: list[str], expected: list[str]) -> None:
    assert translate(name, *words) == expected


def read_value(word: str) -> str:
    """As Hydra and OmegaConf read it."""
    override = OverridesParser.create().parse_override(word)
    return str(OmegaConf.create({"key": override.value()}).key)


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00$"), min_size=1))
def test_any_text_between_quotes_is_that_text(text: str) -> None:
    assert read_value(f"agent={quote_for_hydra(text)}") == text


PATHS = ["/a/[1]", "a=b/c", "/ä/ß 日本", "a b's {c}", "back\\slash\\'s", "trailing\\", '(x),!#&;"|<>', "~x"]


@pytest.mark.parametrize("path", PATHS)
def test_a_command_that_is_printed_can_be_pasted(path: str) -> None:
    pasted = shlex.split(quote_command("evaluate", f"agent={path}"))
    assert pasted[:3] == ["python", "-m", "wn_rl.evaluate"]
    (word,) = translate("evaluate", *pasted[3:])
    assert read_value(word) == path


def test_a_path_with_an_equals_sign_is_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=1").mkdir()
    assert translate("evaluate", "lr=1") == ["agent='lr=1'"]


def test_a_tilde_is_the_home_and_latest_the_newest_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert translate("evaluate", "agent=~/runs/x") == ["agent='/home/me/runs/x'"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="latest: there is no run with an agent in "):
        translate("evaluate", "agent=latest")
    for number, (name, has_agent) in enumerate([("old", True), ("new", True), ("begun", False)]):
        folder = Path("runs/Pong") / name
        (folder / "agent").mkdir(parents=True)
        (folder / "config.yaml").touch()
        os.utime(folder / "config.yaml", (number, number))
        if has_agent:
            (folder / "agent" / "agent.json").touch()
    assert translate("evaluate", "agent=latest") == ["agent=runs/Pong/new"]
    assert translate("train", "resume=latest") == ["resume=runs/Pong/begun"]
    for number, name in enumerate(["vae/old", "draw/old", "draw/new", "vae/new"]):
        file = Path("runs/paper") / name / "experiment.yaml"
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (number, number))
    assert translate("paper/draw", "resume=latest") == ["resume=runs/paper/draw/new"]


def test_each_of_the_papers_experiments_has_presets_and_paths_of_its_own(tmp_path: Path) -> None:
    assert translate("paper/vae", "preset=quick", "seed=1e1") == ["preset/vae=quick", "seed=10"]
    assert translate("paper/vae", "data_dir=a b/c") == ["data_dir='a b/c'"]
    assert translate("paper/vae", str(tmp_path)) == [f"resume={quote_for_hydra(str(tmp_path))}"]


def test_a_game_is_its_newest_run_or_its_published_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, folder in enumerate([Path("runs/Boxing/a"), Path("runs/Pong/a"), Path("runs/Pong/b")]):
        (folder / "agent").mkdir(parents=True)
        (folder / "agent" / "agent.json").touch()
        (folder / "config.yaml").touch()
        os.utime(folder / "config.yaml", (10 - number, 10 - number))
    Path("checkpoints/Breakout").mkdir(parents=True)
    assert translate("evaluate", "pong") == ["agent=runs/Pong/a"]
    assert translate("watch", "Pong") == ["agent=runs/Pong/a"]
    assert translate("train", "game=Pong", "initial_agent=breakout") == [
        "game=Pong",
        "initial_agent=checkpoints/Breakout",
    ]
    for name, word in (("train", "resume=breakout"), ("evaluate", "agent=Alien")):
        with pytest.raises(ConfigurationError, match=r"there is no run (with an agent )?in .*; name a run folder"):
            translate(name, word)
    assert translate("evaluate", "agent=freeway") == [f"agent={quote_for_hydra(str(PUBLISHED_AGENTS / 'Freeway'))}"]
    Path("Pong").mkdir()
    assert translate("evaluate", "Pong") == ["agent=Pong"]  # a path is a path


@pytest.mark.parametrize("name", ["train", "evaluate", "watch", "paper/cifar10", "paper/vae", "paper/draw"])
def test_help_says_of_every_setting_what_the_files_say(name: str) -> None:
    command = read_command(name)
    page = " ".join(render_help(name, command, []).replace("# ", "").split())
    base = {key for key in command.values if f"{key.rpartition('.')[2]}:" in page}
    assert len(base) >= 10
    for text in {"train": ["seed: 0 one number, from which every random stream", "discount per agent step"],
                 "evaluate": ["episodes: 30 whole games"],
                 "watch": ["overlay: false beside the game:"],
                 "paper/cifar10": ["width: 1.0 share of the paper's", "data_dir: data where the images lie"],
                 "paper/vae": ["posterior: iaf iaf (inverse"],
                 "paper/draw": ["num_units: 256 of each LSTM"]}[name]:  # fmt: skip
        assert text in page
    assert "their pictures are large" not in page  # what another choice of env says of a section that it changes


def test_every_default_is_a_known_setting() -> None:
    command = read_command("train")
    assert {"replay.n_step", "rollout.gamma", "protocol.noop_max", "optimizer.lr"} <= command.values.keys()
    assert command.groups["preset"].default == "dopamine"
    assert command.comments["num_env_threads"] == "of the environments"

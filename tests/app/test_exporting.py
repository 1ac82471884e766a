"""``wn_rl.export``: what is asked for is written once, whole, where it is said; what cannot be is one line."""

from pathlib import Path

import pytest

from tests.helpers.configurations import compose_config
from tests.helpers.sb3_agents import make_agent
from wn_rl import export
from wn_rl.app.configured import read_command
from wn_rl.app.words import translate_words
from wn_rl.errors import ConfigurationError
from wn_rl.runs.agent import load_agent, save_agent


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    agent = make_agent(torso="small", hidden_units=8)
    save_agent(tmp_path / "saved", agent.network, {**agent.description, "config": {"run_dir": "/home/me", "seed": 0}})
    return Path("saved")


def run(*words: str) -> None:
    export.main(compose_config("export", *translate_words("export", read_command("export"), list(words))))


def test_a_form_is_written_once_and_where_it_is_said(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("saved", "format=agent", "output=folder/ours")
    assert load_agent(Path("folder/ours")).description["config"] == {"seed": 0}
    run("saved", "format=agent")
    assert capsys.readouterr().out == "folder/ours\nPong\n"
    before = Path("Pong/agent.json").read_bytes()
    with pytest.raises(ConfigurationError, match="output=Pong holds something already; name another folder"):
        run("saved", "format=agent")
    assert Path("Pong/agent.json").read_bytes() == before
    Path("Pong.pt2").touch()
    with pytest.raises(ConfigurationError, match=r"output=Pong.pt2 is there already; name another"):
        run("saved", "format=torch_export")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "agent is missing"),
        (["saved"], "format is missing; name one, as in: format=onnx"),
        (["saved", "format=onyx"], "did you mean 'onnx'"),
        (["saved", "format=onnx", "output=a.pb"], "output=a.pb: such a file is called a.pb.onnx"),
        (["saved", "format=onnx", "output=saved/agent.json/x.onnx"], "cannot be written: .*; name another"),
        (["saved", "format=hub"], "name the repository, as in output=<owner>/<name>"),
        (["saved", "format=minari"], "name the data set, as in output=pong/wn-rl-v0"),
        (["saved", "format=minari", "output=a-v0"], "as this leaves them: python -m wn_rl.evaluate agent=saved"),
        (["saved", "format=minari", "output=a-v0", "episodes_dir=saved"], "no stored games"),
        (["saved", "format=sb3"], "has network.torso=small, which Stable-Baselines3's CnnPolicy has not"),
        (["saved", "format=agent", "game=Pong"], "game=Pong: agent=saved says itself that it plays Pong"),
        (["no.zip", "format=agent", "game=Pong"], "no.zip cannot be read: there is no such file"),
        (["no.zip", "format=agent"], "no.zip does not say which game it plays"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(words: list[str], told: str, saved: Path) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        run(*words)
    assert "\n" not in str(caught.value)
    assert [path.name for path in Path().iterdir()] == ["saved"]

"""Agents go to the Hugging Face Hub and come back the same, by its own client and a server that answers as it does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.helpers.hub_server import Hub, serve_hub
from tests.helpers.sb3_agents import make_agent, play_frames
from wn_rl.app.agent_sources import find_agent, import_agent
from wn_rl.errors import ConfigurationError
from wn_rl.interop.hub import FOLDER, upload_agent
from wn_rl.interop.portable import find_video
from wn_rl.runs.agent import Agent

hub_client = pytest.importorskip("huggingface_hub")
EVALUATION = {
    "protocol": "machado", "epsilon": 0.001, "agent_steps": 1234, "episodes": 30, "mean": 12.5, "ci95_low": 11.0,
    "ci95_high": 14.0, "source": "evaluate",
}  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with serve_hub() as served:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", served.address)
        template = served.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield served


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """Of a run with an evaluation and a video."""
    run = tmp_path / "run"
    (run / "agent").mkdir(parents=True)
    (run / "videos").mkdir()
    (run / "videos" / "000001234-median-12.mp4").write_bytes(b"a video")
    (run / "evaluations.jsonl").write_text("half a li\n" + json.dumps(EVALUATION) + "\n")
    drawn = make_agent(torso="small", hidden_units=16)
    description = {**drawn.description, "config": {"run_dir": str(run), "seed": 3}, "sha256": "0"}
    return Agent(description=description, network=drawn.network, source=run / "agent")


def test_an_agent_comes_back_the_same(hub: Hub, agent: Agent, capfd: pytest.CaptureFixture[str]) -> None:
    address = upload_agent(agent, "me/pong", video=find_video(agent.source), is_private=True)
    assert address == f"{hub.address}/me/pong"
    assert hub.private == {"me/pong"}
    files = hub.repositories["me/pong"]
    assert files.keys() == {"README.md", "agent.json", "weights.safetensors", "replay.mp4"}
    again = find_agent("hf:me/pong")
    assert again.source == FOLDER / "me" / "pong"
    assert again.description["config"] == {"seed": 3}
    assert again.description["evaluation"] == EVALUATION
    torch.testing.assert_close(again.network(play_frames()), agent.network(play_frames()), rtol=0, atol=0)
    assert find_agent("hf:me/pong@v1").description == again.description
    assert any("/revision/v1" in asked for asked in hub.asked)


def test_the_card_says_what_the_agent_says(hub: Hub, agent: Agent) -> None:
    upload_agent(agent, "me/pong", video=None, is_private=False)
    card = hub_client.ModelCard(hub.repositories["me/pong"]["README.md"].decode())
    assert card.data.library_name == "wn_rl"
    assert {"reinforcement-learning", "Pong"} <= set(card.data.tags)
    assert card.data.eval_results[0].metric_value == 12.5
    assert "Mean return 12.5, 95 % interval 11.0 to 14.0, over 30 whole games, protocol machado" in card.text
    assert "agent=hf:me/pong" in card.text
    assert '"frame_skip": 4' in card.text
    assert str(agent.source.parent) not in card.text


def test_what_is_no_agent_is_not_downloaded(hub: Hub, agent: Agent) -> None:
    def refuse(told: str, word: str = "hf:me/pong") -> None:
        hub.asked.clear()
        with pytest.raises(ConfigurationError, match=told) as caught:
            find_agent(word)
        assert len(str(caught.value)) < 600
        assert not any("/resolve/" in asked for asked in hub.asked)

    refuse("cannot be had: .*[Nn]ot [Ff]ound")
    hub.repositories["me/pong"] = {"pytorch_model.bin": b"code"}
    refuse("holds no agent: neither agent.json with weights.safetensors, nor one .zip")
    hub.repositories["me/pong"] = {"agent.json": b"{}", "weights.safetensors": b""}
    hub.sizes = {"weights.safetensors": 2**40}
    refuse("weights.safetensors has 1099511627776 bytes, of which at most 1,073,741,824 can be right")
    for word in ("hf:pong", "hf:me/pong/x", "hf:../pong", "hf:me/..", "hf:me/pong@"):
        refuse("name it as in agent=hf:<owner>/<name>", word)
    assert not FOLDER.exists()


def test_what_is_damaged_is_refused_as_on_disk(hub: Hub, agent: Agent) -> None:
    upload_agent(agent, "me/pong", video=None, is_private=False)
    hub.repositories["me/pong"]["weights.safetensors"] += b"x"
    with pytest.raises(ConfigurationError, match=r"does not have the sha256 that agent.json states"):
        find_agent("hf:me/pong")


def test_a_zip_of_stable_baselines3_is_found_there(hub: Hub, tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    from wn_rl.interop.sb3_writer import save_sb3_agent

    theirs = make_agent()
    save_sb3_agent(tmp_path / "dqn.zip", theirs)
    hub.repositories["sb3/dqn"] = {"dqn.zip": (tmp_path / "dqn.zip").read_bytes(), "config.json": b"{}"}
    agent = import_agent("hf:sb3/dqn", "Pong")
    torch.testing.assert_close(agent.network(play_frames()), theirs.network(play_frames()))
    with pytest.raises(ConfigurationError, match=r"say it once: python -m wn_rl.export agent=hf:sb3/dqn 'game=<Game>'"):
        find_agent("hf:sb3/dqn")


def test_who_may_not_upload_is_told_how_to_log_in(hub: Hub, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="output=pong: name the repository"):
        upload_agent(agent, "pong", video=None, is_private=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConfigurationError, match=r"output=me/pong cannot be uploaded: .*; log in with: hf auth login"):
        upload_agent(agent, "me/pong", video=None, is_private=False)


def test_the_client_is_told_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ConfigurationError, match=r'huggingface_hub is needed here: .*: pip install "wn_rl\[hub\]"'):
        find_agent("hf:me/pong")

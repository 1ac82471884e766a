"""Agents of Stable-Baselines3 play here, ours there, with the same Q-values; code in a stranger's zip does not run."""

import base64
import copy
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch

from tests.helpers.sb3_agents import make_agent, make_sb3_model, play_frames
from wn_rl.errors import ConfigurationError
from wn_rl.interop.sb3_reader import load_sb3_agent
from wn_rl.interop.sb3_writer import save_sb3_agent
from wn_rl.runs.agent import Agent, load_agent, make_q_function, save_agent

sb3 = pytest.importorskip("stable_baselines3")
contrib = pytest.importorskip("sb3_contrib")


def compute_sb3_q_values(model: Any, observations: torch.Tensor) -> torch.Tensor:
    """In float64, so that what is left of a difference is none of rounding."""
    network = copy.deepcopy(model.policy).double()
    with torch.no_grad():
        if isinstance(model, sb3.DQN):
            return network.q_net.q_net(network.q_net.features_extractor(observations.double() / 255)).float()
        features = network.quantile_net.features_extractor(observations.double() / 255)
        return network.quantile_net.quantile_net(features).unflatten(1, (-1, 6)).mean(dim=1).float()  # of [B, Z, A]


def compute_q_values(agent: Agent, observations: torch.Tensor) -> torch.Tensor:
    network = copy.deepcopy(agent.network).double()
    network.torso.layers[0].factor.fill_(1 / 255)  # which was rounded to float32
    return make_q_function(network)(observations)


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    folder = tmp_path_factory.mktemp("zips")
    models = {"DQN": make_sb3_model(sb3.DQN), "QRDQN": make_sb3_model(contrib.QRDQN, n_quantiles=7)}
    for name, model in models.items():
        model.save(folder / f"{name}.zip")
    return {name: (model, folder / f"{name}.zip") for name, model in models.items()}


@pytest.mark.parametrize("name", ["DQN", "QRDQN"])
def test_an_agent_of_theirs_has_the_same_q_values_here(name: str, zips: dict[str, tuple[Any, Path]]) -> None:
    model, path = zips[name]
    agent = load_sb3_agent(path, "pong")
    q_values = compute_q_values(agent, play_frames())
    expected = compute_sb3_q_values(model, play_frames())
    assert expected.std(dim=1).min() > 0.01
    torch.testing.assert_close(q_values, expected, rtol=1e-6, atol=1e-6)
    assert (agent.description["game"], agent.description["agent_steps"]) == ("Pong", 1234)
    assert agent.description["protocol"]["repeat_action_probability"] == 0.0
    assert agent.description["trained_by"] == {
        "program": "stable-baselines3", "version": sb3.__version__, "algorithm": name
    }  # fmt: skip


def test_an_agent_of_theirs_becomes_one_of_ours(tmp_path: Path, zips: dict[str, tuple[Any, Path]]) -> None:
    agent = load_sb3_agent(zips["QRDQN"][1], "Pong")
    save_agent(tmp_path / "agent", agent.network, agent.description)
    again = load_agent(tmp_path / "agent")
    assert {**agent.description, **again.description} == again.description
    frames = play_frames()
    torch.testing.assert_close(again.network(frames).quantiles, agent.network(frames).quantiles, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("normalizer", "network"),
    [("weight_norm", {}), ("none", {"hidden_units": 512}), ("batch_norm", {"head": "quantile", "num_quantiles": 5})],
)
def test_our_agent_has_the_same_q_values_there(normalizer: str, network: dict[str, Any], tmp_path: Path) -> None:
    agent = make_agent(normalizer=normalizer, **network)
    save_sb3_agent(tmp_path / "ours.zip", agent)
    kind = contrib.QRDQN if network.get("head") else sb3.DQN
    model = kind.load(tmp_path / "ours.zip", device="cpu")
    expected = compute_q_values(agent, play_frames())
    tolerance = 1e-6 * float(expected.abs().max())
    torch.testing.assert_close(compute_sb3_q_values(model, play_frames()), expected, rtol=0, atol=tolerance)
    actions, _ = model.predict(play_frames().numpy(), deterministic=True)
    assert actions.tolist() == expected.argmax(dim=1).tolist()
    assert model.num_timesteps == 1234
    again = load_sb3_agent(tmp_path / "ours.zip", "Pong")
    assert all(
        torch.equal(value, again.network.state_dict()[name]) for name, value in agent.network.state_dict().items()
    )


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ({"torso": "small"}, "network.torso=small"),
        ({"dueling": True}, "network.dueling=True"),
        ({"head": "categorical", "center_pixels": True}, "network.head=categorical, network.center_pixels=True"),
        ({"normalizer": "layer_norm"}, "normalizer=layer_norm"),
    ],
)
def test_what_is_no_policy_of_theirs_is_refused(network: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"has {told}, which Stable-Baselines3's CnnPolicy has not"):
        save_sb3_agent(tmp_path / "ours.zip", make_agent(**network))
    assert not list(tmp_path.iterdir())


class Malice:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


def rewrite(source: Path, target: Path, entries: dict[str, bytes | None], **options: Any) -> Path:
    """A zip with other entries, or without those that are None."""
    with zipfile.ZipFile(source) as archive:
        old = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(target, "w", **options) as archive:
        for name, content in {**old, **entries}.items():
            if content is not None:
                archive.writestr(name, content)
    return target


def to_bytes(thing: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


def read_data(path: Path) -> dict[str, Any]:
    return json.loads(zipfile.ZipFile(path).read("data"))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")
def test_code_in_a_zip_runs_in_their_load_and_not_in_ours(tmp_path: Path, zips: dict[str, tuple[Any, Path]]) -> None:
    source, ran = zips["DQN"][1], tmp_path / "ran"
    pickled = base64.b64encode(cloudpickle.dumps(Malice(ran))).decode()
    data = {**read_data(source), "lr_schedule": {":type:": "function", ":serialized:": pickled}}
    path = rewrite(source, tmp_path / "malice.zip", {"data": json.dumps(data).encode()})
    assert load_sb3_agent(path, "Pong").description["agent_steps"] == 1234
    assert not ran.exists()
    sb3.DQN.load(path, device="cpu")
    assert ran.exists()


def test_code_in_the_weights_of_a_zip_does_not_run(tmp_path: Path, zips: dict[str, tuple[Any, Path]]) -> None:
    weights = {"q_net.q_net.0.weight": Malice(tmp_path / "ran")}
    path = rewrite(zips["DQN"][1], tmp_path / "malice.zip", {"policy.pth": to_bytes(weights)})
    with pytest.raises(ConfigurationError, match=r"malice.zip cannot be read: it holds other objects than tensors"):
        load_sb3_agent(path, "Pong")
    assert not (tmp_path / "ran").exists()


Change = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
OUTPUT = "q_net.q_net.0.weight"
WRONG_WEIGHTS: dict[str, tuple[Change, str]] = {
    "another algorithm": (lambda w: {"actor.mu.weight": w[OUTPUT]}, "another algorithm's"),
    "no output": (lambda w: {name: value for name, value in w.items() if name != OUTPUT}, f"CnnPolicy's .*: {OUTPUT}"),
    "one more layer": (lambda w: {**w, "q_net.q_net.2.weight": w[OUTPUT]}, "CnnPolicy's .*: q_net.q_net.2.weight"),
    "a huge tensor of one number": (lambda w: {**w, OUTPUT: torch.zeros(1).expand(10**9, 512)}, "larger than it is"),
    "wrong shapes": (
        lambda w: {**w, "q_net.features_extractor.cnn.2.weight": torch.zeros(64, 32, 3, 3)},
        r"cnn.2.weight is \[64, 32, 3, 3\], and would be \[64, 32, 4, 4\]",
    ),
    "wrong dimensions": (lambda w: {**w, OUTPUT: torch.zeros(())}, "its layers are|has no shape|len"),
    "small frames": (
        lambda w: {**w, "q_net.features_extractor.linear.0.weight": torch.zeros(512, 64)}, r"is \[512, 64\]"
    ),
    "whole numbers": (lambda w: {**w, OUTPUT: w[OUTPUT].long()}, "no numbers of a network"),
    "sparse": (lambda w: {**w, OUTPUT: w[OUTPUT].to_sparse()}, "no numbers of a network|other objects"),
    "no number": (lambda w: {**w, OUTPUT: w[OUTPUT] / 0}, "not finite"),
    "a list": (lambda w: [w], "holds a list"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")  # of sparse tensors
@pytest.mark.parametrize("name", WRONG_WEIGHTS)
def test_weights_that_are_no_agents_are_refused(name: str, tmp_path: Path, zips: dict[str, tuple[Any, Path]]) -> None:
    change, told = WRONG_WEIGHTS[name]
    weights = {name: value.clone() for name, value in zips["DQN"][0].policy.state_dict().items()}
    path = rewrite(zips["DQN"][1], tmp_path / "wrong.zip", {"policy.pth": to_bytes(change(weights))})
    with pytest.raises(ConfigurationError, match=told):
        load_sb3_agent(path, "Pong")


def test_zips_that_are_no_agents_are_refused(tmp_path: Path, zips: dict[str, tuple[Any, Path]]) -> None:
    source, data = zips["DQN"][1], read_data(zips["DQN"][1])

    def refuse(told: str, entries: dict[str, bytes | None] | None = None, game: str = "Pong", **options: Any) -> None:
        path = rewrite(source, tmp_path / "wrong.zip", entries or {}, **options)
        with pytest.raises(ConfigurationError, match=told):
            load_sb3_agent(path, game)

    def say(**changes: Any) -> dict[str, bytes | None]:
        return {"data": json.dumps({**data, **changes}).encode()}

    refuse("its records are compressed", compression=zipfile.ZIP_DEFLATED)  # as a bomb's are
    refuse("more entries", {f"{number:060}": b"" for number in range(1000)})
    refuse("it has no policy.pth", {"policy.pth": None})
    refuse("its data is larger", {"data": b" " * (2**24 + 1)})
    refuse("num_timesteps is '-1'", say(num_timesteps=-1))
    refuse("num_timesteps is '1e", say(num_timesteps=1e300))
    refuse("normalize_images=False", say(policy_kwargs={"normalize_images": "False"}))
    refuse("a class of its own", say(policy_kwargs={"features_extractor_class": "<class 'mine'>"}))
    refuse("its data is no dictionary", {"data": b"[]"})
    refuse("recursion", {"data": b"[" * 10**6})
    refuse("this agent has 6 actions, and Breakout has 4", game="Breakout")
    refuse("did you mean Pong", game="Pongg")
    content = source.read_bytes()
    (tmp_path / "long.zip").write_bytes(content[:-22] + b"PK\6\7" + bytes(16) + content[-22:])
    with pytest.raises(ConfigurationError, match="more entries"):
        load_sb3_agent(tmp_path / "long.zip", "Pong")
    (tmp_path / "no.zip").write_bytes(b"PK" * 100)
    with pytest.raises(ConfigurationError, match="it is no zip file"):
        load_sb3_agent(tmp_path / "no.zip", "Pong")
    with pytest.raises(ConfigurationError, match=r"say game=\.\.\., as in game=Breakout"):
        load_sb3_agent(source, None)


def test_a_link_in_a_zip_is_not_followed(tmp_path: Path, zips: dict[str, tuple[Any, Path]]) -> None:
    (tmp_path / "weights").write_bytes(zipfile.ZipFile(zips["DQN"][1]).read("policy.pth"))
    path = rewrite(zips["DQN"][1], tmp_path / "link.zip", {"policy.pth": None})
    link = zipfile.ZipInfo("policy.pth")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, str(tmp_path / "weights"))
    with pytest.raises(ConfigurationError, match=r"link.zip cannot be read: "):
        load_sb3_agent(path, "Pong")


def test_a_missing_package_is_told_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sb3_contrib", None)
    with pytest.raises(ConfigurationError, match=r'install it: pip install "wn_rl\[sb3\]"'):
        save_sb3_agent(tmp_path / "ours.zip", make_agent(head="quantile"))

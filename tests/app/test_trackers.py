"""One run here is one run on W&B and MLflow, however often it is gone on with; its agent and a video go along."""

import json
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import Logger

from tests.helpers.configurations import compose_config
from wn_rl.app.run_loggers import make_loggers
from wn_rl.app.training import Run, resume_run, start_run
from wn_rl.callbacks.artifact_tracking import ArtifactTracking
from wn_rl.errors import ConfigurationError
from wn_rl.interop.trackers import MLflowTracker, WandbTracker

SMALL = [
    "game=Pong", "preset=quick", "total_agent_steps=120", "iteration_agent_steps=120", "chunk_agent_steps=40",
    "warmup_agent_steps=40", "batch_size=8", "samples_per_agent_step=1", "initialization_batch_size=16",
    "target_period_updates=15", "replay.capacity=200", "network.torso=mlp", "network.hidden_units=4", "num_envs=2",
    "num_threads=1", "num_env_threads=1", "protocol.max_episode_frames=80", "evaluation.episodes=1",
    "evaluation.num_envs=1", "video.period_iterations=1", "video.max_seconds=1", "video.scale=1", "progress=false",
    "weight_statistics.period_agent_steps=0",
]  # fmt: skip


def start(folder: Path, *words: str) -> Run:
    return start_run(compose_config("train", *SMALL, f"run_dir={folder}", *words), preset="quick")


def go_on(folder: Path) -> Run:
    longer = "total_agent_steps=240"
    return resume_run(compose_config("train", f"resume={folder}", longer), overrides=[longer], folder=folder)


@pytest.mark.slow  # starts a server of W&B's own
def test_a_run_stays_one_run_of_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    for key, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_CACHE_DIR": str(tmp_path / "c")}.items():
        monkeypatch.setenv(key, value)
    assert start(tmp_path / "run", "logger=wandb", "logger.tags=[paper]").train()
    assert wandb.run is None
    run_id = json.loads((tmp_path / "run" / "tracker.json").read_text())["wandb"]
    (first,) = (tmp_path / "run" / "wandb").glob(f"offline-run-*/run-{run_id}.wandb")
    content = first.read_bytes()
    for word in (f"agent-{run_id}", "weights.safetensors", "agent.json", ".mp4", "paper", "Pong-weight_norm"):
        assert word.encode() in content
    assert go_on(tmp_path / "run").train()
    assert {path.name for path in (tmp_path / "run" / "wandb").rglob("*.wandb")} == {f"run-{run_id}.wandb"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # MLflow's own
def test_a_run_stays_one_run_of_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert start(tmp_path / "run", "logger=mlflow", "+logger.tags.paper=yes").train()
    assert go_on(tmp_path / "run").train()
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("wn_rl")
    (run,) = client.search_runs([experiment.experiment_id])
    assert json.loads((tmp_path / "run" / "tracker.json").read_text()) == {"mlflow": run.info.run_id}
    assert (run.data.tags["group"], run.data.tags["paper"]) == ("Pong-weight_norm", "yes")
    assert run.data.params["game"] == "Pong"
    assert client.get_metric_history(run.info.run_id, "train/updates")[-1].step == 240
    assert {entry.path for entry in client.list_artifacts(run.info.run_id, "agent")} == {
        "agent/agent.json", "agent/weights.safetensors"
    }  # fmt: skip
    assert client.list_artifacts(run.info.run_id, "videos")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"wandb": 3}', '{"wandb": "../up"}', '{"mlflow": "abc"}', '{"wandb": ""}', "[" * 10**5]
)
def test_a_damaged_id_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "tracker.json").write_text(content)
    assert WandbTracker().read_id(tmp_path) is None


def test_an_id_is_kept_and_no_link_is_followed(tmp_path: Path) -> None:
    MLflowTracker().keep_id(tmp_path, "abc-1")
    assert MLflowTracker().read_id(tmp_path) == "abc-1"
    (tmp_path / "tracker.json").rename(tmp_path / "elsewhere.json")
    (tmp_path / "tracker.json").symlink_to(tmp_path / "elsewhere.json")
    assert MLflowTracker().read_id(tmp_path) is None


def test_a_server_that_fails_at_the_end_costs_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(MLflowTracker):
        def log_artifacts(self, *args: object, **kwargs: object) -> None:
            raise RuntimeError("no\n  connection")

        def finish(self) -> None:
            raise RuntimeError("no connection")

    class Algorithm:
        agent_steps = 3

    tracking = ArtifactTracking(run_dir=tmp_path, tracker=Failing(), logger=None)
    tracking.algorithm = Algorithm()  # type: ignore[assignment]
    tracking.on_run_end()
    assert capsys.readouterr().out == ""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "agent.json").touch()
    tracking.on_run_end()
    place = f"no connection; the agent lies in {tmp_path / 'agent'}\n"
    assert capsys.readouterr().out == f"mlflow did not get the agent: {place}"
    tracking.close()
    assert capsys.readouterr().out == f"mlflow did not end the run: {place}"


class StandIn(Logger):
    """For one of Lightning's, which needs a package and a server."""

    name, version = "stand-in", "abc-1"

    def __init__(self, **settings: Any) -> None:
        pass

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("nobody is logged in")

    def log_metrics(self, metrics: Any, step: Any = None) -> None:
        pass


def test_a_run_is_gone_on_with_under_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []

    class Noting(StandIn):
        def __init__(self, **settings: Any) -> None:
            told.append(settings)

        def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
            told.append({"params": params["game"]})

    monkeypatch.setattr("lightning.pytorch.loggers.WandbLogger", Noting)
    start(tmp_path / "run", "logger=wandb").close()
    go_on(tmp_path / "run").close()
    begun, params, gone_on = told
    assert (begun.get("id"), params, gone_on["id"]) == (None, {"params": "Pong"}, "abc-1")
    assert begun["group"] == gone_on["group"] == "Pong-weight_norm"


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ([], "run/mlruns"),
        (["logger.tracking_uri=sqlite:///{0}/all.db"], "mlruns"),
        (["logger.tracking_uri=http://127.0.0.1:1"], None),
        (["+logger.artifact_location=s3://mine"], "s3://mine"),
    ],
)
def test_what_mlflow_keeps_lies_beside_its_database(
    words: list[str], place: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []

    class Noting(StandIn):
        def __init__(self, **settings: Any) -> None:
            told.append(settings)

        def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
            pass

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("lightning.pytorch.loggers.MLFlowLogger", Noting)
    (tmp_path / "run").mkdir()
    words = ["game=Pong", f"run_dir={tmp_path}/run", "logger=mlflow", *(word.format(tmp_path) for word in words)]
    make_loggers(compose_config("train", *words), keep_until_agent_steps=None)
    is_path = place is not None and "://" not in place
    assert told[0].get("artifact_location") == ((tmp_path / str(place)).as_uri() if is_path else place)


def test_a_server_that_cannot_be_reached_is_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning.pytorch.loggers.WandbLogger", StandIn)
    with pytest.raises(ConfigurationError, match="wandb cannot be logged to: nobody is logged in; mend that, or"):
        start(tmp_path / "run", "logger=wandb")
    assert not (tmp_path / "run").exists()

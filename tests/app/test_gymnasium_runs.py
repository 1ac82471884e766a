"""The user's whole line in environments of Gymnasium: train, stop, go on, evaluate, watch; and what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tests.helpers.gymnasium_toys  # noqa: F401  # registers them
from tests.helpers.configurations import compose_config
from tests.helpers.killed_runs import assert_equal
from tests.helpers.signals import SendSignal
from wn_rl import evaluate, watch
from wn_rl.app import training
from wn_rl.app.configuration import resolve_configuration
from wn_rl.app.training import Run
from wn_rl.errors import ConfigurationError
from wn_rl.runs.agent import load_agent
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.runs.layout import LAST_CHECKPOINT

SMALL = [
    "env=gymnasium", "total_agent_steps=600", "iteration_agent_steps=300", "chunk_agent_steps=50",
    "warmup_agent_steps=100", "batch_size=8", "samples_per_agent_step=1", "initialization_batch_size=32",
    "target_period_updates=15", "replay.capacity=450", "replay.n_step=3", "network.hidden_units=4", "num_envs=2",
    "num_threads=1", "num_env_threads=1", "evaluation.episodes=3", "evaluation.num_envs=2", "evaluation.epsilon=0.2",
    "video.period_iterations=2", "video.max_seconds=1", "progress=false", "logger=none",
    "weight_statistics.period_agent_steps=0",
]  # fmt: skip
CORRIDOR = "env.id=tests.helpers.gymnasium_toys:Corridor-v0"


def start(folder: Path, *overrides: str) -> Run:
    return training.start_run(compose_config("train", *SMALL, f"run_dir={folder}", *overrides), preset="dopamine")


def resume(folder: Path, *words: str) -> Run:
    config = compose_config("train", f"resume={folder}", *words)
    return training.resume_run(config, overrides=[f"resume={folder}", *words], folder=folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert start(folder, "env.id=CartPole-v1").train()
    return folder


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_says_what_it_played_and_shows_it(finished: Path) -> None:
    rows = read_lines(finished / "evaluations.jsonl")
    assert {(row["game"], row["protocol"], row["human_normalized"]) for row in rows} == {
        ("CartPole-v1", "gymnasium", None)
    }
    videos = [path for path in (finished / "videos").glob("*.mp4") if path.stat().st_size > 0]
    assert len(videos) == 4  # the median games of both evaluations, and the last best and worst
    assert "CartPole-v1" in (finished / "index.html").read_text()
    agent = load_agent(finished)
    assert (agent.stack_size, agent.observation) == (1, ((4,), "float32"))


@pytest.mark.parametrize("storage", ["ram", "compressed"])
def test_a_run_that_is_stopped_and_resumed_ends_as_the_untouched_one(
    storage: str, finished: Path, tmp_path: Path
) -> None:
    made = start(tmp_path, "env.id=CartPole-v1", f"replay.storage={storage}")
    made.trainer.callbacks.insert(0, SendSignal(450))
    assert not made.train()
    assert resume(tmp_path).train()
    ends = [read_checkpoint(folder / LAST_CHECKPOINT) for folder in (tmp_path, finished)]
    for end in ends:
        del end["wn_rl"]["replay"]["segments"], end["wn_rl"]["replay"]["next_number"]  # the stop wrote one more
    for key in ("state_dict", "optimizer_states", "wn_rl"):
        assert_equal(ends[0][key], ends[1][key], key)
    assert (tmp_path / "evaluations.jsonl").read_text() == (finished / "evaluations.jsonl").read_text()


def test_an_agent_is_evaluated_and_watched_by_the_same_commands(finished: Path, tmp_path: Path) -> None:
    words = [f"agent={finished}", "episodes=3", "num_envs=2", "num_threads=1", f"output_dir={tmp_path}"]
    for _ in range(2):
        evaluate.main(compose_config("evaluate", *words))
    first, second = read_lines(tmp_path / "evaluations.jsonl")
    assert first == second
    assert (first["game"], first["protocol"], first["episodes"]) == ("CartPole-v1", "gymnasium", 3)
    watch.main(compose_config("watch", *words, "scale=1"))
    episode = next((tmp_path / "episodes").rglob("001.npz"))
    watch.main(compose_config("watch", f"episode={episode}", "scale=1", f"output_dir={tmp_path / 'one'}"))
    assert len(list(tmp_path.rglob("*.mp4"))) == 4
    with pytest.raises(ConfigurationError, match=r"overlay=true draws gray frames, and this agent sees float32 \[4\]"):
        watch.main(compose_config("watch", *words, "overlay=true"))
    with pytest.raises(ConfigurationError, match="protocol=nature is for env=atari, which the agent does not play"):
        evaluate.main(compose_config("evaluate", *words, "protocol=nature"))


def test_images_of_truth_values_train_and_a_resumed_run_imports_only_what_is_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = start(tmp_path, CORRIDOR, "network.stack_size=2", "video.period_iterations=1")
    made.trainer.callbacks.insert(0, SendSignal(450))
    assert not made.train()
    output = capsys.readouterr().out
    assert "network.torso=minatar, for observations uint8 [3, 10, 6]" in output
    assert output.count("videos are missing: Corridor-v0 cannot be shown: it has no render_mode=rgb_array") == 1
    assert not list(tmp_path.rglob("*.mp4"))
    assert "helpers" not in (tmp_path / "config.yaml").read_text()
    with pytest.raises(
        ConfigurationError, match=r"env\.id was Corridor-v0 when this run began and cannot become Gray-v0"
    ):
        resume(tmp_path, "env.id=Gray-v0")
    assert resume(tmp_path, CORRIDOR).train()
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("Corridor-v0", "os:Corridor-v0"))
    with pytest.raises(ConfigurationError, match="would import code, which no file may ask for"):
        resume(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["env.id=CartPole-v9"], "unknown environment 'CartPole-v9': did you mean CartPole-v"),
        ([], "env=gymnasium, game=None: name it by env.id=CartPole-v1"),
        (["env.id=CartPole-v1", "game=Pong"], "env=gymnasium, game=Pong: name it by env.id"),
        (["env=atari", "env.id=CartPole-v1"], "env.id=CartPole-v1 is no Atari game; say env=gymnasium too"),
        (
            ["env=atari", "game=Pong", "protocol=gymnasium"],
            "protocol=gymnasium is for env=gymnasium, not for env=atari",
        ),
        (["env.id=CartPole-v1", "protocol=nature"], "protocol=nature is for env=atari, not for env=gymnasium"),
        (["env.id=Pendulum-v1"], "Pendulum-v1 has actions Box"),
        (["env.id=OfDicts-v0"], "OfDicts-v0 has observations Dict"),
        (["env.id=CartPole-v1", "+env.kwargs.sutton='a:b'"], "env.kwargs.sutton='a:b' needs a plain number"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(words: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refusal:
        resolve_configuration(compose_config("train", "env=gymnasium", *words))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["network.torso=nature"], r"this torso is of convolutions, and observations are float32 \[4\], no images"),
        (["network.center_pixels=true"], r"network.center_pixels=true needs images, not float32 \[4\]"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_before_anything_is_written(
    words: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        start(tmp_path / "run", "env.id=CartPole-v1", *words)
    assert not (tmp_path / "run").exists()


def test_what_is_resolved_fits_the_observations() -> None:
    vectors = resolve_configuration(compose_config("train", "env=gymnasium", "env.id=CartPole-v1"))
    assert (vectors.game, vectors.network.torso, vectors.network.stack_size) == ("CartPole-v1", "vector", 1)
    assert (vectors.precision, vectors.protocol.name, vectors.replay.storage) == ("32-true", "gymnasium", "ram")
    changed = resolve_configuration(compose_config("train", "env=gymnasium", "env.id=CartPole-v1", "network=dueling"))
    assert (changed.network.dueling, changed.network.torso) == (True, "vector")
    atari = resolve_configuration(compose_config("train", "game=Pong", "network.torso=auto"))
    assert (atari.network.torso, atari.network.stack_size, atari.protocol.name) == ("nature", 4, "machado")


@pytest.mark.slow
def test_cart_pole_is_learned_in_minutes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wn_rl.train", "env=gymnasium", "env.id=CartPole-v1", "preset=cartpole",
               "num_threads=1", "progress=false", f"run_dir={tmp_path}"]  # fmt: skip
    subprocess.run(command, check=True, timeout=590)
    subprocess.run(
        [sys.executable, "-m", "wn_rl.evaluate", f"agent={tmp_path}", "episodes=100", "epsilon=0"],
        check=True,
        timeout=300,
    )
    row = read_lines(tmp_path / "evaluations.jsonl")[-1]
    assert (row["source"], row["episodes"]) == ("evaluate", 100)
    assert row["mean"] >= 475

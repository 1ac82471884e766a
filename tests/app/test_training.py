"""The user's whole line on a real game, made small: train, stop, go on, evaluate, watch."""

import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from scripts.publishing import publish_agent
from tests.helpers.configurations import compose_config
from tests.helpers.killed_runs import assert_equal
from tests.helpers.signals import SendSignal
from wn_rl import evaluate, watch
from wn_rl.app import build
from wn_rl.app import training as run
from wn_rl.app import watch_games as showing
from wn_rl.app.training import Run
from wn_rl.envs.rendering import load_episode
from wn_rl.errors import ConfigurationError
from wn_rl.runs.agent import load_agent, make_q_function
from wn_rl.runs.checkpoint_file import read_checkpoint

SMALL = [
    "game=Pong", "preset=quick", "total_agent_steps=600", "iteration_agent_steps=300", "chunk_agent_steps=50",
    "warmup_agent_steps=100", "batch_size=8", "samples_per_agent_step=1", "initialization_batch_size=32",
    "target_period_updates=15", "replay.capacity=450", "network.torso=mlp", "network.hidden_units=4", "num_envs=2",
    "num_threads=1", "num_env_threads=2", "protocol.max_episode_frames=400", "evaluation.episodes=3",
    "evaluation.num_envs=2", "video.period_iterations=2", "video.max_seconds=1", "video.scale=1", "progress=false",
    "logger=none", "weight_statistics.period_agent_steps=200", "weight_statistics.num_states=16",
]  # fmt: skip


def start(folder: Path, *overrides: str) -> Run:
    return run.start_run(compose_config("train", *SMALL, f"run_dir={folder}", *overrides), preset="quick")


def resume(folder: Path) -> Run:
    return run.resume_run(compose_config("train", f"resume={folder}"), overrides=[], folder=folder)


def get_weights(made: Run) -> bytes:
    return b"".join(value.float().numpy().tobytes() for value in made.algorithm.state_dict().values())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    made = start(folder, "logger=tensorboard")
    assert made.train()
    return folder, get_weights(made)


def test_what_a_run_does_to_long_games_and_few_evaluations_is_said_and_spared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Environments would be cut after 110 / 2 agent steps; one game is evaluated in one environment."""
    asked: list[int] = []
    make = build.make_environments

    def note(config: Any, *, num_envs: int, num_threads: int) -> Any:
        asked.append(num_envs)
        return make(config, num_envs=num_envs, num_threads=num_threads)

    monkeypatch.setattr(build, "make_environments", note)
    assert start(
        tmp_path / "run", "total_agent_steps=110", "iteration_agent_steps=110", "evaluation.episodes=1"
    ).train()
    assert asked == [2, 1]
    told = "games longer than 55 agent steps (iteration_agent_steps / num_envs) are cut in training"
    assert told in capsys.readouterr().out


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def drop_clocks(folder: Path) -> list[list[str]]:
    header, *lines = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    clocks = {number for number, name in enumerate(header) if name.startswith("speed/")}
    return [[value for number, value in enumerate(line) if number not in clocks] for line in [header, *lines]]


def test_a_run_folder_holds_what_the_readme_says(finished: tuple[Path, bytes]) -> None:
    folder, _ = finished
    for name in ("config.yaml", "provenance.json", "metrics.csv", "evaluations.jsonl", "agent/agent.json",
                 "agent/weights.safetensors", "checkpoints/last.ckpt"):  # fmt: skip
        assert (folder / name).stat().st_size > 0
    videos = sorted(path.name.split("-")[0:2] for path in (folder / "videos").glob("*.mp4"))
    assert [steps for steps, _ in videos] == ["000000300"] + ["000000600"] * 3  # stages, and the last best and worst
    assert {"best", "worst"} <= {rank for _, rank in videos}
    assert all(path.with_suffix(".png").is_file() for path in (folder / "videos").glob("*.mp4"))
    page = (folder / "index.html").read_text()
    assert page.count("<video") == 5  # the last median game is a stage, and stands beside best and worst
    assert [len(list(path.glob("*.npz"))) for path in (folder / "episodes").iterdir()] == [3, 3]
    rows = read_lines(folder / "evaluations.jsonl")
    assert [row["agent_steps"] for row in rows] == [300, 600]
    assert set(rows[0]) >= {
        "game", "protocol", "episodes", "epsilon", "agent_steps", "mean", "ci95_low", "ci95_high", "median", "min",
        "max", "human_normalized", "seed",
    }  # fmt: skip
    steps = [int(line[0]) for line in drop_clocks(folder)[1:]]
    assert steps == sorted(steps)
    assert steps[-1] == 600
    assert not list(folder.rglob("*.tmp"))


def test_tensorboard_groups_what_a_run_logs_and_shows_its_game(finished: tuple[Path, bytes]) -> None:
    events = EventAccumulator(str(finished[0] / "tensorboard")).Reload()
    tags = events.Tags()
    groups = {tag.split("/")[0] for tag in tags["scalars"]}
    assert groups == {"train", "evaluation", "weights", "speed"}
    assert {"train/loss", "evaluation/mean", "weights/output/effective_learning_rate"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("evaluation/mean")] == [300, 600]
    assert tags["images"] == ["evaluation/game"]


@pytest.mark.parametrize(
    "agent_steps",
    [pytest.param(150, marks=pytest.mark.slow), pytest.param(300, marks=pytest.mark.slow), 450],
)
def test_a_real_game_goes_on_exactly_where_it_was_interrupted(
    tmp_path: Path, finished: tuple[Path, bytes], agent_steps: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    made = start(folder, "progress=true")
    made.trainer.callbacks.insert(0, SendSignal(agent_steps))
    assert not made.train()
    output = capsys.readouterr().out
    assert "replay.storage=ram: up to 0.00 GB on cpu, where " in output  # what auto took is said in one line
    assert f"python -m wn_rl.train resume={folder}" in output
    assert "the run goes on, or was stopped" in (folder / "index.html").read_text()
    assert ("iteration 1/2: mean" in output) == (agent_steps > 300)
    resumed = resume(folder)
    assert resumed.train()
    assert "iteration 2/2: mean" in capsys.readouterr().out
    assert get_weights(resumed) == finished[1]
    assert drop_clocks(folder) == drop_clocks(finished[0])
    assert read_lines(folder / "evaluations.jsonl") == read_lines(finished[0] / "evaluations.jsonl")


def kill_again_and_again(folder: Path, words: list[str], chance: random.Random) -> None:
    """SIGKILL of the command itself, at moments drawn from the time that a whole run takes; then to the end."""
    num_kills = 0
    for seconds in [*(chance.uniform(5, 15) for _ in range(4)), None]:
        command = [sys.executable, "-m", "wn_rl.train", *words]
        with folder.with_suffix(".txt").open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            try:
                assert process.wait(seconds) == 0, folder.with_suffix(".txt").read_text()
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                num_kills += 1
        if (folder / "config.yaml").exists():  # else it was killed before it began
            words = [f"resume={folder}"]
    assert num_kills > 0


def check_ends_the_same(folder: Path, whole: Path) -> None:
    assert drop_clocks(folder) == drop_clocks(whole)
    assert read_lines(folder / "evaluations.jsonl") == read_lines(whole / "evaluations.jsonl")
    one, other = (read_checkpoint(path / "checkpoints" / "last.ckpt") for path in (folder, whole))
    for key in ("state_dict", "optimizer_states", "wn_rl", "epoch", "global_step", "callbacks"):
        assert_equal(one[key], other[key], key)


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["ram", "compressed"])
def test_a_real_game_killed_again_and_again_ends_the_same(
    tmp_path: Path, finished: tuple[Path, bytes], storage: str
) -> None:
    folder = tmp_path / "run"
    kill_again_and_again(folder, [*SMALL, f"run_dir={folder}", f"replay.storage={storage}"], random.Random(storage))
    check_ends_the_same(folder, finished[0])


@pytest.mark.slow
def test_on_a_cpu_every_operation_of_a_run_is_a_deterministic_one(tmp_path: Path, finished: tuple[Path, bytes]) -> None:
    made = start(tmp_path / "run", "deterministic=true")
    try:
        assert made.train()  # an operation that is not would raise
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert get_weights(made) == finished[1]


@pytest.mark.gpu
@pytest.mark.parametrize("storage", ["ram", "device"])
def test_on_a_gpu_a_deterministic_run_killed_again_and_again_ends_the_same(tmp_path: Path, storage: str) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    words = [*SMALL, "network.torso=nature", "accelerator=gpu", "deterministic=true", f"replay.storage={storage}"]
    assert run.start_run(compose_config("train", *words, f"run_dir={whole}"), preset="quick").train()
    kill_again_and_again(folder, [*words, f"run_dir={folder}"], random.Random(storage))
    check_ends_the_same(folder, whole)


def test_callbacks_change_no_weight(tmp_path: Path, finished: tuple[Path, bytes]) -> None:
    made = start(tmp_path / "run")
    assert len(made.trainer.callbacks) >= 5
    made.trainer.callbacks = []
    made.trainer.loggers = []
    made.trainer.fit(made.algorithm)
    assert made.algorithm.num_updates >= 50
    assert get_weights(made) == finished[1]


def test_the_same_call_plays_the_same_games(tmp_path: Path, finished: tuple[Path, bytes]) -> None:
    for name in ("a", "b"):
        evaluate.main(
            compose_config("evaluate", f"agent={finished[0]}", "episodes=4", "num_envs=2", "epsilon=0.2",
                           "num_threads=1", f"output_dir={tmp_path / name}")
        )  # fmt: skip
    (row,), (other,) = (read_lines(tmp_path / name / "evaluations.jsonl") for name in ("a", "b"))
    assert row == other
    assert (row["episodes"], row["epsilon"], row["agent_steps"]) == (4, 0.2, 600)
    episodes = [sorted((tmp_path / name).rglob("*.npz")) for name in ("a", "b")]
    assert len(episodes[0]) == 4
    for one, two in zip(*episodes, strict=True):
        first, second = load_episode(one), load_episode(two)
        assert first.seed == second.seed
        assert first.episode_return == second.episode_return
        np.testing.assert_array_equal(first.actions, second.actions)


def test_watching_writes_best_median_and_worst(tmp_path: Path, finished: tuple[Path, bytes]) -> None:
    watch.main(
        compose_config("watch", f"agent={finished[0]}", "episodes=3", "num_envs=2", "scale=1", "num_threads=1",
                       f"output_dir={tmp_path}", f"episodes_dir={finished[0] / 'episodes' / '000000600'}")
    )  # fmt: skip
    ranks = sorted(path.name.split("-")[0] for path in tmp_path.rglob("*.mp4"))
    assert ranks == ["best", "median", "worst"]


def test_a_stored_game_is_shown_by_itself_and_as_an_agent_sees_it(
    tmp_path: Path, finished: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    episode = finished[0] / "episodes" / "000000600" / "001.npz"
    asked: list[bool] = []
    monkeypatch.setattr(
        showing, "record_episode", lambda *words, **settings: asked.append(settings["view"] is not None)
    )
    for words in ([], ["overlay=true", f"agent={finished[0]}"], [f"agent={finished[0]}"]):
        watch.main(compose_config("watch", f"episode={episode}", f"output_dir={tmp_path}", *words))
    assert asked == [False, True, False]
    with pytest.raises(ConfigurationError, match=r"overlay=true draws what an agent sees; name it with agent=\.\.\."):
        watch.main(compose_config("watch", f"episode={episode}", "overlay=true"))
    with pytest.raises(ConfigurationError, match="live=true shows an agent that plays"):
        watch.main(compose_config("watch", f"episode={episode}", f"agent={finished[0]}", "live=true"))


def test_an_agent_is_the_same_from_its_folder_and_from_a_checkpoint(finished: tuple[Path, bytes]) -> None:
    observation = torch.randint(0, 256, (5, 4, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    agents = [load_agent(finished[0] / name) for name in ("", "agent", "checkpoints/last.ckpt")]
    values = [make_q_function(agent.network)(observation) for agent in agents]
    assert torch.equal(values[0], values[1])
    torch.testing.assert_close(values[0], values[2], atol=1e-6, rtol=1e-5)


def test_a_logger_that_is_missing_leaves_no_run_that_blocks_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, **settings: Any) -> None:
        raise ModuleNotFoundError("No module named 'wandb'")

    monkeypatch.setattr("lightning.pytorch.loggers.WandbLogger.__init__", fail)
    with pytest.raises(ConfigurationError, match="logger cannot be made: No module named 'wandb'"):
        start(tmp_path / "run", "logger=wandb")
    assert not (tmp_path / "run" / "config.yaml").exists()
    start(tmp_path / "run").close()


class Malice:
    """Runs code when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (os.environ["WN_RL_TEST_MALICE"],))


def test_a_malicious_checkpoint_is_refused_and_does_not_run(
    tmp_path: Path, finished: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WN_RL_TEST_MALICE", str(tmp_path / "ran"))
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text((finished[0] / "config.yaml").read_text())
    checkpoint.write_bytes(pickle.dumps({"wn_rl": Malice()}))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_agent(checkpoint)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        resume(tmp_path / "run")
    assert not (tmp_path / "ran").exists()
    pickle.loads(checkpoint.read_bytes())  # it would have
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("damage", ["cut", "flip", "json", "shape"])
def test_a_damaged_agent_is_refused_in_one_line(tmp_path: Path, finished: tuple[Path, bytes], damage: str) -> None:
    weights = (finished[0] / "agent" / "weights.safetensors").read_bytes()
    description = (finished[0] / "agent" / "agent.json").read_text()
    if damage == "cut":
        weights = weights[: len(weights) // 2]
    if damage == "flip":
        weights = weights[:-9] + bytes([weights[-9] ^ 1]) + weights[-8:]
    if damage == "json":
        description = description[:50]
    if damage == "shape":
        description = description.replace('"hidden_units": 4', '"hidden_units": 5')
    (tmp_path / "weights.safetensors").write_bytes(weights)
    (tmp_path / "agent.json").write_text(description)
    with pytest.raises(ConfigurationError, match="cannot be read") as raised:
        load_agent(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_published_agent_plays_as_its_description_says(finished: tuple[Path, bytes], tmp_path: Path) -> None:
    folder = publish_agent.publish(finished[0], tmp_path, episodes=2)
    assert folder == tmp_path / "Pong"
    assert sorted(path.name for path in folder.iterdir()) == [
        "agent.json", "learning_curve.csv", "video.mp4", "video.png", "weights.safetensors",
    ]  # fmt: skip
    published, source = load_agent(folder), load_agent(finished[0])
    for ours, theirs in zip(published.network.parameters(), source.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.half().float(), rtol=0, atol=0)
    evaluate.main(compose_config("evaluate", f"agent={folder}", "episodes=2", f"output_dir={tmp_path}"))
    (played,) = read_lines(tmp_path / "evaluations.jsonl")
    assert played == published.description["evaluation"]
    assert "run_dir" not in published.description["config"]

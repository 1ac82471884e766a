"""The smallest second algorithm: every command takes it as it takes DQN, though it has neither replay nor target."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from torch import Tensor

from tests.helpers.configurations import compose_config
from tests.helpers.killed_runs import assert_equal
from tests.helpers.signals import SendSignal
from wn_rl import evaluate, watch
from wn_rl.acting.collector import Collector
from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.app import build, training
from wn_rl.learning.settings import LearnerSettings
from wn_rl.losses.q_learning import compute_value_loss, select_action
from wn_rl.runs.agent import make_network
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.runs.layout import LAST_CHECKPOINT
from wn_rl.system.fields import setting, share
from wn_rl.system.seeding import make_stream
from wn_rl.types import VectorEnvironment

WORDS = [
    "env=gymnasium", "env.id=tests.helpers.gymnasium_toys:Corridor-v0", "algorithm=online", "num_envs=2",
    "total_agent_steps=400", "iteration_agent_steps=200", "chunk_agent_steps=50", "evaluation.episodes=3",
    "evaluation.num_envs=2", "video.period_iterations=0", "logger=none", "progress=false", "num_threads=1",
    "weight_statistics.period_agent_steps=100", "weight_statistics.num_states=8", "network.hidden_units=4",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OnlineSettings(LearnerSettings):
    gamma: float = setting(share)


class OnlineQLearning(Algorithm):
    """Watkins' Q-learning from each round's transitions, once."""

    def __init__(self, config: DictConfig, settings: Any, environments: VectorEnvironment, folder: Path) -> None:
        super().__init__(
            run_length=settings.run_length, generator=make_stream(settings.seed, "sampling"),
            collector=Collector(environments=environments, generator=make_stream(settings.seed, "exploration")),
        )  # fmt: skip
        self.config, self.settings = config, settings
        description = build.describe_network(config, environments)
        self.network = make_network(description, make_stream(settings.seed, "initialization"))
        self.policy = build.make_policy(config, environments)(lambda s: self.network(s).q_values)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return build.make_optimizer(self.config, self.network)

    def begin(self, saved: dict[str, Any] | None) -> None:
        if saved is None:
            self.begin_iteration(0)
        else:
            self.collector.load_state_dict(saved["collector"], self.policy)

    def begin_iteration(self, iteration: int) -> None:
        self.collector.begin_iteration(self.settings.seed, iteration)

    def run_round(self) -> None:
        self.collector.begin_round(self.policy, self.settings.make_epsilon(0)(self.agent_steps))
        played = self.collector.end_round()
        step, self.seen = played.step, played.state.stack
        r_t, goes_on = torch.from_numpy(step.reward), torch.from_numpy(~step.terminated)
        with torch.no_grad():
            q_t = self.network(torch.from_numpy(step.frame)[:, None]).q_values.amax(dim=1)
        predicted = select_action(self.network(self.seen).q_values, torch.from_numpy(played.actions))
        target = r_t + self.settings.gamma * goes_on * q_t
        loss = compute_value_loss(predicted, target, error_function="mse").loss.mean()
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        self.num_updates += 1
        self.metrics.add(loss=loss)

    def compute_statistics(self) -> dict[str, float]:
        return {**super().compute_statistics(), "train/epsilon": self.settings.make_epsilon(0)(self.agent_steps)}

    def sample_states(self, num_states: int, generator: torch.Generator) -> Tensor:
        return self.seen[torch.randint(len(self.seen), (num_states,), generator=generator)]


def start(folder: Path, *callbacks: Callback) -> None:
    yaml = folder.parent / "configs" / "algorithm" / "online.yaml"
    yaml.parent.mkdir(parents=True, exist_ok=True)
    yaml.write_text("# @package _global_\nalgorithm: online\ngamma: 0.9\n")
    words = [*WORDS, f"hydra.searchpath=[file://{yaml.parents[1]}]", f"run_dir={folder}"]
    build.ALGORITHMS["online"] = build.AlgorithmEntry(OnlineSettings, OnlineQLearning)
    made = training.start_run(compose_config("train", *words), preset="dopamine")
    made.trainer.callbacks[1:1] = callbacks
    assert made.train()


def start_and_kill(folder: Path) -> None:
    start(folder, SendSignal(300, SIGKILL))


def test_it_is_trained_killed_resumed_evaluated_and_shown_by_the_same_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "ALGORITHMS", dict(build.ALGORITHMS))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start(whole)
    code = f"from {__name__} import *; start_and_kill(Path({str(killed)!r}))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == -SIGKILL, process.stderr
    assert read_checkpoint(killed / LAST_CHECKPOINT)["agent"]["agent_steps"] == 200
    words = [f"resume={killed}", WORDS[1]]
    assert training.resume_run(compose_config("train", *words), overrides=words, folder=killed).train()
    one, other = (read_checkpoint(folder / LAST_CHECKPOINT) for folder in (whole, killed))
    for key in ("state_dict", "optimizer_states", "wn_rl"):
        assert_equal(one[key], other[key], key)
    assert one["wn_rl"]["num_updates"] == 200
    assert (whole / "evaluations.jsonl").read_text() == (killed / "evaluations.jsonl").read_text()
    evaluate.main(compose_config("evaluate", f"agent={killed}", WORDS[1], "episodes=2", f"output_dir={tmp_path / 'e'}"))
    assert (tmp_path / "e" / "evaluations.jsonl").read_text().count("Corridor-v0") == 1
    (killed / "index.html").unlink()
    watch.main(compose_config("watch", f"run={killed}"))
    assert "Corridor-v0" in (killed / "index.html").read_text()

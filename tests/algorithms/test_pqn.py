"""PQN: its targets against a brute force over whole episodes, what it learns on a chain, and when it does what."""

import os
import signal
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from torch import Tensor

from tests.helpers.counting import CountingEnvironments, make_random_outcomes
from tests.helpers.killed_runs import assert_equal, describe_folder, make_run, run_in_child
from tests.helpers.networks import SIZES
from tests.helpers.toy_runs import FRAME_SHAPE, GAMMA, NUM_STATES, make_chain, make_toy_pqn, make_trainer
from wn_rl.acting.collector import Round
from wn_rl.algorithms.pqn import PQN
from wn_rl.app.configured import CONFIG_DIRECTORY
from wn_rl.app.hydra_version import VERSION_BASE
from wn_rl.app.resume import check_checkpoint
from wn_rl.app.training import resume_run, start_run
from wn_rl.callbacks.checkpoint import RunCheckpoint
from wn_rl.callbacks.interruption import Interruption
from wn_rl.errors import ConfigurationError
from wn_rl.networks.impala import IMPALA_WIDTHS
from wn_rl.networks.network_settings import NetworkSettings
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.runs.layout import LAST_CHECKPOINT, METRICS_FILE


class Moment(NamedTuple):
    """What one lane saw, and what its action brought."""

    reward: float
    ends_discount: bool
    truncated: bool
    next_frame: np.ndarray


class Oracle:
    """Listens to a PQN that plays, and compares the targets of each rollout with those of the definition."""

    def __init__(self, module: PQN, *, life_loss_ends_discount: bool, trace_decay: float) -> None:
        self._module, self._trace_decay = module, trace_decay
        self._life_loss_ends_discount = life_loss_ends_discount
        self._lanes: list[list[Moment]] = [[] for _ in range(module.collector.num_envs)]
        self._end_round, self._compute_targets = module.collector.end_round, module.compute_targets
        module.collector.end_round = self._listen  # type: ignore[method-assign]
        module.compute_targets = self._compare  # type: ignore[method-assign]
        self.lengths: list[int] = []

    def _listen(self) -> Round:
        played = self._end_round()
        step = played.step
        for lane, moments in enumerate(self._lanes):
            ends = bool(step.terminated[lane] or (self._life_loss_ends_discount and step.life_lost[lane]))
            reward = min(max(float(step.reward[lane]), -1.0), 1.0)
            moments.append(Moment(reward, ends, bool(step.truncated[lane]), step.frame[lane].copy()))
        return played

    def _compare(self) -> Tensor:
        targets = self._compute_targets()
        expected = np.array([self._compute_returns(moments) for moments in self._lanes]).T
        np.testing.assert_allclose(targets.numpy(), expected, rtol=1e-4, atol=1e-4)
        self.lengths.append(len(targets))
        for moments in self._lanes:
            moments.clear()
        return targets

    def _compute_returns(self, moments: list[Moment]) -> list[float]:
        frames = torch.from_numpy(np.stack([moment.next_frame for moment in moments])).unsqueeze(1)
        values = self._module.acting(frames).amax(dim=1).double().tolist()
        return [self._mix(moments[first:], values[first:]) for first in range(len(moments))]

    def _mix(self, moments: list[Moment], values: list[float]) -> float:
        """sum_n (1 - lambda) lambda^(n-1) G^(n), all that is left on the last of them: Eq. 12.3, Sutton & Barto."""
        mixture, reward_sum = 0.0, 0.0
        for n, (moment, value) in enumerate(zip(moments, values, strict=True), start=1):
            reward_sum += GAMMA ** (n - 1) * moment.reward
            n_step_return = reward_sum + (0.0 if moment.ends_discount else GAMMA**n * value)
            if moment.ends_discount or moment.truncated or n == len(moments):
                return mixture + self._trace_decay ** (n - 1) * n_step_return
            mixture += (1 - self._trace_decay) * self._trace_decay ** (n - 1) * n_step_return
        raise AssertionError("no step")


@pytest.mark.parametrize(
    ("seed", "trace_decay", "life_loss_ends_discount"),
    [(0, 0.65, True), (1, 0.65, False), (2, 0.0, True), (3, 1.0, True)],
)
def test_targets_are_those_of_a_brute_force_over_random_episodes(
    tmp_path: Path, seed: int, trace_decay: float, life_loss_ends_discount: bool
) -> None:
    outcomes = make_random_outcomes(
        seed=seed, num_rounds=200, num_envs=5, termination_probability=0.1, truncation_probability=0.1,
        life_loss_probability=0.1,
    )  # fmt: skip
    module = make_toy_pqn(
        environments=CountingEnvironments(outcomes=outcomes, num_actions=2, frame_shape=FRAME_SHAPE),
        total_agent_steps=900, iteration_agent_steps=450, num_rounds=20, trace_decay=trace_decay,
        life_loss_ends_discount=life_loss_ends_discount, initialization="random", learning_rate=1e-2,
    )  # fmt: skip
    oracle = Oracle(module, life_loss_ends_discount=life_loss_ends_discount, trace_decay=trace_decay)
    make_trainer(module, tmp_path, []).fit(module)
    assert oracle.lengths == [20] * 4 + [10] + [20] * 4 + [10]  # an iteration's end ends a rollout
    assert module.num_updates == 2 * (8 * 7 + 2 * 4)  # ceil(100 / 16) and ceil(50 / 16) minibatches, twice


@pytest.mark.parametrize(
    "normalizer", ["weight_norm", *(pytest.param(name, marks=pytest.mark.slow) for name in ("none", "layer_norm"))]
)
def test_the_chain_is_learned_to_within_five_hundredths(tmp_path: Path, normalizer: str) -> None:
    module = make_toy_pqn(
        total_agent_steps=4000, normalizer=normalizer, learning_rate=1e-2, num_epochs=4, trace_decay=0.0
    )
    make_trainer(module, tmp_path, []).fit(module)
    frames = torch.from_numpy(make_chain().state_frames()[: NUM_STATES - 1]).unsqueeze(1)
    with torch.no_grad():
        q_values = module.network.eval()(frames).q_values.numpy()
    optimal = make_chain().compute_optimal_q_values(GAMMA)[: NUM_STATES - 1]
    np.testing.assert_allclose(q_values, optimal, atol=0.05)


class LearningRates(Callback):
    """Notes after how many agent steps each update was made, and by which learning rate."""

    def __init__(self) -> None:
        self.moments: list[tuple[int, float]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.moments.append((pl_module.agent_steps, optimizer.param_groups[0]["lr"]))


def test_the_learning_rate_falls_linearly_with_agent_steps(tmp_path: Path) -> None:
    rates = LearningRates()
    module = make_toy_pqn(total_agent_steps=800, learning_rate=1e-2)
    make_trainer(module, tmp_path, [rates]).fit(module)
    assert {steps for steps, _ in rates.moments} == set(range(80, 801, 40))  # after the rollout of the first weights
    for steps, rate in rates.moments:
        assert rate == pytest.approx(1e-2 * (1 - steps / 800))


def test_first_weights_come_from_a_rollout_of_random_play_which_is_not_learned_from(tmp_path: Path) -> None:
    module = make_toy_pqn(total_agent_steps=44, initial_q_std=0.5, initialization_batch_size=500)
    before = torch.cat([parameter.detach().flatten().clone() for parameter in module.network.parameters()])
    make_trainer(module, tmp_path, []).fit(module)  # one round after the warm-up: an update, at a rate of 0
    assert module.warmup_agent_steps == 40
    assert module.num_updates == 2
    after = torch.cat([parameter.detach().flatten() for parameter in module.network.parameters()])
    assert not torch.equal(before, after)
    q_values = module.acting(module.sample_states(500, torch.Generator().manual_seed(0)))
    assert q_values.std() < 1


def test_a_step_left_over_alone_goes_with_the_minibatch_before(tmp_path: Path) -> None:
    """Which batch normalization refuses by itself: 16 steps are 3 + 3 + 3 + 3 + 4."""
    module = make_toy_pqn(total_agent_steps=48, num_rounds=4, batch_size=3, normalizer="batch_norm")
    make_trainer(module, tmp_path, []).fit(module)
    assert module.num_updates == 2 * 2 * 5


@pytest.mark.parametrize("final_learning_rate", [0.0, 0.02])
def test_a_checkpoint_may_hold_the_learning_rates_until_then_and_no_others(
    tmp_path: Path, final_learning_rate: float
) -> None:
    """Whether they fall or rise."""
    make = partial(make_toy_pqn, total_agent_steps=200, learning_rate=0.01, final_learning_rate=final_learning_rate)
    saving = RunCheckpoint(
        run_dir=tmp_path, agent_description={"game": "Chain"}, interruption=Interruption(), keep_last=1, keep_best=0
    )
    module = make()
    make_trainer(module, tmp_path, [saving]).fit(module)
    path = tmp_path / LAST_CHECKPOINT
    checkpoint = read_checkpoint(path)
    module = make()
    module.rollout.allocate()
    check_checkpoint(checkpoint, module, path)
    for group in checkpoint["optimizer_states"][0]["param_groups"]:
        group["lr"] = 0.01 + 1.1 * (final_learning_rate - 0.01)
    with pytest.raises(ConfigurationError, match="its optimizer was told lr="):
        check_checkpoint(checkpoint, module, path)


class Stop(Callback):
    """Sends a signal to this process in the chunk, or the round of the warm-up, that ends at so many agent steps.

    To be the first of the callbacks: the others see the chunk end with a run that is to stop.
    """

    def __init__(self, agent_steps: int) -> None:
        self._agent_steps = agent_steps

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        pl_module.on_warmup_round = partial(self.on_train_batch_end, trainer, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if pl_module.agent_steps == self._agent_steps:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any]]:
    """How many changes an untouched run makes in its folder, and what it leaves there."""
    folder = tmp_path_factory.mktemp("untouched")
    return run_in_child(folder, algorithm="pqn"), describe_folder(folder)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_killed_run_ends_the_same(tmp_path: Path, untouched: tuple[int, dict[str, Any]], share: float) -> None:
    num_operations, expected = untouched
    assert run_in_child(tmp_path, kill_at_operation=int(share * num_operations), algorithm="pqn") == 0
    assert run_in_child(tmp_path, algorithm="pqn") > 0
    assert_equal(describe_folder(tmp_path), expected)


@pytest.mark.parametrize(("agent_steps", "num_rounds"), [(20, 5), (280, 9)])
def test_a_run_stopped_amid_a_rollout_ends_the_same(
    tmp_path: Path, untouched: tuple[int, dict[str, Any]], agent_steps: int, num_rounds: int
) -> None:
    """In the warm-up, and in the second rollout of an iteration."""
    stopped = make_run(tmp_path, algorithm="pqn")
    stopped.trainer.callbacks.insert(0, Stop(agent_steps))
    assert not stopped.train()
    state: Any = stopped.algorithm.saved_state()
    assert state["rollout"]["values"].shape == (2, num_rounds, 4)
    assert make_run(tmp_path, algorithm="pqn").train()
    assert_equal(describe_folder(tmp_path), untouched[1])


def test_a_saved_rollout_of_other_rounds_is_refused() -> None:
    module = make_toy_pqn()
    module.rollout.allocate()
    state = module.saved_state()
    module.check_state(state)
    with pytest.raises(ConfigurationError, match="the saved rollout's values are"):
        module.check_state({**state, "rollout": {"values": torch.zeros(2, 1, 4)}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 41}, r"batch_size=41 is more than the num_envs \* rollout.num_rounds = 40 agent steps"),
        ({"iteration_agent_steps": 40}, "do not end within the first iteration"),
        ({"head": "quantile"}, "network.head=quantile learns a distribution"),
        ({"memory": "lstm", "batch_size": 16}, "network.memory=lstm learns from whole lanes, and batch_size=16 is no"),
        ({"memory": "lstm", "batch_size": 20, "compile": True}, "of many lengths, which compile=true cannot take"),
        ({"memory": "lstm", "batch_size": 20, "minibatch_parts": 2}, "of many lengths, which minibatch_parts=2 cannot"),
        (
            {"memory": "lstm", "batch_size": 20, "normalizer": "projection"},
            "normalizer=projection has nothing for recurrent layers, as network.memory=lstm is; say normalizer=none or",
        ),
    ],
)
def test_what_cannot_go_together_is_refused(changes: dict[str, Any], message: str) -> None:
    head, memory = changes.pop("head", "linear"), changes.pop("memory", None)
    normalizer = changes.pop("normalizer", "none")
    network = NetworkSettings(
        **asdict(SIZES), torso="mlp", head=head, dueling=False, noisy=False, hidden_units=4, stack_size=1,
        center_pixels=False, impala_widths=IMPALA_WIDTHS, impala_pooled_size=None,
        memory=memory, memory_units=4,
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match=message):
        make_toy_pqn(**changes).settings.check(network=network, normalizer=normalizer, accelerator="cpu")


def test_a_run_of_the_command_line_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """With weight statistics on states of the rollout, in an environment whose frames are vectors."""
    words = [
        "env=gymnasium", "env.id=CartPole-v1", "preset=pqn_quick", "total_agent_steps=480", "iteration_agent_steps=240",
        "chunk_agent_steps=24", "num_envs=4", "rollout.num_rounds=10", "batch_size=20", "network.hidden_units=4",
        "network.torso=auto",
        "num_threads=1", "num_env_threads=1", "evaluation.episodes=2", "evaluation.num_envs=2", "progress=false",
        "video.period_iterations=0", "logger=none", "weight_statistics.period_agent_steps=24",
    ]  # fmt: skip
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert start_run(compose_training(*words, f"run_dir={whole}"), preset="pqn_quick").train()
    stopped = start_run(compose_training(*words, f"run_dir={parts}"), preset="pqn_quick")
    stopped.trainer.callbacks.insert(0, Stop(336))
    assert not stopped.train()
    assert stopped.algorithm.saved_state()["rollout"]["values"].shape == (2, 4, 4)
    assert resume_run(compose_training(f"resume={parts}"), overrides=[], folder=parts).train()
    ends = [torch.load(folder / LAST_CHECKPOINT, weights_only=True) for folder in (whole, parts)]
    for key in ("state_dict", "optimizer_states", "wn_rl"):
        assert_equal(ends[1][key], ends[0][key], key)
    assert_equal(read_metrics(parts), read_metrics(whole))


def compose_training(*words: str) -> DictConfig:
    with initialize_config_dir(str(CONFIG_DIRECTORY), **VERSION_BASE):
        return compose("train", overrides=list(words))


def read_metrics(folder: Path) -> list[dict[str, str]]:
    """Clocks apart."""
    header, *lines = [line.split(",") for line in (folder / METRICS_FILE).read_text().splitlines()]
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    return [{name: value for name, value in row.items() if not name.startswith("speed/")} for row in rows]

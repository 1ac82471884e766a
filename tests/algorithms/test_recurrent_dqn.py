"""DQN with a memory: what it learns from against a brute force, a maze that needs one, and when it goes on exactly."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.algorithms.test_pqn import Stop
from tests.helpers.counting import CountingEnvironments, FrameIdentity, decode_frame, make_random_outcomes
from tests.helpers.killed_runs import assert_equal, describe_folder, make_run, run_in_child
from tests.helpers.networks import NORMALIZERS_OF_A_RUN
from tests.helpers.recall import TMazes, play_mazes
from tests.helpers.toy_runs import (
    FRAME_SHAPE,
    GAMMA,
    MEMORY_UNITS,
    make_policy,
    make_policy_for,
    make_toy_module,
    make_trainer,
)
from wn_rl.acting.collector import Round
from wn_rl.acting.policies import Policy
from wn_rl.algorithms.recurrent_dqn import RecurrentDQN
from wn_rl.networks.episode_memory import compute_memory_size
from wn_rl.nn.normalizers import RECURRENT_NORMALIZERS
from wn_rl.replay.prioritized_sampler import PrioritizedSampler
from wn_rl.replay.sequence_settings import SequenceSection
from wn_rl.types import BatchLoss, SequenceBatch


def make_section(length: int, overlap: int, burn_in: int, start: str = "stored") -> SequenceSection:
    return SequenceSection(length=length, overlap=overlap, burn_in=burn_in, start=start, max_priority_share=0.9)


@dataclass
class Observed:
    """An observation of a lane, what was remembered before it, and what was done and what that brought, if anything."""

    identity: FrameIdentity
    stack: Tensor
    is_first: bool
    memory: Tensor
    action: int | None = None
    reward: float = 0.0
    terminated: bool = False


def rescale(x: Tensor) -> Tensor:
    return x.sign() * ((x.abs() + 1).sqrt() - 1) + 1e-3 * x


def undo_rescaling(y: Tensor) -> Tensor:
    """By bisection: it is a function that grows."""
    low, high = torch.full_like(y, -1e4), torch.full_like(y, 1e4)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = torch.where(rescale(middle) < y, middle, low), torch.where(rescale(middle) < y, high, middle)
    return middle


class Oracle:
    """Plays along, one lane and one step at a time, and compares what is learned from, loss, gradient and priority."""

    def __init__(self, module: RecurrentDQN) -> None:
        self._module, self._settings = module, module.settings
        num_envs = module.collector.num_envs
        self._nothing = torch.zeros(1, module.network.memory.size)
        self._memory = [self._nothing] * num_envs
        self.lanes: list[list[Observed]] = [[] for _ in range(num_envs)]
        self._act, module.policy.act = module.policy.act, self._listen_to_act  # type: ignore[method-assign]
        self._observe, module.policy.observe = module.policy.observe, self._see  # type: ignore[method-assign]
        self._end_round = module.collector.end_round
        module.collector.end_round = self._listen  # type: ignore[method-assign]
        self._compute_loss = module.compute_loss
        module.compute_gradient._compute_loss = self._compare  # type: ignore[attr-defined]
        self._update_priorities = module.replay.update_priorities
        module.replay.update_priorities = self._check_priorities  # type: ignore[method-assign]
        self._priority: list[float] = []
        self.num_compared = self.num_resets = self.num_idle = self.num_stored = 0

    def _see(self, frames: np.ndarray, is_first: np.ndarray, state: Any) -> Any:
        for lane, observed in enumerate(self.lanes):
            memory = self._nothing if is_first[lane] else self._memory[lane]
            self._note(observed, frames[lane], bool(is_first[lane]), memory)
        return self._observe(frames, is_first, state)

    def _listen_to_act(self, frames: np.ndarray, is_first: np.ndarray, state: Any) -> Any:
        result = self._act(frames, is_first, state)
        for lane, observed in enumerate(self.lanes):
            with torch.no_grad():
                output = self._module.acting.network(observed[-1].stack, memory=observed[-1].memory)
            self._memory[lane] = output.memory
        return result

    def _listen(self) -> Round:
        played = self._end_round()
        for lane, observed in enumerate(self.lanes):
            observed[-1].action = int(played.actions[lane])
            observed[-1].reward = float(np.clip(played.step.reward[lane], -1, 1))
            observed[-1].terminated = bool(played.step.terminated[lane])
            if played.step.ended[lane] or self._module.has_iteration_ended:
                self._note(observed, played.step.frame[lane], False, self._nothing)
        return played

    def _note(self, observed: list[Observed], frame: np.ndarray, is_first: bool, memory: Tensor) -> None:
        identity = decode_frame(frame)
        assert identity is not None
        observed.append(Observed(identity, torch.from_numpy(frame.copy())[None, None], is_first, memory))

    def _compare(self, online: nn.Module, batch: SequenceBatch) -> BatchLoss:
        result, section = self._compute_loss(online, batch), self._settings.sequence
        num_sequences, num_positions = batch.is_first.shape
        assert num_positions == section.length + self._settings.replay.n_step
        assert num_sequences * section.length == self._settings.batch_size
        losses, self._priority = [], []
        for number in range(num_sequences):
            weight = float(batch.weight[number * section.length : (number + 1) * section.length].max())
            identity = decode_frame(batch.observations[number * num_positions, -1].numpy())
            assert identity is not None
            lane = self.lanes[identity.lane]
            (place,) = [index for index, observed in enumerate(lane) if observed.identity == identity]
            begin = place - section.burn_in
            assert begin % (section.length - section.overlap) == 0
            window = lane[begin : begin + section.burn_in + num_positions]
            losses += self._learn(online, window, weight)
            self.num_compared += 1
        expected = torch.stack(losses)
        torch.testing.assert_close(result.loss, expected, rtol=1e-3, atol=1e-5)
        parameters = list(online.parameters())
        gradient, of_expected = (
            torch.cat([part.flatten() for part in torch.autograd.grad(loss.mean(), parameters, retain_graph=True)])
            for loss in (result.loss, expected)
        )
        assert (gradient - of_expected).norm() < 1e-3 * of_expected.norm()
        return result

    def _learn(self, online: nn.Module, window: list[Observed], weight: float) -> list[Tensor]:
        """The loss of each step that is learned from; the targets are those of the definition."""
        section, settings = self._settings.sequence, self._settings
        start = window[0].memory if section.start == "stored" and window[0].action is not None else self._nothing
        self.num_stored += bool(start.any())
        q_values = self._unroll(online, window, start)
        with torch.no_grad():
            target_values = self._unroll(self._module.target.network, window, start)
        losses, errors = [], []
        for t in range(section.burn_in, section.burn_in + section.length):
            action = window[t].action
            if action is None:
                losses.append(0.0 * q_values[t].sum())
                self.num_idle += 1
                continue
            r, discount, u = 0.0, 1.0, t
            while u < t + settings.replay.n_step and window[u].action is not None:
                r += discount * window[u].reward
                discount *= 0.0 if window[u].terminated else GAMMA
                u += 1
            selector = q_values if settings.double else target_values
            value = target_values[u][0, int(selector[u].argmax())].double()
            bootstrapped = undo_rescaling(value) if settings.value_rescaling else value
            y = r + discount * bootstrapped
            y = rescale(y) if settings.value_rescaling else y
            error = y.float().detach() - q_values[t][0, action]
            losses.append(weight * 0.5 * error**2)
            errors.append(error.detach().abs().item())
        self._priority.append(0.9 * max(errors) + 0.1 * sum(errors) / len(errors))
        return losses

    def _unroll(self, network: nn.Module, window: list[Observed], memory: Tensor) -> list[Tensor]:
        values = []
        for number, observed in enumerate(window):
            if observed.is_first:
                self.num_resets += number > 0
                memory = torch.zeros_like(memory)
            output = network(observed.stack, memory=memory)
            memory = output.memory
            if number < self._settings.sequence.burn_in:
                memory = memory.detach()
            values.append(output.q_values)
        return values

    def _check_priorities(self, index: Tensor, priority: Tensor) -> None:
        torch.testing.assert_close(priority, torch.tensor(self._priority), rtol=1e-3, atol=1e-5)
        self._update_priorities(index, priority)


@pytest.mark.parametrize(
    ("memory", "section", "changes"),
    [
        ("lstm", make_section(length=4, overlap=2, burn_in=3), {"double": True, "value_rescaling": True}),
        ("gru", make_section(length=3, overlap=0, burn_in=2, start="zeros"), {}),
        ("gru", make_section(length=5, overlap=4, burn_in=0), {}),
    ],
)
def test_loss_gradient_and_priority_are_those_of_steps_played_one_at_a_time(
    tmp_path: Path, memory: str, section: SequenceSection, changes: dict[str, Any]
) -> None:
    """Over ends, time limits, an iteration's end and overwritten steps; nothing goes back into what is burned in."""
    outcomes = make_random_outcomes(
        seed=0, num_rounds=100, num_envs=4, termination_probability=0.1, truncation_probability=0.1,
        life_loss_probability=0.0,
    )  # fmt: skip
    module = make_toy_module(
        tmp_path, environments=CountingEnvironments(outcomes=outcomes, num_actions=2, frame_shape=FRAME_SHAPE),
        memory=memory, total_agent_steps=320, iteration_agent_steps=160, warmup_agent_steps=80, n_step=2, capacity=120,
        batch_size=4 * section.length, samples_per_agent_step=section.length, learning_rate=1e-2, sequence=section,
        target_period_updates=3, sampler=PrioritizedSampler(priority_exponent=0.9, importance_exponent=0.6), **changes,
    )  # fmt: skip
    assert isinstance(module, RecurrentDQN)
    oracle = Oracle(module)
    make_trainer(module, tmp_path, []).fit(module)
    assert oracle.num_compared == 4 * module.num_updates > 200
    assert min(oracle.num_resets, oracle.num_idle) > 50
    assert (oracle.num_stored > 50) == (section.start == "stored")


@pytest.mark.parametrize("normalizer", ["weight_norm", "none"])
def test_the_burn_in_is_by_the_newest_weights(tmp_path: Path, normalizer: str) -> None:
    module = make_toy_module(tmp_path, memory="gru", normalizer=normalizer, total_agent_steps=260, batch_size=8)
    assert isinstance(module, RecurrentDQN)
    compute_gradient, differences, of_targets = module.compute_gradient, [], []

    def compare(batch: SequenceBatch) -> BatchLoss:
        with torch.no_grad():
            online, acting = (
                network(batch.observations).q_values for network in (module.network, module.acting.network)
            )
        differences.append((online - acting).abs().max().item())
        assert not batch.memory.requires_grad
        of_targets.append((batch.memory - batch.target_memory).abs().max().item())
        return compute_gradient(batch)

    module.compute_gradient = compare
    make_trainer(module, tmp_path, []).fit(module)
    assert len(differences) > 20
    assert max(differences) < 1e-5 < sorted(of_targets)[len(of_targets) // 2]  # which moves every 25 updates


def make_maze_learner(folder: Path, memory: str | None, **changes: Any) -> Any:
    return make_toy_module(
        folder, environments=TMazes(num_envs=16, num_steps=3), memory=memory, total_agent_steps=4000,
        iteration_agent_steps=4000, warmup_agent_steps=320, samples_per_agent_step=16, batch_size=64,
        learning_rate=1e-2, target_period_updates=10, initialization_batch_size=64,
        **{"sequence": make_section(length=8, overlap=4, burn_in=4), **changes},
    )  # fmt: skip


def make_forgetful_policy(q_function: Any) -> Policy:
    """Of a network with a memory, by one that remembers nothing of an episode."""
    nothing = torch.zeros(20, compute_memory_size("lstm", MEMORY_UNITS))
    return make_policy(lambda stack: q_function(stack, nothing)[0])


@pytest.mark.parametrize(
    ("memory", "changes", "least", "most"),
    [
        ("lstm", {}, 0.95, 1.0),
        pytest.param("gru", {"double": True, "value_rescaling": True}, 0.95, 1.0, marks=pytest.mark.slow),
        (None, {}, -0.4, 0.4),
    ],
)
def test_a_maze_is_solved_by_who_remembers_and_by_nobody_else(
    tmp_path: Path, memory: str | None, changes: dict[str, Any], least: float, most: float
) -> None:
    module = make_maze_learner(tmp_path, memory, **changes)
    make_trainer(module, tmp_path, []).fit(module)
    assert least <= play_mazes(module.network, make_policy_for(memory), num_steps=3) <= most
    if memory == "lstm":
        assert -0.4 <= play_mazes(module.network, make_forgetful_policy, num_steps=3) <= 0.4


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an untouched run leaves in its folder."""
    folder = tmp_path_factory.mktemp("untouched")
    assert make_run(folder, algorithm="dqn_lstm").train()
    return describe_folder(folder)


def leave_out_segments(description: dict[str, Any]) -> dict[str, Any]:
    """Whoever stops writes the frames so far: those are compared, and not into which files they were cut."""
    saved = {key: value for key, value in description["algorithm"]["replay"].items() if key == "replay"}
    return {**description, "algorithm": {**description["algorithm"], "replay": saved}, "files": None}


@pytest.mark.parametrize("agent_steps", [20, 280])
def test_a_stopped_run_ends_the_same(tmp_path: Path, untouched: dict[str, Any], agent_steps: int) -> None:
    """In the warm-up, and amid an iteration, with sequences that began before."""
    stopped = make_run(tmp_path, algorithm="dqn_lstm")
    stopped.trainer.callbacks.insert(0, Stop(agent_steps))
    assert not stopped.train()
    state: Any = stopped.algorithm.saved_state()
    memories = state["collector"]["memory"], state["replay"]["replay"]["sequences"]["memory"]
    assert [bool(memory.any()) for memory in memories] == [agent_steps == 280] * 2
    assert make_run(tmp_path, algorithm="dqn_lstm").train()
    assert_equal(*map(leave_out_segments, (describe_folder(tmp_path), untouched)))


@pytest.mark.slow
def test_a_killed_run_ends_the_same(tmp_path: Path, untouched: dict[str, Any]) -> None:
    assert run_in_child(tmp_path, kill_at_operation=60, algorithm="dqn_lstm") == 0
    assert run_in_child(tmp_path, algorithm="dqn_lstm") > 0
    assert_equal(describe_folder(tmp_path), untouched)


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"normalizer": name}
            for name in NORMALIZERS_OF_A_RUN
            if isinstance(name, str) and name in RECURRENT_NORMALIZERS
        ),
        {"head": "quantile", "error_function": "huber", "value_rescaling": True},
        {"head": "noisy_dueling_categorical", "error_function": "cross_entropy", "value_rescaling": True},
        {"munchausen": True},
        {"advantage_learning": 0.5, "double": True},
    ],
    ids=str,
)
def test_it_learns_under_what_goes_with_it(tmp_path: Path, changes: dict[str, Any]) -> None:
    module = make_toy_module(
        tmp_path, total_agent_steps=240, memory="gru", n_step=3,
        sampler=PrioritizedSampler(priority_exponent=0.9, importance_exponent=0.6), **changes,
    )  # fmt: skip
    make_trainer(module, tmp_path, []).fit(module)
    assert module.num_updates == 9
    gradients = [parameter.grad for parameter in module.network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)

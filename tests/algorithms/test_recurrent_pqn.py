"""PQN with a memory: what it learns from against a brute force, a maze that needs one, and when it goes on exactly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.algorithms.test_pqn import Stop
from tests.helpers.counting import CountingEnvironments, decode_frame, make_random_outcomes
from tests.helpers.killed_runs import assert_equal, describe_folder, make_run, run_in_child
from tests.helpers.networks import NORMALIZERS_OF_A_RUN
from tests.helpers.recall import TMazes, play_mazes
from tests.helpers.toy_runs import FRAME_SHAPE, make_policy_for, make_toy_pqn, make_trainer
from wn_rl.acting.collector import Round
from wn_rl.algorithms.pqn import PQN
from wn_rl.errors import ConfigurationError
from wn_rl.nn.normalizers import RECURRENT_NORMALIZERS
from wn_rl.types import BatchLoss, RolloutBatch


class Oracle:
    """Plays along, one lane and one step at a time, and compares what is learned from, and by which values."""

    def __init__(self, module: PQN) -> None:
        self._module = module
        num_envs = module.collector.num_envs
        self._memory = [torch.zeros(1, module.network.memory.size) for _ in range(num_envs)]
        self._starts = self._memory
        self._stacks: list[list[Tensor]] = [[] for _ in range(num_envs)]
        self._begins: list[list[bool]] = [[] for _ in range(num_envs)]
        self._is_first = [True] * num_envs
        self._end_round, self._compute_loss = module.collector.end_round, module.compute_loss
        module.collector.end_round = self._listen  # type: ignore[method-assign]
        module.compute_gradient._compute_loss = self._compare  # type: ignore[attr-defined]
        self._values = torch.zeros(num_envs)
        self._next_frames = torch.zeros(num_envs, 1, *FRAME_SHAPE, dtype=torch.uint8)
        self._set_values = module.rollout.set_values
        module.rollout.set_values = self._check_values  # type: ignore[method-assign]
        self.lanes: list[int] = []
        self.num_resets = self.num_final_values = 0

    def _listen(self) -> Round:
        played = self._end_round()
        if self._module.rollout.num_rounds == 0:
            self._starts = [*self._memory]
            self._stacks, self._begins = ([[] for _ in self._memory] for _ in range(2))
        for lane, stack in enumerate(played.state.stack.split(1)):
            self._stacks[lane].append(stack)
            self._begins[lane].append(self._is_first[lane])
            if self._is_first[lane]:
                self._memory[lane] = torch.zeros_like(self._memory[lane])
            if self._module.agent_steps > self._module.warmup_agent_steps:  # who plays at random remembers nothing
                output = self._module.acting.network(stack, memory=self._memory[lane])
                self._memory[lane], self._values[lane] = output.memory, output.q_values.max()
            self._is_first[lane] = bool(played.step.ended[lane])
        self._next_frames = torch.from_numpy(played.step.frame).unsqueeze(1)
        if self._module.has_iteration_ended:
            self._is_first = [True] * len(self._is_first)
        return played

    def _check_values(self, values: Tensor, final_values: Tensor) -> None:
        torch.testing.assert_close(values, self._values)
        for lane in final_values.nonzero().flatten().tolist():
            output = self._module.acting.network(self._next_frames[lane : lane + 1], memory=self._memory[lane])
            torch.testing.assert_close(final_values[lane], output.q_values.max())
            self.num_final_values += 1
        self._set_values(values, final_values)

    def _compare(self, online: nn.Module, batch: RolloutBatch) -> BatchLoss:
        result = self._compute_loss(online, batch)
        assert batch.is_first is not None
        lanes = [tensor.unflatten(0, batch.is_first.shape) for tensor in (batch.s_tm1, result.q_tm1)]
        for stacks, q_values in zip(*lanes, strict=True):
            identity = decode_frame(stacks[0, -1].numpy())
            assert identity is not None
            assert torch.equal(stacks, torch.cat(self._stacks[identity.lane]))
            expected = self._unroll(online, identity.lane)
            torch.testing.assert_close(q_values, expected, rtol=1e-4, atol=1e-5)
            self.lanes.append(identity.lane)
        return result

    @torch.no_grad()
    def _unroll(self, online: nn.Module, lane: int) -> Tensor:
        memory, q_values = self._starts[lane], []
        for stack, begins in zip(self._stacks[lane], self._begins[lane], strict=True):
            output = online(stack, memory=torch.zeros_like(memory) if begins else memory)
            memory = output.memory
            q_values.append(output.q_values)
            self.num_resets += begins
        return torch.cat(q_values)


@pytest.mark.parametrize("memory", ["lstm", "gru"])
def test_lanes_are_unrolled_as_they_were_played(tmp_path: Path, memory: str) -> None:
    outcomes = make_random_outcomes(
        seed=0, num_rounds=100, num_envs=4, termination_probability=0.1, truncation_probability=0.1,
        life_loss_probability=0.1,
    )  # fmt: skip
    module = make_toy_pqn(
        environments=CountingEnvironments(outcomes=outcomes, num_actions=2, frame_shape=FRAME_SHAPE), memory=memory,
        total_agent_steps=200, iteration_agent_steps=100, num_rounds=10, batch_size=20, learning_rate=1e-2,
    )  # fmt: skip
    oracle = Oracle(module)
    make_trainer(module, tmp_path, []).fit(module)
    # a rollout of the warm-up; then whole ones, and 5 rounds at the end of each iteration; 2 epochs of 2 minibatches
    num_rollouts = 1 + 1 + 2 + 1
    assert module.num_updates == 2 * 2 * num_rollouts
    epochs = [oracle.lanes[begin : begin + 4] for begin in range(0, len(oracle.lanes), 4)]
    assert [sorted(lanes) for lanes in epochs] == [[0, 1, 2, 3]] * (2 * num_rollouts)
    assert len({tuple(lanes) for lanes in epochs}) > 5
    assert oracle.num_resets > 40
    assert oracle.num_final_values > 20  # of ends of rollouts, and of time limits


@pytest.mark.parametrize(
    ("memory", "least", "most"),
    [("lstm", 0.95, 1.0), pytest.param("gru", 0.95, 1.0, marks=pytest.mark.slow), (None, -0.4, 0.4)],
)
def test_a_maze_is_solved_by_who_remembers_and_by_nobody_else(
    tmp_path: Path, memory: str | None, least: float, most: float
) -> None:
    module = make_toy_pqn(
        environments=TMazes(num_envs=16, num_steps=3), memory=memory, total_agent_steps=3840,
        iteration_agent_steps=3840, chunk_agent_steps=640, num_rounds=8, batch_size=32, num_epochs=4,
        learning_rate=1e-2, trace_decay=0.5,
    )  # fmt: skip
    make_trainer(module, tmp_path, []).fit(module)
    assert least <= play_mazes(module.network, make_policy_for(memory), num_steps=3) <= most


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an untouched run leaves in its folder."""
    folder = tmp_path_factory.mktemp("untouched")
    assert make_run(folder, algorithm="pqn_lstm").train()
    return describe_folder(folder)


@pytest.mark.parametrize(("agent_steps", "num_rounds"), [(20, 5), (280, 9)])
def test_a_run_stopped_amid_a_rollout_ends_the_same(
    tmp_path: Path, untouched: dict[str, Any], agent_steps: int, num_rounds: int
) -> None:
    """In the warm-up, and in the second rollout of an iteration, before which something is remembered."""
    stopped = make_run(tmp_path, algorithm="pqn_lstm")
    stopped.trainer.callbacks.insert(0, Stop(agent_steps))
    assert not stopped.train()
    state: Any = stopped.algorithm.saved_state()
    assert state["rollout"]["values"].shape == (2, num_rounds, 4)
    assert state["rollout"]["memory"].any() == state["collector"]["memory"].any() == (agent_steps == 280)
    assert make_run(tmp_path, algorithm="pqn_lstm").train()
    assert_equal(describe_folder(tmp_path), untouched)


@pytest.mark.slow
def test_a_killed_run_ends_the_same(tmp_path: Path, untouched: dict[str, Any]) -> None:
    assert run_in_child(tmp_path, kill_at_operation=60, algorithm="pqn_lstm") == 0
    assert run_in_child(tmp_path, algorithm="pqn_lstm") > 0
    assert_equal(describe_folder(tmp_path), untouched)


@pytest.mark.parametrize("part", ["rollout", "collector"])
@pytest.mark.parametrize("memory", [torch.zeros(4, 31), torch.full((4, 32), torch.nan), torch.zeros(4, 32).double()])
def test_a_saved_memory_that_is_none_is_refused(part: str, memory: Tensor) -> None:
    module = make_toy_pqn(memory="lstm")
    module.rollout.allocate()
    state = module.saved_state()
    module.check_state(state)
    with pytest.raises(ConfigurationError, match=f"the saved {part}"):
        module.check_state({**state, part: {**state[part], "memory": memory}})


@pytest.mark.parametrize(
    "normalizer", [name for name in NORMALIZERS_OF_A_RUN if isinstance(name, str) and name in RECURRENT_NORMALIZERS]
)
def test_it_learns_under_the_normalizers_that_have_something_for_it(tmp_path: Path, normalizer: str) -> None:
    module = make_toy_pqn(total_agent_steps=80, memory="gru", normalizer=normalizer, batch_size=20)
    make_trainer(module, tmp_path, []).fit(module)
    assert module.num_updates == 2 * 2
    assert all(parameter.grad is not None for parameter in module.network.memory.parameters())

"""The algorithm on a chain whose Q* is known: what it learns, and when it does what."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from tests.helpers.toy_runs import GAMMA, NUM_STATES, make_chain, make_toy_module, make_trainer
from wn_rl.algorithms.dqn import DQN
from wn_rl.learning.settings import DQNSettings
from wn_rl.nn.noisy_linear import NoisyLinear
from wn_rl.replay.prioritized_sampler import PrioritizedSampler
from wn_rl.replay.samplers import UniformSampler
from wn_rl.types import Batch, BatchLoss


def compute_q_values(module: DQN) -> np.ndarray:
    frames = torch.from_numpy(make_chain().state_frames()[: NUM_STATES - 1]).unsqueeze(1)
    with torch.no_grad():
        return module.network.eval()(frames).q_values.numpy()


@pytest.mark.parametrize(
    ("normalizer", "changes"),
    [
        ("weight_norm", {}),
        pytest.param("weight_norm", {"double": True}, marks=pytest.mark.slow),
        pytest.param("none", {"error_function": "huber"}, marks=pytest.mark.slow),
        pytest.param("layer_norm", {}, marks=pytest.mark.slow),
        pytest.param(
            "weight_norm", {"head": "quantile", "double": True, "total_agent_steps": 3000}, marks=pytest.mark.slow
        ),
    ],
)
def test_the_chain_is_learned_to_within_five_hundredths(
    tmp_path: Path, normalizer: str, changes: dict[str, Any]
) -> None:
    settings = {"total_agent_steps": 1500, "iteration_agent_steps": 500, "samples_per_agent_step": 16, **changes}
    module = make_toy_module(tmp_path, target_period_updates=10, normalizer=normalizer, **settings)
    make_trainer(module, tmp_path, []).fit(module)
    optimal = make_chain().compute_optimal_q_values(GAMMA)[: NUM_STATES - 1]
    np.testing.assert_allclose(compute_q_values(module), optimal, atol=0.05)


@pytest.mark.parametrize(
    "changes",
    [{}, pytest.param({"head": "quantile", "double": True, "total_agent_steps": 3000}, marks=pytest.mark.slow)],
)
def test_advantage_learning_keeps_the_best_values_and_doubles_the_gaps(tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = {"total_agent_steps": 2000, "iteration_agent_steps": 500, "samples_per_agent_step": 16, **changes}
    module = make_toy_module(tmp_path, target_period_updates=10, advantage_learning=0.5, **settings)
    make_trainer(module, tmp_path, []).fit(module)
    optimal = make_chain().compute_optimal_q_values(GAMMA)[: NUM_STATES - 1]
    best = optimal.max(axis=1, keepdims=True)
    np.testing.assert_allclose(compute_q_values(module), best - 2 * (best - optimal), atol=0.05)


class UpdateRecorder(Callback):
    """Counts at every optimizer step what the run looks like (Lightning calls this before each)."""

    def __init__(self) -> None:
        self.moments: list[tuple[int, int]] = []  # (agent steps, updates)
        self.target_moved_after: list[int] = []
        self._last_target: torch.Tensor | None = None

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.moments.append((pl_module.agent_steps, pl_module.num_updates))
        target = torch.cat([p.flatten() for p in pl_module.target.parameters()])
        if self._last_target is not None and not torch.equal(target, self._last_target):
            self.target_moved_after.append(pl_module.num_updates)
        self._last_target = target.clone()


def test_the_target_moves_every_period_of_updates_and_never_between(tmp_path: Path) -> None:
    recorder = UpdateRecorder()
    module = make_toy_module(tmp_path, total_agent_steps=600, target_period_updates=7)
    make_trainer(module, tmp_path, [recorder]).fit(module)
    assert module.num_updates == 8 * (600 - 200 - 4) // 32
    assert recorder.target_moved_after == list(range(7, module.num_updates, 7))


@pytest.mark.parametrize("normalizer", ["weight_norm", "none"])
def test_double_q_learning_selects_by_the_newest_weights(tmp_path: Path, normalizer: str) -> None:
    several: dict[str, Any] = {"samples_per_agent_step": 32, "total_agent_steps": 300}  # four updates a round
    module = make_toy_module(tmp_path, double=True, normalizer=normalizer, **several)
    compute_gradient, differences = module.compute_gradient, []

    def compare(batch: Batch) -> BatchLoss:
        with torch.no_grad():
            online, selector = module.network(batch.s_t).q_values, module.acting(batch.s_t)
        differences.append(float((online - selector).abs().max()))
        return compute_gradient(batch)

    module.compute_gradient = compare
    make_trainer(module, tmp_path, []).fit(module)
    assert len(differences) > 20
    assert max(differences) < 1e-5


def read_noise(network: torch.nn.Module) -> tuple[float, ...]:
    layer = next(module for module in network.modules() if isinstance(module, NoisyLinear))
    return tuple(layer.output_noise.tolist())


class NoiseRecorder(Callback):
    """Notes at every optimizer step the noise that the online network, what acts, and the target were used with."""

    def __init__(self) -> None:
        self.noises: list[tuple[tuple[float, ...], ...]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.noises.append(tuple(map(read_noise, (pl_module.network, pl_module.acting, pl_module.target))))


def test_noise_is_new_in_every_round_and_update_and_the_targets_is_its_own(tmp_path: Path) -> None:
    recorder, acted = NoiseRecorder(), []
    module = make_toy_module(tmp_path, total_agent_steps=260, head="noisy")
    module.acting.network.register_forward_hook(lambda *_: acted.append(read_noise(module.acting)))
    make_trainer(module, tmp_path, [recorder]).fit(module)
    assert len(set(acted)) == len(acted) > 10
    online, acting, target = zip(*recorder.noises, strict=True)
    assert online == acting
    assert len({*online, *target, *acted}) == 2 * len(online) + len(acted) > 30


class Schedules(Callback):
    """Notes after how many agent steps each update was made, its learning rate, and beta of the sampler."""

    def __init__(self) -> None:
        self.moments: list[tuple[int, float, float]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        exponent = pl_module.replay._sampler._importance_exponent
        self.moments.append((pl_module.agent_steps, optimizer.param_groups[0]["lr"], exponent))


def test_the_learning_rate_beta_and_gamma_follow_their_schedules(tmp_path: Path) -> None:
    """gamma is that of the time at which a transition is stored: from 0.9 to 0.5 after the 200 steps of the warm-up."""
    recorder, base = Schedules(), make_toy_module(tmp_path / "other").settings.replay
    section = replace(
        base, final_importance_exponent=1.0, importance_exponent_agent_steps=200, final_gamma=0.5, gamma_agent_steps=400
    )
    sampler = PrioritizedSampler(priority_exponent=0.5, importance_exponent=0.1)  # until it is told
    module = make_toy_module(
        tmp_path, total_agent_steps=600, sampler=sampler, learning_rate=1e-2, replay_section=section,
        learning_rate_schedule="linear", final_learning_rate=2e-3, learning_rate_decay_agent_steps=1200,
    )  # fmt: skip
    make_trainer(module, tmp_path, [recorder]).fit(module)
    assert len(recorder.moments) == module.num_updates > 50
    for steps, rate, exponent in recorder.moments:
        assert rate == pytest.approx(1e-2 - 8e-3 * steps / 1200)
        assert exponent == pytest.approx(0.5 + 0.5 * min(1, (steps - 200) / 200))
    assert module.compute_statistics()["train/learning_rate"] == pytest.approx(6e-3)
    batch = module.replay.sample(2000, torch.Generator().manual_seed(0))
    discounts = batch.discount_t[batch.discount_t > 0].double().numpy()
    stored = 0.9 - 0.4 * np.arange(0, 401, 4) / 400
    assert np.abs(discounts[:, None] - stored).min(axis=1).max() < 1e-6
    assert discounts.min() < 0.52
    assert discounts.max() == pytest.approx(0.9)


def test_a_learning_rate_that_stays_is_the_optimizers_own(tmp_path: Path) -> None:
    module = make_toy_module(tmp_path, total_agent_steps=300)
    make_trainer(module, tmp_path, []).fit(module)
    assert "train/learning_rate" not in module.compute_statistics()


def test_updates_keep_pace_with_agent_steps_and_begin_after_the_warmup(tmp_path: Path) -> None:
    recorder = UpdateRecorder()
    module = make_toy_module(tmp_path, total_agent_steps=600, samples_per_agent_step=4)
    make_trainer(module, tmp_path, [recorder]).fit(module)
    for agent_steps, num_updates in recorder.moments:
        assert (agent_steps - 200) * 4 // 32 > num_updates  # this update is due
        assert (agent_steps - 4 - 200) * 4 // 32 <= num_updates  # and was not, a round before
    assert recorder.moments[0][0] == 208


@pytest.mark.parametrize(("samples", "batch_size", "num_envs"), [(8, 32, 8), (0.5, 32, 8), (3, 64, 5), (0, 32, 8)])
def test_the_ratio_of_samples_to_agent_steps_is_kept_exactly(
    tmp_path: Path, samples: float, batch_size: int, num_envs: int
) -> None:
    settings: DQNSettings = make_toy_module(
        tmp_path, samples_per_agent_step=samples, batch_size=batch_size, warmup_agent_steps=1000
    ).settings
    num_updates = 0
    for agent_steps in range(1000, 100_000, num_envs):
        num_updates += settings.compute_num_updates_due(agent_steps, num_updates)
        assert abs(num_updates * batch_size - (agent_steps - 1000) * samples) < max(batch_size, 1)


def test_agent_steps_count_actions_of_single_environments(tmp_path: Path) -> None:
    module = make_toy_module(tmp_path, total_agent_steps=400, environments=make_chain(num_envs=5))
    make_trainer(module, tmp_path, []).fit(module)
    assert module.agent_steps == 400
    assert module.replay.num_agent_steps_stored == 400


def test_no_gradient_reaches_the_target_network(tmp_path: Path) -> None:
    module = make_toy_module(tmp_path, total_agent_steps=300)
    make_trainer(module, tmp_path, []).fit(module)
    for network in (module.target, module.acting):
        assert all(p.grad is None and not p.requires_grad for p in network.parameters())
    optimized = {id(p) for group in module.configure_optimizers().param_groups for p in group["params"]}
    assert optimized == {id(p) for p in module.network.parameters()}


class FirstWeights(Callback):
    """Compares the networks before the first update."""

    def __init__(self) -> None:
        self.difference: float | None = None
        self.statistics: tuple[float, float] | None = None

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self.difference is None:
            frames = pl_module.replay.sample(256, torch.Generator().manual_seed(0)).s_tm1
            with torch.no_grad():
                online = pl_module.network(frames).q_values
                others = [pl_module.target(frames), pl_module.acting(frames)]
            self.difference = max(float((online - other).abs().max()) for other in others)
            self.statistics = (float(online.mean()), float(online.std()))


def test_data_dependent_initialization_runs_before_the_target_is_copied(tmp_path: Path) -> None:
    first = FirstWeights()
    module = make_toy_module(tmp_path, total_agent_steps=300)
    make_trainer(module, tmp_path, [first]).fit(module)
    assert first.difference is not None
    assert first.statistics is not None
    assert first.difference < 1e-5
    mean, deviation = first.statistics
    assert abs(mean) < 0.3  # Eq. 5 of the paper: mean 0, variance 1 on real frames
    assert 0.7 < deviation < 1.3


class Modes(Callback):
    """Notes in which mode the networks are used, and whether the folded copies are what evaluation mode computes."""

    def __init__(self) -> None:
        self.of_updates: set[bool] = set()
        self.of_copies: set[bool] = set()
        self.difference = 0.0
        self.statistics: list[float] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        for copy in (pl_module.acting, pl_module.target):
            for module in copy.network.modules():
                module.register_forward_hook(lambda used, *_: self.of_copies.add(used.training))

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.of_updates |= {module.training for module in pl_module.network.modules()}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        frames = torch.from_numpy(make_chain().state_frames()).unsqueeze(1)
        with torch.no_grad():
            expected = deepcopy(pl_module.network).eval()(frames).q_values
        self.difference = max(self.difference, float((pl_module.acting(frames) - expected).abs().max()))
        self.statistics.append(float(sum(b.double().sum() for b in pl_module.network.buffers())))


@pytest.mark.parametrize("normalizer", ["batch_norm", "weight_norm_mean_only_batch_norm"])
def test_minibatch_statistics_are_used_in_updates_alone_and_running_ones_where_it_acts(
    tmp_path: Path, normalizer: str
) -> None:
    modes = Modes()
    module = make_toy_module(tmp_path, total_agent_steps=300, normalizer=normalizer)
    make_trainer(module, tmp_path, [modes]).fit(module)
    assert modes.of_updates == {True}
    assert modes.of_copies == {False}
    assert modes.difference < 1e-4
    assert len(set(modes.statistics)) > 1  # the running statistics move while learning


def test_episodes_are_cut_at_the_end_of_an_iteration_and_keep_their_bootstrap(tmp_path: Path) -> None:
    chain = make_chain(max_episode_agent_steps=100_000)
    module = make_toy_module(tmp_path, total_agent_steps=600, iteration_agent_steps=300, n_step=3, environments=chain)
    make_trainer(module, tmp_path, []).fit(module)
    assert not module.replay.lanes.is_running.any()
    assert module.replay.num_valid == 600  # nothing is lost, nothing waits


class Observer(Callback):
    """Touches everything that a callback may read, at every hook."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        pl_module.metrics.compute_and_reset(pl_module.agent_steps, pl_module.num_updates)
        pl_module.collector.compute_statistics()
        pl_module.archive.write_new_frames()


def flatten(module: lightning.LightningModule) -> bytes:
    return b"".join(value.numpy().tobytes() for value in module.state_dict().values())


def test_the_same_seed_gives_the_same_run_bit_for_bit(tmp_path: Path) -> None:
    weights = []
    for name in ("a", "b"):
        module = make_toy_module(tmp_path / name, total_agent_steps=400)
        make_trainer(module, tmp_path / name, [Observer()] if name == "b" else []).fit(module)
        weights.append(flatten(module))
    assert weights[0] == weights[1]
    other = make_toy_module(tmp_path / "c", total_agent_steps=400, seed=4)
    make_trainer(other, tmp_path / "c", []).fit(other)
    assert flatten(other) != weights[0]


class WeightedSampler(UniformSampler):
    """Draws uniformly, with importance weights that are not 1, and remembers the priorities reported."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.priorities: list[torch.Tensor] = []

    def draw(self, batch_size: int, **arguments: Any) -> tuple[np.ndarray, np.ndarray]:
        rows, weights = super().draw(batch_size, **arguments)
        return rows, weights * np.float32(self.weight)

    def update_priorities(self, index: torch.Tensor, priority: torch.Tensor) -> None:
        self.priorities.append(priority)


def test_importance_weights_scale_the_loss_and_not_the_priorities(tmp_path: Path) -> None:
    losses, priorities = [], []
    for weight in (1.0, 0.25):
        sampler = WeightedSampler(weight)
        module = make_toy_module(
            tmp_path, total_agent_steps=220, samples_per_agent_step=2, error_function="huber", sampler=sampler
        )
        make_trainer(module, tmp_path, []).fit(module)
        assert module.num_updates == 1
        losses.append(module.metrics.compute_and_reset(module.agent_steps, module.num_updates)["train/loss"])
        priorities.append(sampler.priorities[0])
    assert losses[1] == pytest.approx(0.25 * losses[0])
    torch.testing.assert_close(priorities[0], priorities[1])

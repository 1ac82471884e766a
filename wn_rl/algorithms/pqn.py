"""PQN: Q(lambda) in many environments at once, with neither replay nor target network (Gallici et al. 2024).

A round is one action in each of N environments. T rounds are a rollout: its targets are computed once, its steps are
learned from in a few epochs of minibatches, and then it is forgotten. An iteration's end ends the rollout too. What a
terminal, a life loss and a time limit mean is in the data already (wn_rl/replay/rollout.py). What is to keep learning
stable is the normalization of the network, and no copy of it that stands still.
"""

from collections.abc import Callable
from functools import partial
from math import ceil
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, nn

from wn_rl.acting.collector import Collector, Round
from wn_rl.acting.policies import Policy
from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.learning.gradients import make_gradient_function
from wn_rl.learning.settings import PQNSettings
from wn_rl.losses.lambda_returns import compute_lambda_returns
from wn_rl.losses.q_learning import compute_value_loss, select_action
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.networks.q_network import QNetwork
from wn_rl.nn.noisy_linear import resample_noise_
from wn_rl.replay.rollout import Rollout
from wn_rl.types import BatchLoss, RolloutBatch


class PQN(Algorithm):
    """Parallelised Q-networks: rollouts of N environments, learned from by the network that played them.

    Args:
        network, make_optimizer: the Q-network, [B, S, *frame] -> QOutput, and what makes its optimizer.
        make_policy: what makes the policy of a Q-function, which has a memory where the network has one.
        collector, rollout: the training environments' player, and what holds its last rounds.
        generator: the stream that minibatches, first weights from data, and noise, are drawn from.
        settings: the hyperparameters.
    """

    network: QNetwork

    def __init__(
        self, *, network: QNetwork, make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
        make_policy: Callable[[Any], Policy], collector: Collector, rollout: Rollout,
        generator: torch.Generator, settings: PQNSettings,
    ) -> None:  # fmt: skip
        super().__init__(
            run_length=settings.run_length, collector=collector, generator=generator,
            warmup_agent_steps=settings.warmup_agent_steps,
            learning_rate_schedule=settings.annealed_learning_rate,
        )  # fmt: skip
        self.network = network
        self.acting = FoldedNetwork(network, dtype=settings.folded_dtype)  # brought up to date before use
        act = partial(self.acting.compute_side_by_side, num_parts=settings.minibatch_parts)
        self.policy = make_policy(act if network.memory is None else self.acting.remember)
        self.compute_gradient = make_gradient_function(
            network, self.acting, self.compute_loss,
            num_microbatches=settings.minibatch_parts, compiled=settings.compile,
        )  # fmt: skip
        self.make_optimizer, self.settings, self.rollout = make_optimizer, settings, rollout

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of the network."""
        return self.make_optimizer(self.network)

    def begin(self, saved: dict[str, Any] | None) -> None:
        """Set what depends on data, from a rollout of random play; or go on from a checkpoint."""
        self.rollout.allocate()
        if saved is None:
            self.begin_iteration(0)
        else:
            self.collector.load_state_dict(saved["collector"], self.policy, self._play_again)
            self.rollout.load_state_dict(saved["rollout"])
        while self.agent_steps < self.warmup_agent_steps and not self.trainer.should_stop:
            self.collector.begin_random_round(self.policy)
            self._store(self.collector.end_round())
            self.on_warmup_round()
            if self.rollout.is_full:
                self._initialize()

    def _initialize(self) -> None:
        """The first weights, from real frames; nothing is learned from the rollout that they come from."""
        num_states, is_first = self.settings.initialization_batch_size, None
        if self.network.memory is None:
            frames = self.sample_states(num_states, self.generator)
        else:
            lanes = torch.randperm(self.collector.num_envs, generator=self.generator)
            lanes = lanes[: ceil(num_states / self.rollout.num_rounds)]
            frames, _ = self.rollout.read(self.rollout.find_rows(lanes))
            _, is_first = self.rollout.read_memory(lanes)
        self.network.initialize_from_data(frames, self.settings.initial_q_std, self.generator, is_first=is_first)
        self.share_weights()
        self.acting.expire()
        self.rollout.clear()

    def _play_again(self, played: Round) -> None:
        """A round of the iteration that goes on: of its rollouts the last, which is not full, is kept."""
        self._store(played)
        if self.rollout.is_full:
            self.rollout.clear()

    def _store(self, played: Round) -> None:
        self.rollout.add(played.state.stack, played.actions, played.step, played.state.memory)

    def begin_iteration(self, iteration: int) -> None:
        """An iteration begins with freshly seeded environments."""
        self.collector.begin_iteration(self.settings.seed, iteration)

    def training_step(self, batch: int, batch_idx: int) -> None:
        """A chunk of rounds, after which a checkpoint may be written: what acts in it is what was learned."""
        super().training_step(batch, batch_idx)
        self.acting.sync(self.network)

    def run_round(self) -> None:
        """Act; and when the rollout is full, learn from it."""
        self.acting.sync(self.network)
        resample_noise_(self.generator, self.acting)
        decision = self.collector.begin_round(self.policy, self.settings.epsilon(self.agent_steps))
        played = self.collector.end_round()
        self._store(played)
        ends_rollout = self.rollout.is_full or self.has_iteration_ended
        is_cut = played.step.truncated | ends_rollout
        self.rollout.set_values(decision.q_values.amax(dim=1), self._compute_final_values(played, is_cut))
        if ends_rollout:
            self._learn()

    def _compute_final_values(self, played: Round, is_cut: Bool[np.ndarray, "N"]) -> Float32[Tensor, "N"]:
        """max_a Q(s, a) of the observations that a round led to, before any reset, where ``is_cut``; 0 elsewhere."""
        values = torch.zeros(len(is_cut), device=played.state.stack.device)
        if is_cut.any():
            seen = self.policy.observe(played.step.frame, np.zeros_like(is_cut), played.state)
            lanes = torch.from_numpy(is_cut).to(values.device)
            memory = None if seen.memory is None else seen.memory[lanes]
            values[lanes] = self.acting(seen.stack[lanes], memory).amax(dim=1)
        return values

    def _learn(self) -> None:
        """A few epochs of minibatches of the rollout, whose targets stay as they were when it ended.

        A network with a memory learns from whole lanes: what it remembered before the rollout stays as it was, and the
        gradient goes back through all of the rollout's steps, to an episode's first at most.
        """
        target = self.compute_targets().flatten()
        for _ in range(self.settings.num_epochs):
            if self.network.memory is None:
                for rows in self._draw_minibatches(len(target), self.settings.batch_size):
                    self._update(self._read(rows, target))
            else:
                for lanes in self._draw_minibatches(self.collector.num_envs, self.settings.lanes_per_minibatch):
                    rows, past = self.rollout.find_rows(lanes), self.rollout.read_memory(lanes)
                    self._update(self._read(rows, target, *past))
        self.rollout.clear()

    def _read(self, rows: Int64[Tensor, "B"], target: Float32[Tensor, "_"], *past: Tensor) -> RolloutBatch:
        return RolloutBatch(*self.rollout.read(rows), target[rows.to(target.device)], *past)

    def _draw_minibatches(self, count: int, batch_size: int) -> list[Int64[Tensor, "_"]]:
        """All steps, or lanes, in a random order, ``batch_size`` or fewer at a time.

        One that would be left over alone goes with the minibatch before: by itself it would move the network as much as
        all of those, and under batch statistics not at all.
        """
        order = torch.randperm(count, generator=self.generator)
        minibatches = list(order.chunk(ceil(count / batch_size)))
        if len(minibatches[-1]) == 1 < batch_size and len(minibatches) > 1:
            minibatches[-2:] = [torch.cat(minibatches[-2:])]
        return minibatches

    def compute_targets(self) -> Float32[Tensor, "T N"]:
        """The Q(lambda) target of every step of the rollout (Peng & Williams 1994; Section 4, Gallici et al. 2024),

            y_tm1 = r_t + discount_t ((1 - lambda_t) max_a Q(s_t, a) + lambda_t y_t)

        by the values of the network that played, which is the one that learning begins with: they were computed to act.
        lambda_t is lambda, but 0 where the next row did not follow: after a time limit, whose s_t is the final
        observation, and in the last row. discount_t is 0 after a terminal. No gradient reaches y.
        """
        r_t, discount_t, v_t, lambda_t = self.rollout.compute_transitions()
        return compute_lambda_returns(r_t, discount_t, v_t, lambda_t)

    def _update(self, batch: RolloutBatch) -> None:
        """One optimizer step on one minibatch, and what follows from it."""
        self.network.zero_grad()  # first: gradients must not outlive the next forward pass where that is a CUDA graph
        resample_noise_(self.generator, self.network, self.acting)
        loss, priority, q_tm1 = self.compute_gradient(batch)
        self.apply_gradient(self.settings.max_gradient_norm)
        self.acting.expire()
        max_q_value = q_tm1.amax(dim=1).mean()
        self.metrics.add(loss=loss.mean(), absolute_td_error=priority.mean(), max_q_value=max_q_value)

    def compute_loss(self, online: nn.Module, batch: RolloutBatch) -> BatchLoss:
        """(y - Q(s_tm1, a_tm1))^2 / 2, by the online network or a copy of it with gradients of its own."""
        q_tm1 = online(batch.s_tm1, memory=batch.memory, is_first=batch.is_first).q_values
        loss, td_error = compute_value_loss(select_action(q_tm1, batch.a_tm1), batch.target, error_function="mse")
        return BatchLoss(loss, td_error, q_tm1)

    # --- what others ask

    def compute_statistics(self) -> dict[str, float]:
        """Those of any algorithm, and where exploration is."""
        return {**super().compute_statistics(), "train/epsilon": self.settings.epsilon(self.agent_steps)}

    def sample_states(self, num_states: int, generator: torch.Generator) -> Tensor:
        """Drawn from the rollout."""
        return self.rollout.sample_states(num_states, generator)

    def saved_state(self) -> dict[str, Any]:
        """What any algorithm saves, and the values of a rollout that has not ended."""
        return {**super().saved_state(), "rollout": self.rollout.state_dict()}

    def check_state(self, state: dict[str, Any]) -> None:
        """What any algorithm checks, and the rollout, of the last rounds that were played."""
        super().check_state(state)
        num_rounds_played = len(state["collector"]["actions"])
        self.rollout.check_state_dict(state["rollout"], num_rounds_played=num_rounds_played)

"""DQN: Algorithm 1 of Mnih et al. 2015.

A round is one action in each of N environments, with the updates that fall due while the environments step. What gamma,
n-step sums, reward clipping, a life loss and a time limit mean is in the data already (wn_rl/replay/accumulator.py):
each transition carries its own discount, which is 0 where nothing is to be bootstrapped. The weights are normalized
inside the network (wn_rl/nn/weight_norm.py); acting and targets use folded, plain copies of it.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from wn_rl.acting.collector import Collector, Round
from wn_rl.acting.policies import Policy
from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.learning.gradients import make_gradient_function
from wn_rl.learning.settings import DQNSettings
from wn_rl.losses.advantage_learning import compute_advantage
from wn_rl.losses.bellman_error import Evaluation, compute_error
from wn_rl.losses.munchausen import compute_munchausen_reward, compute_soft_value
from wn_rl.losses.q_learning import select_action
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.networks.q_network import QNetwork
from wn_rl.nn.noisy_linear import resample_noise_
from wn_rl.replay.persistence import ReplayArchive, list_segment_names
from wn_rl.replay.replay import Replay
from wn_rl.system.memory import send
from wn_rl.types import Batch, BatchLoss, QOutput


class Outputs(NamedTuple):
    """What the networks say of a minibatch: all that a loss is computed from, besides what the environments returned.

    ``tm1`` is the online network's of s_tm1; ``t`` the target network's of s_t, and ``selector_t`` what selects its
    action; ``target_tm1`` the target network's values of s_tm1, where they are asked for.
    """

    tm1: QOutput
    t: QOutput
    selector_t: Float32[Tensor, "B A"]
    target_tm1: Float32[Tensor, "B A"] | None


class DQN(Algorithm):
    """Deep Q-learning with replay and a target network, in N environments at once.

    Args:
        network, make_optimizer: the online Q-network, u8 [B, S, H, W] -> QOutput, and what makes its optimizer.
        make_policy: what makes the policy of a Q-function, which has a memory where the network has one.
        collector, replay, archive: the training environments' player, the memory of what it does, and its disk.
        generator: the stream that minibatches, first weights from data, and what a head draws to learn, come from.
        settings: the hyperparameters.
    """

    network: QNetwork

    def __init__(
        self, *, network: QNetwork, make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
        make_policy: Callable[[Any], Policy], collector: Collector, replay: Replay, archive: ReplayArchive,
        generator: torch.Generator, settings: DQNSettings,
    ) -> None:  # fmt: skip
        super().__init__(
            run_length=settings.run_length, collector=collector, generator=generator,
            warmup_agent_steps=settings.warmup_agent_steps,
            learning_rate_schedule=settings.annealed_learning_rate,
        )  # fmt: skip
        self.network = network
        self.acting = FoldedNetwork(network, dtype=settings.folded_dtype)  # brought up to date before use
        self.target = FoldedNetwork(network, dtype=settings.folded_dtype)  # moves every so many updates
        self.policy = make_policy(self.acting if network.memory is None else self.acting.remember)
        self.compute_gradient = make_gradient_function(
            network, self.acting, self.compute_loss,
            num_microbatches=settings.minibatch_parts, compiled=settings.compile,
        )  # fmt: skip
        self.make_optimizer, self.settings = make_optimizer, settings
        self.replay, self.archive = replay, archive

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of the online network alone."""
        return self.make_optimizer(self.network)

    def allocate(self) -> None:
        """The replay's memory."""
        self.replay.allocate()

    def begin(self, saved: dict[str, Any] | None) -> None:
        """Fill the replay with random play, then set what depends on data; or go on from a checkpoint."""
        self.allocate()
        if saved is None:
            self.begin_iteration(0)
        else:
            self.archive.load_state_dict(saved["replay"])
            self.collector.load_state_dict(saved["collector"], self.policy)
        while self.agent_steps < self.warmup_agent_steps and not self.trainer.should_stop:
            self.collector.begin_random_round(self.policy)
            self._store(self.collector.end_round())
            self.on_warmup_round()
            if self.agent_steps >= self.warmup_agent_steps:
                self._initialize()

    def _initialize(self) -> None:
        """The first weights, from real frames: before the target is copied, and before any update."""
        if self.settings.initialization == "data_dependent":
            self._initialize_from_data()
            self.share_weights()
        self.acting.expire()
        self.acting.sync(self.network)
        self._move_target()

    def _initialize_from_data(self) -> None:
        frames = self.sample_states(self.settings.initialization_batch_size, self.generator)
        self.network.initialize_from_data(frames, self.settings.initial_q_std, self.generator)

    def _move_target(self) -> None:
        """The target network becomes what the online network is now."""
        self.target.expire()
        self.target.sync(self.network)

    def begin_iteration(self, iteration: int) -> None:
        """An iteration begins with freshly seeded environments."""
        frames = self.collector.begin_iteration(self.settings.seed, iteration)
        self.replay.start(frames, self.collector.every_lane)

    def training_step(self, batch: int, batch_idx: int) -> None:
        """A chunk of rounds, after which a checkpoint may be written: what acts in it is what was learned."""
        super().training_step(batch, batch_idx)
        self.acting.sync(self.network)

    def run_round(self) -> None:
        """One round of Algorithm 1: act; learn while the environments step; store what they return."""
        self.acting.sync(self.network)
        resample_noise_(self.generator, self.acting)
        self.collector.begin_round(self.policy, self.settings.epsilon(self.agent_steps))
        for _ in range(self.settings.compute_num_updates_due(self.agent_steps, self.num_updates)):
            self._update()
        self._store(self.collector.end_round())

    def _store(self, played: Round) -> None:
        """Store what every environment did, and where an episode ended, the first frame of the next one."""
        self.replay.set_gamma(self.settings.gamma(self.agent_steps))
        self.replay.add(played.step, played.actions)
        if played.first_frames is not None:
            self.replay.start(played.first_frames, played.step.ended)

    def _update(self) -> None:
        """One optimizer step on one minibatch, and what follows from it."""
        self.network.zero_grad()  # first: gradients must not outlive the next forward pass where that is a CUDA graph
        self.replay.set_importance_exponent(self.settings.importance_exponent(self.agent_steps))
        batch = self._draw_batch()
        if self.settings.double:
            self.acting.sync(self.network)  # which selects the actions of the target
        loss, priority, q_tm1 = self.compute_gradient(batch)
        self.apply_gradient(self.settings.max_gradient_norm)
        self.acting.expire()
        if self.num_updates % self.settings.target_period_updates == 0:
            self._move_target()
        self._note_errors(batch, priority)
        error_name = self.network.head.distribution.error_name
        max_q_value = q_tm1.amax(dim=1).mean()
        self.metrics.add(**{"loss": loss.mean(), error_name: priority.mean(), "max_q_value": max_q_value})

    def _note_errors(self, batch: Any, error: Tensor) -> None:
        """Tell the replay how surprising what was learned from was."""
        self.replay.update_priorities(batch.index, error)

    def _draw_batch(self) -> Any:
        """A minibatch, and what is to be drawn for it: whatever parts it is learned in, they have the same numbers."""
        batch = self.replay.sample(self.settings.batch_size, self.generator)
        self._draw_noise()
        taus = self.network.head.distribution.draw_taus(len(batch.a_tm1), self.generator)
        if taus is None:
            return batch
        taus_tm1, taus_t = (send(tensor, batch.r_t.device) for tensor in taus)
        return batch._replace(taus_tm1=taus_tm1, taus_t=taus_t)

    def _draw_noise(self) -> None:
        """For a minibatch: one for the online network, and the copy of it that selects, and one for the target network
        (Section 3.1, Fortunato et al. 2018).
        """
        resample_noise_(self.generator, self.network, self.acting)
        resample_noise_(self.generator, self.target)

    def compute_loss(self, online: nn.Module, batch: Any) -> BatchLoss:
        """The error of Q(s_tm1, a_tm1) against the Bellman target

            y = r_t + discount_t Q_target(s_t, a_t),    a_t = argmax_a Q_target(s_t, a)    (Eq. 2, Mnih et al. 2015)

        where with ``double`` the online network selects a_t (Eq. 4, van Hasselt et al. 2016), and with ``munchausen``
        no action is selected: pi is the softmax policy of the target network, and

            y = r_t + alpha [tau ln pi(a_tm1 | s_tm1)]
                    + discount_t sum_a pi(a | s_t) (Q_target(s_t, a) - tau ln pi(a | s_t))

        (Eq. 1, Vieillard et al. 2020). With a distributional head Q is a distribution of the return: y holds for each
        quantile of it (Dabney et al. 2018), which an implicit head is asked for at the batch's own probabilities, or
        for each atom (Bellemare et al. 2017). With ``value_rescaling`` Q is h of the return, and y is h of the above
        with h^-1(Q_target) in the place of Q_target (Pohlen et al. 2018). No gradient reaches y.

        Args:
            online: the online network, or a copy of it with gradients of its own.
            batch: B transitions, each with its importance weight.
        """
        settings, r_t = self.settings, batch.r_t
        output_tm1, output_t, selector_t, target_tm1 = self.apply_networks(online, batch)
        if settings.advantage_learning > 0:
            r_t = r_t + settings.advantage_learning * compute_advantage(output_tm1.q_values, batch.a_tm1)
        if target_tm1 is not None:
            temperature = settings.munchausen_temperature
            r_t = r_t + compute_munchausen_reward(
                target_tm1, batch.a_tm1, scale=settings.munchausen_scale,
                temperature=temperature, floor=settings.munchausen_floor,
            )  # fmt: skip
            evaluate: Evaluation = partial(compute_soft_value, q_t=selector_t, temperature=temperature)
        else:
            evaluate = partial(select_action, action=selector_t.argmax(dim=1))
        loss, priority = compute_error(
            output_tm1, output_t, evaluate, batch._replace(r_t=r_t), error_function=settings.error_function,
            rescales=settings.value_rescaling,
        )  # fmt: skip
        return BatchLoss(batch.weight * loss, priority, output_tm1.q_values)

    def apply_networks(self, online: nn.Module, batch: Batch) -> Outputs:
        """What the loss asks of the networks."""
        settings, output_t = self.settings, self.target.compute(batch.s_t, batch.taus_t)
        selector = output_t
        if settings.double:
            selector = self.acting.compute(batch.s_t)
        elif batch.taus_t is not None:
            selector = self.target.compute(batch.s_t)  # by the mean that it acts by, not by what was drawn for y
        target_tm1 = self.target.compute(batch.s_tm1).q_values if settings.munchausen else None
        return Outputs(online(batch.s_tm1, batch.taus_tm1), output_t, selector.q_values, target_tm1)

    def end_iteration(self) -> None:
        """The running episodes are cut where an iteration ends: the replay keeps them as truncations."""
        self.replay.cut_episodes()
        super().end_iteration()

    # --- what others ask

    def compute_statistics(self) -> dict[str, float]:
        """Those of any algorithm, and where exploration is."""
        return {**super().compute_statistics(), "train/epsilon": self.settings.epsilon(self.agent_steps)}

    def sample_states(self, num_states: int, generator: torch.Generator) -> Tensor:
        """Drawn from the replay as a minibatch is."""
        return self.replay.sample(num_states, generator).s_tm1

    def saved_state(self) -> dict[str, Any]:
        """What any algorithm saves, and the replay, whose frames are in segments."""
        return {**super().saved_state(), "replay": self.archive.state_dict()}

    def check_state(self, state: dict[str, Any]) -> None:
        """What any algorithm checks, that its counters agree, and the replay with its segments."""
        super().check_state(state)
        settings, agent_steps = self.settings, state["collector"]["agent_steps"] * self.learners.number
        num_due = settings.compute_num_updates_due(max(agent_steps, settings.warmup_agent_steps), state["num_updates"])
        if not 0 <= num_due <= settings.samples_per_agent_step * settings.num_envs / settings.batch_size + 1:
            raise ValueError(f"it has {state['num_updates']} updates after {agent_steps} agent steps")
        self.archive.check_state_dict(state["replay"])
        if int(state["replay"]["replay"]["columns"]["action"].max()) >= self.collector.environments.num_actions:
            raise ValueError("its replay holds actions that there are not")

    def write_ahead(self) -> None:
        """Have new frames written in the background."""
        self.archive.write_new_frames()

    def list_files(self, state: dict[str, Any]) -> set[str]:
        """The segments that a saved replay needs."""
        return list_segment_names(state["replay"])

    def remove_unused_files(self, *, keep: Iterable[str]) -> None:
        """Remove the segments that no checkpoint needs."""
        self.archive.remove_unused_segments(keep=keep)

    def describe_memory(self) -> str:
        """Of the full replay, and where."""
        return self.replay.describe_memory()

    def close(self) -> None:
        """Stop the archive's thread and the environments."""
        self.archive.close()
        super().close()

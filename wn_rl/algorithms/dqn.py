"""DQN: Algorithm 1 of Mnih et al. 2015, as a LightningModule.

``training_step`` is one chunk of rounds; a round is one action in each of N environments, with the updates that
fall due while the environments step. What gamma, n-step sums, reward clipping, a life loss and a time limit mean
is in the data already (wn_rl/replay/accumulator.py): each transition carries its own discount. The weights are
normalized inside the network (wn_rl/nn/weight_norm.py).
"""

from collections.abc import Callable
from typing import Any

import lightning
import torch
from torch import nn

from wn_rl.acting.collector import Collector
from wn_rl.learning.gradients import BatchLossFunction
from wn_rl.learning.metrics import ChunkMetrics
from wn_rl.learning.settings import DQNSettings
from wn_rl.networks.folded_network import FoldedNetwork
from wn_rl.networks.q_network import QNetwork
from wn_rl.nn.normalizers import after_update
from wn_rl.replay.persistence import ReplayArchive
from wn_rl.replay.replay import Replay


class DQN(lightning.LightningModule):
    """Deep Q-learning with replay and a target network, in N environments at once.

    Args:
        network, make_optimizer: the online Q-network, u8 [B, S, H, W] -> QOutput, and what makes its optimizer.
        collector, replay, archive: the training environments' player, the memory that it fills, and its disk.
        generator: the stream that minibatches, and first weights from data, are drawn from.
        settings: the hyperparameters.
    """

    def __init__(
        self, *, network: QNetwork, make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
        collector: Collector, replay: Replay, archive: ReplayArchive, generator: torch.Generator, settings: DQNSettings,
    ) -> None:  # fmt: skip
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.acting = FoldedNetwork(network, dtype=settings.folded_dtype)  # brought up to date before use
        self.target = FoldedNetwork(network, dtype=settings.folded_dtype)  # moves every so many updates
        self.compute_loss = BatchLossFunction(
            network, self.acting, self.target,
            double=settings.double, error_function=settings.error_function, num_parts=settings.minibatch_parts,
            advantage_learning=settings.advantage_learning, compiled=settings.compile,
        )  # fmt: skip
        self.make_optimizer, self.settings = make_optimizer, settings
        self.collector, self.replay, self.archive, self.generator = collector, replay, archive, generator
        self.num_updates, self.metrics = 0, ChunkMetrics()
        self.on_warmup_round: Callable[[DQN], None] = lambda module: None  # for a progress display
        self._restored: dict[str, Any] | None = None

    @property
    def agent_steps(self) -> int:
        """Actions of single environments so far, warm-up included."""
        return self.collector.agent_steps

    def train_dataloader(self) -> range:
        """The chunks of an iteration; the data comes from the collector."""
        return range(self.settings.run_length.num_chunks)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of the online network alone."""
        return self.make_optimizer(self.network)

    def on_train_start(self) -> None:
        """Fill the replay with random play, then set what depends on data; or go on from a checkpoint."""
        self.replay.allocate()
        if self._restored is None:
            self.collector.begin_iteration(self.settings.seed, 0)
        else:
            self.archive.load_state_dict(self._restored["replay"])
            self.collector.load_state_dict(self._restored["collector"])
        while self.agent_steps < self.settings.warmup_agent_steps and not self.trainer.should_stop:
            self.collector.play_random_round()
            self.on_warmup_round(self)
            if self.agent_steps >= self.settings.warmup_agent_steps:
                self._initialize()
        self.metrics.start(self.agent_steps, self.num_updates)

    def _initialize(self) -> None:
        """The first weights, from real frames: before the target is copied, and before any update."""
        if self.settings.data_dependent_initialization:
            frames = self.replay.sample(self.settings.initialization_batch_size, self.generator).s_tm1
            self.network.initialize_from_data(frames, self.settings.initial_q_deviation, self.generator)
        self.acting.sync(self.network, self.num_updates)
        self.target.sync(self.network, self.num_updates)

    def on_train_epoch_start(self) -> None:
        """An iteration begins with freshly seeded environments; the first began with the warm-up."""
        if self.current_epoch > 0:
            self.collector.begin_iteration(self.settings.seed, self.current_epoch)

    def training_step(self, batch: int, batch_idx: int) -> None:
        """One chunk of Algorithm 1: act; learn while the environments step; store what they return."""
        num_rounds = self.settings.run_length.compute_num_rounds(self.agent_steps, self.current_epoch, batch_idx)
        for _ in range(num_rounds):
            acting = self.acting.sync(self.network, self.num_updates)
            self.collector.begin_round(acting, self.settings.epsilon(self.agent_steps))
            for _ in range(self.settings.compute_num_updates_due(self.agent_steps, self.num_updates)):
                self._update()
            self.collector.end_round()
        self.acting.sync(self.network, self.num_updates)

    def _update(self) -> None:
        """One optimizer step on one minibatch, and what follows from it."""
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()  # first: gradients must not outlive the next forward pass where that is a CUDA graph
        batch = self.replay.sample(self.settings.batch_size, self.generator)
        loss, priority, q_tm1 = self.compute_loss(batch, self.num_updates)
        self.manual_backward(mean_loss := (batch.weight * loss).mean())
        if self.settings.max_gradient_norm is not None:
            self.clip_gradients(optimizer.optimizer, self.settings.max_gradient_norm, "norm")
        optimizer.step()
        after_update(self.network)
        self.num_updates += 1
        if self.num_updates % self.settings.target_period_updates == 0:
            self.target.sync(self.network, self.num_updates)
        self.replay.update_priorities(batch.index, priority)
        self.metrics.add(loss=mean_loss, td_error=priority, q_values=q_tm1)

    @property
    def iteration_has_ended(self) -> bool:
        """Whether all agent steps of the current iteration are done (an interrupted one has not ended)."""
        return self.agent_steps >= self.settings.run_length.compute_iteration_end(self.current_epoch)

    def on_train_epoch_end(self) -> None:
        """The running episodes are cut where an iteration ends: the replay keeps them as truncations."""
        if self.iteration_has_ended:
            self.collector.end_iteration()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know, as plain containers and tensors."""
        checkpoint["wn_rl"] = {
            "num_updates": self.num_updates, "generator": self.generator.get_state(),
            "replay": self.archive.state_dict(), "collector": self.collector.state_dict(),
        }  # fmt: skip

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state until training starts, when the replay has memory and the environments run."""
        self._restored = state = checkpoint["wn_rl"]
        self.num_updates, self.collector.agent_steps = state["num_updates"], state["collector"]["agent_steps"]
        self.generator.set_state(state["generator"])

"""What everything around learning may ask of any algorithm, and the one place that translates Lightning's hooks.

An algorithm says how it begins, what one round is, and what must be saved; Lightning, callbacks, checkpoints,
resumption and pages ask what is here and nothing else.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from wn_rl.acting.collector import Collector
from wn_rl.learning.metrics import ChunkMetrics
from wn_rl.learning.schedules import RunLength, Schedule, set_learning_rate
from wn_rl.nn.normalizers import project_weights
from wn_rl.system.cpu import FreedMemory
from wn_rl.system.learners import ALONE, Learners
from wn_rl.system.seeding import check_generator_state


class Algorithm(lightning.LightningModule):
    """A learner whose ``training_step`` is one chunk of rounds.

    Args:
        run_length: how the run is divided into iterations, chunks and rounds.
        collector: the training environments' player.
        generator: the stream that whatever is sampled is drawn from.
        learning_rate_schedule: the optimizer's learning rate, as a function of agent steps; None: it keeps its own.
        warmup_agent_steps: agent steps before anything is learned.

    Attributes:
        network: what is trained; folded, it is what evaluations and saved agents play with.
        num_updates: optimizer steps so far.
        metrics: what is measured while learning.
        learners: the processes that learn together, of which this is one; a learner is alone unless it is told others.
        on_warmup_round: called after each round of the warm-up, in which Lightning calls no hooks.
    """

    network: nn.Module

    def __init__(
        self, *, run_length: RunLength, collector: Collector, generator: torch.Generator, warmup_agent_steps: int = 0,
        learning_rate_schedule: Schedule | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.automatic_optimization = False
        self.run_length, self.warmup_agent_steps = run_length, warmup_agent_steps
        self.collector, self.generator = collector, generator
        self.learning_rate_schedule = learning_rate_schedule
        self.num_updates, self.metrics = 0, ChunkMetrics()
        self.learners: Learners = ALONE
        self.on_warmup_round: Callable[[], None] = lambda: None
        self._restored: dict[str, Any] | None = None
        self._freed_memory = FreedMemory()

    # --- what an algorithm is

    @abstractmethod
    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The one optimizer, of ``network`` alone."""

    def allocate(self) -> None:
        """Take the memory that ``begin`` needs, if it is much; ConfigurationError where that is short."""

    @abstractmethod
    def begin(self, saved: dict[str, Any] | None) -> None:
        """Start the environments and warm up; or go on from what ``saved_state`` returned."""

    @abstractmethod
    def begin_iteration(self, iteration: int) -> None:
        """Start freshly seeded episodes; not called for the first iteration, which begins with the run."""

    @abstractmethod
    def run_round(self) -> None:
        """One action in each of N environments, and the updates that fall due."""

    def end_iteration(self) -> None:
        """Cut the running episodes."""
        self.collector.end_iteration()

    @property
    def agent_steps(self) -> int:
        """Actions of single environments so far, warm-up included, of all learners together."""
        return self.collector.agent_steps * self.learners.number

    def compute_statistics(self) -> dict[str, float]:
        """What is known without waiting for the device, under the names that loggers show.

        ``train/mean_return`` and ``train/episodes`` of the last games, once there are any; an algorithm adds what it
        knows, ``train/epsilon`` at least.
        """
        statistics = {**self.collector.compute_statistics(), "train/updates": self.num_updates}
        if self.learning_rate_schedule is not None:
            statistics["train/learning_rate"] = self.learning_rate_schedule(self.agent_steps)
        return statistics

    @abstractmethod
    def sample_states(self, num_states: int, generator: torch.Generator) -> Tensor:
        """Observations that the network was or will be trained on, for those who look at its hidden units."""

    def list_learning_rates(self, agent_steps: int) -> list[float]:
        """The first and the last of its optimizer up to so many agent steps; none where it never sets it anew."""
        schedule = self.learning_rate_schedule
        return [] if schedule is None else [schedule(0), schedule(agent_steps)]

    def saved_state(self) -> dict[str, Any]:
        """All that a checkpoint must hold besides weights and optimizer: plain containers and tensors.

        Counters, the stream and the environments; an algorithm adds what it learns from.
        """
        return {
            "num_updates": self.num_updates, "generator": self.generator.get_state(),
            "collector": self.collector.state_dict(),
        }  # fmt: skip

    def check_state(self, state: dict[str, Any]) -> None:
        """Make sure that a saved state, which may be damaged or a stranger's, can be gone on from.

        Called after ``allocate``; whatever it fills, ``begin`` fills anew.

        Raises:
            ConfigurationError, or what looking at a wrong structure raises: it cannot.
        """
        self.collector.check_state_dict(state["collector"], iteration_agent_steps=self.run_length.iteration_agent_steps)
        check_generator_state(state["generator"])

    def restore_counters(self, state: dict[str, Any]) -> None:
        """Take over what is asked for before ``begin``: counters and the stream."""
        self.num_updates, self.collector.agent_steps = state["num_updates"], state["collector"]["agent_steps"]
        self.generator.set_state(state["generator"])

    def close(self) -> None:
        """Stop threads and environments."""
        self.collector.environments.close()

    # --- what an algorithm keeps in files of its own: nothing, unless it says so

    def write_ahead(self) -> None:
        """Write what can be written before a checkpoint; called after every chunk."""

    def list_files(self, state: dict[str, Any]) -> set[str]:
        """The names of the files that a saved state needs."""
        return set()

    def remove_unused_files(self, *, keep: Iterable[str]) -> None:
        """Remove the files that neither ``keep`` nor this run needs."""

    def describe_memory(self) -> str | None:
        """What it will take, in a few words; None where that is little."""
        return None

    def share_weights(self) -> None:
        """Go on with the network of the first learner, and its copies; for where each has made weights of its own."""
        self.learners.share(self.state_dict().values())

    def apply_gradient(self, max_norm: float | None) -> None:
        """One optimizer step by the gradients of the network, their common norm clipped where ``max_norm`` is given.

        They are the mean of those of all learners, which so keep the same weights.

        PyTorch clips them: Lightning refuses to where an optimizer is fused and the precision mixed, since float16's
        gradients would be scaled there. Those of bfloat16, the only mixed precision here, never are.
        """
        optimizer: Any = self.optimizers()
        set_learning_rate(optimizer, self.learning_rate_schedule, self.agent_steps)
        self.learners.average(p.grad for p in self.network.parameters() if p.grad is not None)
        if max_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), max_norm)
        optimizer.step()
        project_weights(self.network)
        self.num_updates += 1

    # --- Lightning

    @property
    def has_iteration_ended(self) -> bool:
        """Whether all agent steps of the current iteration are done (an interrupted one has not ended)."""
        return self.agent_steps >= self.run_length.compute_iteration_end(self.current_epoch)

    def train_dataloader(self) -> range:
        """The chunks of an iteration; the data comes from the environments."""
        return range(self.run_length.num_chunks)

    def on_train_start(self) -> None:
        """Begin, or go on from a checkpoint."""
        if self._restored is None:
            self.share_weights()
        self.begin(self._restored)
        self.metrics.start(self.agent_steps, self.num_updates)

    def on_train_epoch_start(self) -> None:
        """A Lightning epoch is an iteration."""
        if self.current_epoch > 0:
            self.begin_iteration(self.current_epoch)

    def training_step(self, batch: int, batch_idx: int) -> None:
        """A Lightning batch is a chunk of rounds."""
        for _ in range(self.run_length.compute_num_rounds(self.agent_steps, self.current_epoch, batch_idx)):
            self.run_round()
        self._freed_memory.give_back()

    def on_train_epoch_end(self) -> None:
        """The iteration ends, unless the run was interrupted."""
        if self.has_iteration_ended:
            self.end_iteration()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know; of several learners, what each knows."""
        self.learners.check_alike(self.state_dict().values())
        checkpoint["wn_rl"], *others = self.learners.gather(self.saved_state())
        if others:
            checkpoint["other_learners"] = others

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state until training starts, when there is memory and the environments run."""
        self._restored = self.find_own_state(checkpoint)
        self.restore_counters(self._restored)

    def find_own_state(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """What ``saved_state`` of this learner returned. Raises ValueError: it is a checkpoint of fewer, or of more."""
        states: list[dict[str, Any]] = [checkpoint["wn_rl"], *checkpoint.get("other_learners", [])]
        if len(states) != self.learners.number:
            raise ValueError(f"it is of {len(states)} learners, not of {self.learners.number}")
        return states[self.learners.rank]

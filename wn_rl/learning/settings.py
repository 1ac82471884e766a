"""The numbers of the algorithm: what configs/ sets and dqn.py reads."""

from dataclasses import dataclass
from fractions import Fraction

import torch

from wn_rl.learning.schedules import LinearSchedule, RunLength


@dataclass(frozen=True, kw_only=True)
class DQNSettings:
    """Hyperparameters of deep Q-learning; their defaults live in configs/ alone.

    Attributes:
        run_length: how the run is divided into iterations, chunks and rounds.
        epsilon: exploration, as a function of agent steps.
        warmup_agent_steps: uniformly random agent steps before the first update.
        batch_size: B, transitions in a minibatch.
        samples_per_agent_step: transitions learned from per agent step (B x updates / agent steps).
        target_period_updates: updates between two synchronizations of the target network.
        double: whether the online network selects the action that the target network evaluates.
        advantage_learning: alpha of advantage learning, in [0, 1); 0 is Q-learning.
        error_function: "mse" or "huber".
        max_gradient_norm: global norm to which gradients are clipped; None leaves them.
        data_dependent_initialization: whether a minibatch of real frames sets the first scales and biases.
        initialization_batch_size: how many frames stacks that minibatch has.
        initial_q_deviation: deviation of the first Q-values over that minibatch, whose mean is 0.
        seed: of the training environments.
        folded_dtype: precision of the folded copies that act and compute targets.
        minibatch_parts: into how many parts a minibatch is taken, each learned by a thread.
        compile: whether torch.compile makes one piece of the loss and its gradient.
    """

    run_length: RunLength
    epsilon: LinearSchedule
    warmup_agent_steps: int
    batch_size: int
    samples_per_agent_step: float
    target_period_updates: int
    double: bool
    advantage_learning: float
    error_function: str
    max_gradient_norm: float | None
    data_dependent_initialization: bool
    initialization_batch_size: int
    initial_q_deviation: float
    seed: int
    folded_dtype: torch.dtype
    minibatch_parts: int
    compile: bool

    def compute_num_updates_due(self, agent_steps: int, num_updates: int) -> int:
        """Updates that bring the samples learned per agent step since the warm-up to their setting.

        Counted in whole numbers over the whole run, so that any ratio is kept exactly in the long run.
        """
        samples = (agent_steps - self.warmup_agent_steps) * Fraction(str(self.samples_per_agent_step))
        return int(samples // self.batch_size) - num_updates

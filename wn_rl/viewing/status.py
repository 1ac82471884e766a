"""Where a training run stands, as a progress display needs it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrainingStatus:
    """One moment of a run.

    Attributes:
        iteration: iterations finished; num_iterations: in the whole run.
        agent_steps: actions of single environments so far, warm-up included.
        agent_steps_per_second: in the last chunk.
        mean_return: mean raw return of training's last games, None before the first.
        num_episodes: training games finished.
        loss: mean over the updates of the last chunk, None before the first.
        phase: "warm-up", "training" or "evaluation"; phase_done of phase_total says how far it is.
    """

    iteration: int
    num_iterations: int
    agent_steps: int
    total_agent_steps: int
    agent_steps_per_second: float
    mean_return: float | None
    num_episodes: int
    epsilon: float
    loss: float | None
    phase: str
    phase_done: int
    phase_total: int

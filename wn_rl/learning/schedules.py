"""How a hyperparameter changes with the number of agent steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

Schedule = Callable[[int], float]
"""A value after so many agent steps."""


@dataclass(frozen=True, kw_only=True)
class LinearSchedule:
    """A value that is constant, then falls or rises linearly, then is constant again.

    value(t) = initial                                           for t <= begin
             = initial + (t - begin) / duration (final - initial)  in between
             = final                                             for t >= begin + duration

    Args:
        initial, final: the values at both ends.
        begin_agent_steps: where the change starts.
        duration_agent_steps: how long it lasts; 0 jumps.
    """

    initial: float
    final: float
    begin_agent_steps: int
    duration_agent_steps: int

    def __call__(self, agent_steps: int) -> float:
        """The value after ``agent_steps`` agent steps."""
        if agent_steps >= self.begin_agent_steps + self.duration_agent_steps:
            return self.final
        if agent_steps <= self.begin_agent_steps:
            return self.initial
        share = (agent_steps - self.begin_agent_steps) / self.duration_agent_steps
        return self.initial + share * (self.final - self.initial)


@dataclass(frozen=True, kw_only=True)
class CosineSchedule:
    """A value that is constant, then follows half a cosine, then is constant again; the arguments of LinearSchedule.

    value(t) = final + (initial - final) (1 + cos(pi (t - begin) / duration)) / 2    in between

    (Eq. 5, Loshchilov & Hutter 2017, "SGDR", without restarts).
    """

    initial: float
    final: float
    begin_agent_steps: int
    duration_agent_steps: int

    def __call__(self, agent_steps: int) -> float:
        """The value after ``agent_steps`` agent steps."""
        angle = LinearSchedule(
            initial=0.0, final=math.pi,
            begin_agent_steps=self.begin_agent_steps, duration_agent_steps=self.duration_agent_steps,
        )  # fmt: skip
        return self.final + (self.initial - self.final) * (1 + math.cos(angle(agent_steps))) / 2


LEARNING_RATE_SCHEDULES: dict[str, type[LinearSchedule] | type[CosineSchedule] | None] = {
    "constant": None, "linear": LinearSchedule, "cosine": CosineSchedule
}  # fmt: skip
"""How a learning rate falls, by name."""


def set_learning_rate(optimizer: Any, schedule: Schedule | None, agent_steps: int) -> None:
    """Give an optimizer the learning rate of now; without a schedule it keeps the one that it was made with."""
    if schedule is not None:
        for group in optimizer.param_groups:
            group["lr"] = schedule(agent_steps)


@dataclass(frozen=True, kw_only=True)
class RunLength:
    """How a run is divided: agent steps into iterations, iterations into chunks, chunks into rounds.

    Iteration i (from 0) ends at min((i + 1) iteration_agent_steps, total_agent_steps) agent steps; its chunks
    share its rounds as evenly as whole numbers allow. Where a run that was to be shorter ended amid an iteration and is
    made longer, the rest of that iteration is one of its own.

    Args:
        total_agent_steps: the length of the run, warm-up included.
        iteration_agent_steps: agent steps between two evaluations and checkpoints.
        chunk_agent_steps: agent steps between two log entries, about.
        num_envs: N, the agent steps of one round.
        num_rests: iterations that are such rests.
    """

    total_agent_steps: int
    iteration_agent_steps: int
    chunk_agent_steps: int
    num_envs: int
    num_rests: int = 0

    def go_on(self, agent_steps: int, num_iterations_done: int) -> "RunLength":
        """The same, of a run that has done so many agent steps in so many iterations, maybe as a shorter one."""
        if agent_steps >= self.total_agent_steps:
            return self
        return replace(self, num_rests=num_iterations_done - agent_steps // self.iteration_agent_steps)

    @property
    def num_iterations(self) -> int:
        """Iterations in the run; the last may be shorter, and has a round at least.

        There is no other one where the last round of an iteration does the agent steps that would be left for it.
        """
        number = math.ceil(self.total_agent_steps / self.iteration_agent_steps)
        num_rounds_before = math.ceil((number - 1) * self.iteration_agent_steps / self.num_envs)
        has_rounds = number == 1 or num_rounds_before * self.num_envs < self.total_agent_steps
        return (number if has_rounds else number - 1) + self.num_rests

    @property
    def longest_game(self) -> int:
        """Agent steps of each environment in an iteration, at whose end it begins anew: what lasts longer is cut."""
        return math.ceil(min(self.iteration_agent_steps, self.total_agent_steps) / self.num_envs)

    @property
    def num_chunks(self) -> int:
        """Chunks in every iteration."""
        return math.ceil(min(self.iteration_agent_steps, self.total_agent_steps) / self.chunk_agent_steps)

    def compute_iteration_end(self, iteration: int) -> int:
        """The agent steps at which an iteration ends."""
        return min((iteration + 1 - self.num_rests) * self.iteration_agent_steps, self.total_agent_steps)

    def compute_num_rounds(self, agent_steps: int, iteration: int, chunk: int) -> int:
        """Rounds in a chunk of an iteration, given the agent steps done before it."""
        rounds_left = math.ceil(max(0, self.compute_iteration_end(iteration) - agent_steps) / self.num_envs)
        return math.ceil(rounds_left / (self.num_chunks - chunk))

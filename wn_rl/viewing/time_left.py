"""When the run will be done: from the speed of training, and from what evaluations and checkpoints took."""

from typing import NamedTuple

from wn_rl.viewing.status import TrainingStatus

NUM_RECENT_ITERATIONS = 3


class _Moment(NamedTuple):
    seconds: float
    agent_steps: int
    iteration: int


class TimeLeftEstimator:
    """Estimates the seconds that a run has left from the statuses that it is shown.

    Within the first iteration that it sees, agent steps left / agent steps per second; from then on, agent
    steps left times the mean seconds per agent step from the start of one iteration to the start of a later
    one, over the last three. So evaluations, checkpoints and videos count as soon as they have been seen.
    """

    def __init__(self) -> None:
        self._starts: list[_Moment] = []  # of the last iterations, as far as they were seen
        self._first_of_phase: tuple[str, _Moment] | None = None
        self._newest: _Moment | None = None

    def update(self, status: TrainingStatus, seconds: float) -> None:
        """Take note of a status that was seen at ``seconds`` of any clock."""
        moment = _Moment(seconds, status.agent_steps, status.iteration)
        self._newest = moment
        if self._first_of_phase is None or self._first_of_phase[0] != status.phase:
            self._first_of_phase = (status.phase, moment)
        if status.phase != "training":
            return
        if not self._starts or self._starts[-1].iteration != status.iteration:
            self._starts = [*self._starts[-NUM_RECENT_ITERATIONS:], moment]

    def compute_speed(self, status: TrainingStatus) -> float:
        """Agent steps per second: as the status says, else since the phase began."""
        if status.phase != "warm-up" and status.agent_steps_per_second > 0:
            return status.agent_steps_per_second
        if self._first_of_phase is None or self._newest is None:
            return 0.0
        first = self._first_of_phase[1]
        seconds = self._newest.seconds - first.seconds
        return (self._newest.agent_steps - first.agent_steps) / seconds if seconds > 0 else 0.0

    def compute_seconds_left(self, status: TrainingStatus) -> float | None:
        """Seconds to the end of the run; None in the warm-up, whose speed tells nothing of training's."""
        agent_steps_left = status.total_agent_steps - status.agent_steps
        if agent_steps_left <= 0:
            return 0.0
        if len(self._starts) > 1 and self._starts[-1].agent_steps > self._starts[0].agent_steps:
            first, last = self._starts[0], self._starts[-1]
            return agent_steps_left * (last.seconds - first.seconds) / (last.agent_steps - first.agent_steps)
        speed = self.compute_speed(status)
        return None if status.phase == "warm-up" or speed <= 0 else agent_steps_left / speed

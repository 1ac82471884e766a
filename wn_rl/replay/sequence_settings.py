"""The section ``sequence``: what a network with a memory learns from in a replay."""

from dataclasses import dataclass

from wn_rl.errors import ConfigurationError
from wn_rl.system.fields import one_of, setting, share, whole

LONGEST = 65_536

DEFAULT_SEQUENCE = {"length": 80, "overlap": 40, "burn_in": 40, "start": "stored", "max_priority_share": 0.9}
"""Of runs that were saved before there were sequences, and learn from none."""


@dataclass(frozen=True, kw_only=True)
class SequenceSection:
    """T steps that are learned from, after B others that are played through; configs/algorithm/dqn.yaml."""

    length: int = setting(whole(1, LONGEST))
    overlap: int = setting(whole(0, LONGEST))
    burn_in: int = setting(whole(0, LONGEST))
    start: str = setting(one_of(("stored", "zeros")))
    max_priority_share: float = setting(share)

    @property
    def period(self) -> int:
        """Observations between the beginnings of two sequences."""
        return self.length - self.overlap

    def count_positions(self, n_step: int) -> int:
        """W, observations of a sequence: those that are played through, those learned from, and what they lead to."""
        return self.burn_in + self.length + n_step

    def check(
        self, *, capacity: int, num_envs: int, stack_size: int, n_step: int, batch_size: int, warmup_agent_steps: int
    ) -> None:
        """Make sure that minibatches are whole sequences, and that each environment's lane soon and always holds one.

        Raises:
            ConfigurationError: it does not.
        """
        if self.overlap >= self.length:
            raise ConfigurationError(
                f"sequence.overlap={self.overlap} leaves nothing new in a sequence of sequence.length={self.length};"
                " lower the first or raise the second"
            )
        if batch_size % self.length != 0:
            raise ConfigurationError(
                f"batch_size={batch_size} is no multiple of sequence.length={self.length}, and a network with a memory"
                " learns from whole sequences; say a multiple, or network.memory=null"
            )
        smallest = num_envs * (self.count_positions(n_step) + self.period + stack_size - 2)
        if capacity < smallest:
            raise ConfigurationError(
                f"replay.capacity={capacity} is less than num_envs * (2 * sequence.length - sequence.overlap +"
                f" sequence.burn_in + replay.n_step + network.stack_size - 2) = {smallest}, where there is always a"
                f" sequence; raise replay.capacity, or lower num_envs={num_envs}"
            )
        shortest = num_envs * (self.count_positions(n_step) - 1)
        if warmup_agent_steps < shortest:
            raise ConfigurationError(
                f"warmup_agent_steps={warmup_agent_steps} is less than num_envs * (sequence.burn_in + sequence.length +"
                f" replay.n_step - 1) = {shortest}: no sequence would be complete before the first update; raise it to"
                f" at least {shortest}"
            )

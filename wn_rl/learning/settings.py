"""What a learner is told: a tree of settings, each one a line here and one in configs/, where it says what it is."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import ClassVar

import torch

from wn_rl.errors import ConfigurationError
from wn_rl.learning.schedules import LEARNING_RATE_SCHEDULES, LinearSchedule, RunLength, Schedule
from wn_rl.networks.distributions import ImplicitQuantileDistribution
from wn_rl.networks.heads import HEADS
from wn_rl.networks.network_settings import NetworkSettings
from wn_rl.nn.normalizers import MINIBATCH_NORMALIZERS, PER_EXAMPLE_NORMALIZERS, RECURRENT_NORMALIZERS
from wn_rl.replay.replay_settings import ReplaySection
from wn_rl.replay.rollout import RolloutSection
from wn_rl.replay.sequence_settings import DEFAULT_SEQUENCE, SequenceSection
from wn_rl.system.cpu import thread_count
from wn_rl.system.fields import limit, number, one_of, section, setting, share, switch, whole


@dataclass(frozen=True, kw_only=True)
class ExplorationSettings:
    """The section ``exploration``."""

    initial_epsilon: float = setting(share)
    final_epsilon: float = setting(share)
    decay_agent_steps: int = setting(whole(0))
    max_repeats: int = setting(whole(1, 1_000_000), before=1)


@dataclass(frozen=True, kw_only=True)
class LearnerSettings:
    """What any learner of Q-values is told: those of an algorithm extend it.

    Attributes:
        learns_while_playing: whether the learner and the environments want cores at the same time.
    """

    learns_while_playing: ClassVar[bool] = True

    total_agent_steps: int = setting(whole(1), changeable=True)
    iteration_agent_steps: int = setting(whole(1))
    chunk_agent_steps: int = setting(whole(1))
    num_envs: int = setting(whole(1, 4096))  # emulators, of some megabytes each
    devices: int = setting(whole(1, 64), before=1)
    num_nodes: int = setting(whole(1, 64), before=1)
    seed: int = setting(whole(0))
    learning_rate: float = setting(number(0, 1e6, above=0))
    learning_rate_schedule: str = setting(one_of(LEARNING_RATE_SCHEDULES), before="constant")
    final_learning_rate: float = setting(number(0, 1e6), before=0.0)
    learning_rate_decay_agent_steps: int = setting(whole(0), before=0)
    max_gradient_norm: float | None = setting(limit)
    weight_decay: float = setting(number(0, 1e6))
    initialization: str = setting(one_of(("data_dependent", "random", "agent")))
    initialization_batch_size: int = setting(whole(2, 65_536))  # stacks of 28 KB in a forward pass
    initial_q_std: float = setting(number(1e-6, 1e6))
    exploration: ExplorationSettings = section(ExplorationSettings)
    precision: str = setting(one_of(("auto", "bf16-mixed", "32-true")))
    compile: bool = setting(switch, changeable=True)
    minibatch_parts: int = setting(thread_count, changeable=True)

    @property
    def num_learners(self) -> int:
        """Processes that learn together, each from environments of its own."""
        return self.devices * self.num_nodes

    @property
    def round_agent_steps(self) -> int:
        """Agent steps of a round: one of each environment of each learner."""
        return self.num_envs * self.num_learners

    @cached_property
    def run_length(self) -> RunLength:
        """How the run is divided into iterations, chunks and rounds."""
        return RunLength(
            total_agent_steps=self.total_agent_steps, iteration_agent_steps=self.iteration_agent_steps,
            chunk_agent_steps=self.chunk_agent_steps, num_envs=self.round_agent_steps,
        )  # fmt: skip

    @property
    def folded_dtype(self) -> torch.dtype:
        """Precision of the folded copies that act and compute targets."""
        return torch.bfloat16 if self.precision == "bf16-mixed" else torch.float32

    @cached_property
    def annealed_learning_rate(self) -> Schedule | None:
        """The learning rate, as a function of agent steps; None where it stays what it is."""
        schedule = LEARNING_RATE_SCHEDULES[self.learning_rate_schedule]
        if schedule is None:
            return None
        return schedule(
            initial=self.learning_rate, final=self.final_learning_rate,
            begin_agent_steps=0, duration_agent_steps=self.learning_rate_decay_agent_steps,
        )  # fmt: skip

    def make_epsilon(self, begin_agent_steps: int) -> LinearSchedule:
        """Exploration, as a function of agent steps; it falls from ``begin_agent_steps`` on."""
        return LinearSchedule(
            initial=self.exploration.initial_epsilon, final=self.exploration.final_epsilon,
            begin_agent_steps=begin_agent_steps, duration_agent_steps=self.exploration.decay_agent_steps,
        )  # fmt: skip

    def check(self, *, network: NetworkSettings, normalizer: str, accelerator: str) -> None:
        """Make sure that the settings go together, and with what they do not hold.

        Raises:
            ConfigurationError: they do not; in one line that says what to do.
        """
        if network.center_pixels and self.initialization == "random":
            raise ConfigurationError(
                "network.center_pixels=true takes the mean frame from the data of the first weights, and initialization"
                f"={self.initialization} looks at none; say initialization=data_dependent, or"
                " network.center_pixels=false"
            )
        if self.iteration_agent_steps < self.round_agent_steps:
            raise ConfigurationError(
                f"iteration_agent_steps={self.iteration_agent_steps} is less than {self._tell_envs()}, one step"
                " of each; raise the first or lower the second"
            )
        if normalizer == "layer_norm" and network.hidden_units < 2:
            raise ConfigurationError(
                "normalizer=layer_norm takes away what network.hidden_units=1 has to say, which is its own mean; raise"
                " network.hidden_units to at least 2"
            )
        self._check_memory(network, normalizer)
        self._check_parts(normalizer, accelerator)
        self._check_learners(normalizer)

    def _tell_envs(self) -> str:
        return f"num_envs={self.num_envs}{self._tell_learners()}"

    def _tell_learners(self) -> str:
        return f" times {self.num_learners} learners" if self.num_learners > 1 else ""

    def _check_learners(self, normalizer: str) -> None:
        if self.num_learners == 1:
            return
        if self.compile:
            raise ConfigurationError(
                f"compile=true has not been tried with {self.num_learners} learners; say compile=false, or devices=1"
            )
        if normalizer in MINIBATCH_NORMALIZERS:
            raise ConfigurationError(
                f"normalizer={normalizer} keeps statistics of minibatches, and {self.num_learners} learners would have"
                " different ones; say another normalizer, or devices=1"
            )

    def _check_memory(self, network: NetworkSettings, normalizer: str) -> None:
        if network.memory is None:
            return
        if normalizer not in RECURRENT_NORMALIZERS:
            raise ConfigurationError(
                f"normalizer={normalizer} has nothing for recurrent layers, as network.memory={network.memory} is; say"
                f" normalizer={' or '.join(RECURRENT_NORMALIZERS)}, or network.memory=null"
            )
        if self.compile or self.minibatch_parts > 1:
            hindering = "compile=true" if self.compile else f"minibatch_parts={self.minibatch_parts}"
            instead = "compile=false" if self.compile else "minibatch_parts=1"
            raise ConfigurationError(
                f"network.memory={network.memory} is learned from sequences of many lengths, which {hindering} cannot"
                f" take; say {instead}, or network.memory=null"
            )

    def _check_parts(self, normalizer: str, accelerator: str) -> None:
        hindrances = {
            f"accelerator={accelerator}": accelerator != "cpu",
            "compile=true": self.compile,
            f"normalizer={normalizer}": normalizer not in PER_EXAMPLE_NORMALIZERS,
        }
        hindering = [name for name, hinders in hindrances.items() if hinders]
        if self.minibatch_parts > 1 and hindering:
            raise ConfigurationError(
                f"minibatch_parts={self.minibatch_parts} needs accelerator=cpu, compile=false and normalizer="
                f"{' or '.join(PER_EXAMPLE_NORMALIZERS)}, not {hindering[0]}; say minibatch_parts=1, or auto"
            )

    def _check_minibatch(self, batch_size: int, normalizer: str) -> None:
        if batch_size < 2 and normalizer in MINIBATCH_NORMALIZERS:
            raise ConfigurationError(
                f"batch_size={batch_size}: normalizer={normalizer} learns from how the examples of a minibatch differ;"
                " raise batch_size to at least 2, or take another normalizer"
            )


@dataclass(frozen=True, kw_only=True)
class DQNSettings(LearnerSettings):
    """What deep Q-learning is told besides: configs/algorithm/dqn.yaml."""

    warmup_agent_steps: int = setting(whole(1))
    batch_size: int = setting(whole(1, 65_536))
    samples_per_agent_step: float = setting(number(0, 65_536, above=0))
    error_function: str = setting(one_of(("mse", "huber", "cross_entropy")))
    double: bool = setting(switch)
    advantage_learning: float = setting(number(0, 0.99), before=0.0)  # 1 - alpha divides
    munchausen: bool = setting(switch, before=False)
    munchausen_scale: float = setting(share, before=0.9)
    munchausen_temperature: float = setting(number(1e-6, 1e6), before=0.03)  # divides
    munchausen_floor: float = setting(number(maximum=0), before=-1.0)
    value_rescaling: bool = setting(switch, before=False)
    target_period_updates: int = setting(whole(1))
    replay: ReplaySection = section(ReplaySection)
    sequence: SequenceSection = section(SequenceSection, before=DEFAULT_SEQUENCE)

    @cached_property
    def epsilon(self) -> LinearSchedule:
        """Exploration, as a function of agent steps."""
        return self.make_epsilon(self.warmup_agent_steps)

    @cached_property
    def importance_exponent(self) -> LinearSchedule:
        """beta of a prioritized replay, as a function of agent steps."""
        replay = self.replay
        return self._make_drift(
            replay.importance_exponent, replay.final_importance_exponent, replay.importance_exponent_agent_steps
        )

    @cached_property
    def gamma(self) -> LinearSchedule:
        """The discount per agent step with which transitions are stored, as a function of agent steps."""
        return self._make_drift(self.replay.gamma, self.replay.final_gamma, self.replay.gamma_agent_steps)

    def _make_drift(self, initial: float, final: float | None, duration_agent_steps: int) -> LinearSchedule:
        """From the end of the warm-up on; without a ``final``, none."""
        return LinearSchedule(
            initial=initial, final=initial if final is None else final,
            begin_agent_steps=self.warmup_agent_steps, duration_agent_steps=duration_agent_steps,
        )  # fmt: skip

    def compute_num_updates_due(self, agent_steps: int, num_updates: int) -> int:
        """Updates that bring the samples learned per agent step since the warm-up to their setting.

        Counted in whole numbers over the whole run, so that any ratio is kept exactly in the long run.
        """
        samples = (agent_steps - self.warmup_agent_steps) * Fraction(str(self.samples_per_agent_step))
        return int(samples // (self.batch_size * self.num_learners)) - num_updates

    def check(self, *, network: NetworkSettings, normalizer: str, accelerator: str) -> None:
        """The replay holds a minibatch and a transition of every environment, and the warm-up what is drawn from it."""
        known = HEADS[network.head].error_functions
        if self.error_function not in known:
            raise ConfigurationError(
                f"network.head={network.head} does not learn by error_function={self.error_function}; say"
                f" error_function={' or '.join(known)}"
            )
        self._check_minibatch(self.batch_size, normalizer)
        if self.munchausen and (self.double or self.advantage_learning > 0):
            other = "double=true" if self.double else f"advantage_learning={self.advantage_learning}"
            instead = "double=false" if self.double else "advantage_learning=0"
            raise ConfigurationError(
                f"munchausen=true has a target of its own, which {other} has no place in; say {instead}, or"
                " munchausen=false"
            )
        if self.munchausen and network.head == "categorical":
            raise ConfigurationError(
                "munchausen=true has a target of values and quantiles, and network.head=categorical has a distribution;"
                " say another head, or munchausen=false"
            )
        if self.value_rescaling and (self.munchausen or self.advantage_learning > 0):
            other = "munchausen=true" if self.munchausen else f"advantage_learning={self.advantage_learning}"
            raise ConfigurationError(
                f"value_rescaling=true has values on a scale of their own, which {other} would add to rewards; say"
                " value_rescaling=false, or leave the other out"
            )
        if self.replay.storage == "device" and accelerator != "gpu":
            raise ConfigurationError(
                f"replay.storage=device needs accelerator=gpu, not {accelerator}; use ram, compressed or auto"
            )
        if self.replay.capacity < self.batch_size:
            raise ConfigurationError(
                f"replay.capacity={self.replay.capacity} is less than batch_size={self.batch_size};"
                " raise replay.capacity"
            )
        self._check_warmup()
        self.replay.check_capacity(num_envs=self.num_envs, stack_size=network.stack_size)
        if network.memory is not None:
            self._check_sequences(network)
        super().check(network=network, normalizer=normalizer, accelerator=accelerator)

    def _check_sequences(self, network: NetworkSettings) -> None:
        if issubclass(HEADS[network.head].distribution, ImplicitQuantileDistribution):
            raise ConfigurationError(
                f"network.head={network.head} is asked for probabilities of each transition, and network.memory="
                f"{network.memory} learns from sequences; say another head, or network.memory=null"
            )
        self.sequence.check(
            capacity=self.replay.capacity, num_envs=self.num_envs, stack_size=network.stack_size,
            n_step=self.replay.n_step, batch_size=self.batch_size, warmup_agent_steps=self.warmup_agent_steps,
        )  # fmt: skip

    def _check_warmup(self) -> None:
        if self.warmup_agent_steps > self.replay.capacity * self.num_learners:
            raise ConfigurationError(
                f"warmup_agent_steps={self.warmup_agent_steps} is more than replay.capacity={self.replay.capacity}"
                f"{self._tell_learners()};"
                " lower the first or raise the second"
            )
        num_warmup_rounds = ceil(self.warmup_agent_steps / self.round_agent_steps)
        if num_warmup_rounds * self.round_agent_steps >= min(self.iteration_agent_steps, self.total_agent_steps):
            raise ConfigurationError(
                f"warmup_agent_steps={self.warmup_agent_steps}, in rounds of {self._tell_envs()}, does not end"
                " within the first iteration"
                f" (iteration_agent_steps={self.iteration_agent_steps}, total_agent_steps={self.total_agent_steps});"
                " lower it or raise those"
            )
        shortest = self.round_agent_steps * self.replay.n_step
        if self.warmup_agent_steps < shortest:
            raise ConfigurationError(
                f"warmup_agent_steps={self.warmup_agent_steps} is less than num_envs * replay.n_step"
                f"{self._tell_learners()} = {shortest}: no transition would be complete before the first update; raise"
                f" it to at least {shortest}"
            )


@dataclass(frozen=True, kw_only=True)
class PQNSettings(LearnerSettings):
    """What PQN is told besides: configs/algorithm/pqn.yaml."""

    learns_while_playing: ClassVar[bool] = False

    batch_size: int = setting(whole(1, 65_536))
    num_epochs: int = setting(whole(1, 1000))
    learning_rate_schedule: str = setting(one_of(LEARNING_RATE_SCHEDULES), before="linear")
    rollout: RolloutSection = section(RolloutSection)

    @property
    def rollout_agent_steps(self) -> int:
        """Agent steps in a whole rollout, of which each learner has its own."""
        return self.num_envs * self.rollout.num_rounds

    @property
    def lanes_per_minibatch(self) -> int:
        """Environments in a minibatch of a network with a memory, which learns from all their steps of a rollout."""
        return self.batch_size // self.rollout.num_rounds

    @property
    def warmup_agent_steps(self) -> int:
        """Random play whose frames the first weights come from, if they come from data: one rollout of each learner."""
        return self.rollout_agent_steps * self.num_learners if self.initialization == "data_dependent" else 0

    @cached_property
    def epsilon(self) -> LinearSchedule:
        """Exploration, as a function of agent steps."""
        return self.make_epsilon(self.warmup_agent_steps)

    def check(self, *, network: NetworkSettings, normalizer: str, accelerator: str) -> None:
        """The head has values that a lambda-return can replace, and rollouts fit minibatches and iterations."""
        if network.head != "linear":
            raise ConfigurationError(
                f"network.head={network.head} learns a distribution, and Q(lambda) has targets for its mean alone; say"
                " network.head=linear"
            )
        self._check_minibatch(self.batch_size, normalizer)
        if network.memory is not None and self.batch_size % self.rollout.num_rounds != 0:
            raise ConfigurationError(
                f"network.memory={network.memory} learns from whole lanes, and batch_size={self.batch_size} is no"
                f" multiple of rollout.num_rounds={self.rollout.num_rounds}; say a multiple, or network.memory=null"
            )
        if self.num_envs < 2 and normalizer in MINIBATCH_NORMALIZERS:
            raise ConfigurationError(
                f"num_envs={self.num_envs}: normalizer={normalizer} learns from how the examples of a minibatch differ,"
                " and a rollout may hold a single one where an iteration ends; raise num_envs to at least 2"
            )
        rollout = f"num_envs * rollout.num_rounds = {self.rollout_agent_steps} agent steps of a rollout"
        if self.batch_size > self.rollout_agent_steps:
            raise ConfigurationError(f"batch_size={self.batch_size} is more than the {rollout}; lower it")
        if self.warmup_agent_steps >= min(self.iteration_agent_steps, self.total_agent_steps):
            raise ConfigurationError(
                f"the {rollout}, which the first weights come from, do not end within the first iteration"
                f" (iteration_agent_steps={self.iteration_agent_steps}, total_agent_steps={self.total_agent_steps});"
                " raise those, or say initialization=random"
            )
        super().check(network=network, normalizer=normalizer, accelerator=accelerator)

"""What flows between the rooms: the shapes of steps, batches and Q-values, stated once.

Letters used in every shape of the project: B minibatch, N environments, A actions, S frames in a stack, C channels and
H x W pixels of a frame, T time, L lanes (environments whose steps are learned from in their order), M numbers that are
remembered of an episode, Z atoms. ``*frame`` is the shape of a frame, whatever the environment shows.
"""

import math
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, Num
from torch import Tensor


class ObservationSpec(NamedTuple):
    """What one frame of an environment is: only the environment knows; all others take it from there.

    ``shape`` is (H, W) of a gray image, (C, H, W) of one with channels, (D,) of a vector; ``dtype`` is "uint8" of
    images and "float32" of vectors.
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def is_image(self) -> bool:
        """Whether frames are pixels of 0 to 255."""
        return self.dtype == "uint8"

    @property
    def num_bytes(self) -> int:
        """Of one frame."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def torch_dtype(self) -> torch.dtype:
        """PyTorch's name of ``dtype``."""
        return torch.uint8 if self.is_image else torch.float32

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]"


class Step(NamedTuple):
    """What N environments return for one action each, before any of them is reset.

    ``frame`` is the newest frame of each environment; where an episode ended, it is the frame of
    the final observation. ``reward`` is raw (neither clipped nor discounted). ``life_lost`` marks a life lost
    with others left: the game goes on.
    """

    frame: Num[np.ndarray, "N *frame"]
    reward: Float32[np.ndarray, "N"]
    terminated: Bool[np.ndarray, "N"]
    truncated: Bool[np.ndarray, "N"]
    life_lost: Bool[np.ndarray, "N"]

    @property
    def ended(self) -> Bool[np.ndarray, "N"]:
        """Where the episode is over, by the game or by the time limit."""
        return self.terminated | self.truncated


@runtime_checkable
class VectorEnvironment(Protocol):
    """N copies of one game that step together; every environment of the project keeps this contract.

    The order of calls is ``reset(seeds=...)``, then for ever { ``send(actions)``; ``receive()``; where some
    episodes ended, ``reset(mask=ended)`` before the next ``send`` }. Between ``send`` and ``receive`` the
    environments run in threads of their own and the caller may compute.
    """

    num_envs: int
    num_actions: int
    action_names: tuple[str, ...]
    observation: ObservationSpec

    def reset(
        self, *, seeds: Int64[np.ndarray, "K"] | None = None, mask: Bool[np.ndarray, "N"] | None = None
    ) -> Num[np.ndarray, "N *frame"]:
        """Start new episodes in the K environments that ``mask`` selects (all of them without a mask).

        ``seeds`` makes what follows in those environments an exact function of the seed and the actions;
        without seeds their random streams go on. Returns the newest frame of every environment.
        """

    def send(self, actions: Int64[np.ndarray, "N"]) -> None:
        """Start one agent step. Raises ValueError for an action outside [0, num_actions)."""

    def receive(self) -> Step:
        """Wait for the agent step that was sent and return it."""

    def close(self) -> None:
        """Stop the threads."""


class Batch(NamedTuple):
    """A minibatch of n-step transitions (s_tm1, a_tm1, r_t, discount_t, s_t) on the training device.

    ``r_t`` is the gamma-weighted sum of clipped rewards over k <= n steps; ``discount_t`` is gamma^k, and 0
    where nothing is to be bootstrapped, so that every target is r_t + discount_t * value(s_t). ``weight`` is
    the importance weight (1 under uniform sampling), ``index`` the place in the replay, for priorities.

    Who learns by an implicit quantile head draws, for every transition, the probabilities that the online and the
    target network are asked for the quantiles of.
    """

    s_tm1: Num[Tensor, "B S *frame"]
    a_tm1: Int64[Tensor, "B"]
    r_t: Float32[Tensor, "B"]
    discount_t: Float32[Tensor, "B"]
    s_t: Num[Tensor, "B S *frame"]
    weight: Float32[Tensor, "B"]
    index: Int64[Tensor, "B"]  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    taus_tm1: Float32[Tensor, "B Z"] | None = None
    taus_t: Float32[Tensor, "B Zt"] | None = None


class SequenceBatch(NamedTuple):
    """A minibatch of sequences, each of steps that followed each other in one environment, on the training device.

    ``observations`` are L times T + n, all of a sequence in a row; where ``is_first``, on the host, an episode begins.
    The first T of each are learned from, B = L T steps, of which ``r_t``, ``discount_t`` and ``weight`` are those of a
    ``Batch``, and s_t is ``num_steps`` observations later. At an episode's final observation nothing was done: there
    ``num_steps`` and ``weight`` are 0. ``index`` is the sequences' place in the replay.

    ``memory`` is what the online network remembers before the first observation, and ``target_memory`` what the target
    network does.
    """

    observations: Num[Tensor, "R S *frame"]
    is_first: Bool[Tensor, "L W"]
    memory: Float32[Tensor, "L M"]
    target_memory: Float32[Tensor, "L M"]
    a_tm1: Int64[Tensor, "B"]
    r_t: Float32[Tensor, "B"]
    discount_t: Float32[Tensor, "B"]
    num_steps: Int64[Tensor, "B"]
    weight: Float32[Tensor, "B"]
    index: Int64[Tensor, "L"]  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    taus_tm1: None = None  # no head asks for probabilities here


class RolloutBatch(NamedTuple):
    """A minibatch of a rollout's steps on the training device: an observation, the action taken, and its target.

    For a network with a memory the B steps are those of L whole lanes, one lane after the other, T steps of each;
    ``memory`` is what was remembered before the first of them, and ``is_first``, on the host, is where episodes begin.
    """

    s_tm1: Num[Tensor, "B S *frame"]
    a_tm1: Int64[Tensor, "B"]
    target: Float32[Tensor, "B"]
    memory: Float32[Tensor, "L M"] | None = None
    is_first: Bool[Tensor, "L T"] | None = None


class QOutput(NamedTuple):
    """What a Q-network returns: ``q_values[b, a]`` estimates the discounted return of action a.

    A distributional head adds one of two descriptions of the return, whose mean ``q_values`` is: ``quantiles`` at the
    probabilities (z + 1/2) / Z, or at those asked for; or ``logits`` of the probabilities of fixed returns, ``atoms``.
    A network with a memory adds what it remembers after the last step of each of L lanes, as ``memory``.
    """

    q_values: Float32[Tensor, "B A"]
    quantiles: Float32[Tensor, "B A Z"] | None = None
    logits: Float32[Tensor, "B A Z"] | None = None
    atoms: Float32[Tensor, "Z"] | None = None
    memory: Float32[Tensor, "L M"] | None = None


class BatchLoss(NamedTuple):
    """Per transition: the loss, the priority for a prioritized sampler, and the online network's values."""

    loss: Float32[Tensor, "B"]
    priority: Float32[Tensor, "B"]
    q_tm1: Float32[Tensor, "B A"]

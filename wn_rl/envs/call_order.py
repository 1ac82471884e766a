"""The order in which an environment is to be called, checked.

The emulator's threads answer a wrong order with a hang or a data race; every environment of the project
answers with an exception instead, by asking this class before each call.
"""

import os

import numpy as np
from jaxtyping import Bool, Int64

NUM_SEEDS = 2**31  # the emulator keeps its seed in a signed 32-bit integer, and -1 means "no seed"


class CallOrder:
    """Checks reset(seeds), then for ever { send, receive, reset(mask of the ended ones) }.

    Arguments:
        num_envs: N.
        num_actions: A.
    """

    def __init__(self, *, num_envs: int, num_actions: int) -> None:
        self._num_envs = num_envs
        self._num_actions = num_actions
        self._process = os.getpid()
        self._is_started = False
        self._is_stepping = False
        self._is_closed = False
        self._has_ended = np.zeros(num_envs, dtype=np.bool_)

    @property
    def is_stepping(self) -> bool:
        """Whether actions were sent whose step was not received yet."""
        return self._is_stepping

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._is_closed

    def begin_reset(
        self, seeds: Int64[np.ndarray, "K"] | None, mask: Bool[np.ndarray, "N"] | None
    ) -> Bool[np.ndarray, "N"]:
        """Check a reset and return the mask of the environments that begin a new episode.

        Raises RuntimeError amid a step, or where the first reset is partial or has no seeds; ValueError for a
        mask that is not bool [N], and for seeds that are not K integers in [0, 2^31).
        """
        self._check_usable("reset")
        if self._is_stepping:
            raise RuntimeError("reset was called between send and receive; call receive first")
        if mask is None:
            mask = np.ones(self._num_envs, dtype=np.bool_)
        if mask.shape != (self._num_envs,) or mask.dtype != np.bool_:
            raise ValueError(f"mask must be bool [{self._num_envs}], got {mask.dtype} {list(mask.shape)}")
        if not self._is_started and (seeds is None or not mask.all()):
            raise RuntimeError("the first reset must seed all environments: reset(seeds=...)")
        if seeds is not None:
            self._check_seeds(seeds, num_seeds=int(mask.sum()))
        self._is_started = True
        self._has_ended &= ~mask
        return mask

    def begin_send(self, actions: Int64[np.ndarray, "N"]) -> None:
        """Check actions that are about to be sent.

        Raises RuntimeError before the first reset, amid a step, and where an ended environment was not
        reset; ValueError for actions that are not N integers in [0, A).
        """
        self._check_usable("send")
        if not self._is_started:
            raise RuntimeError("send was called before the first reset; call reset(seeds=...) first")
        if self._is_stepping:
            raise RuntimeError("send was called twice; call receive between two sends")
        if self._has_ended.any():
            ended = np.flatnonzero(self._has_ended).tolist()
            raise RuntimeError(f"the episodes of environments {ended} are over; call reset(mask=...) first")
        if actions.shape != (self._num_envs,) or not np.issubdtype(actions.dtype, np.integer):
            raise ValueError(f"actions must be integers [{self._num_envs}], got {actions.dtype} {list(actions.shape)}")
        if actions.min() < 0 or actions.max() >= self._num_actions:
            raise ValueError(f"actions must be in [0, {self._num_actions}), got {actions.tolist()}")
        self._is_stepping = True

    def begin_receive(self) -> None:
        """Raise RuntimeError where nothing was sent."""
        self._check_usable("receive")
        if not self._is_stepping:
            raise RuntimeError("receive was called without a send; call send(actions) first")

    def end_receive(self, ended: Bool[np.ndarray, "N"]) -> None:
        """Note which episodes the received step ended."""
        self._is_stepping = False
        self._has_ended = ended.copy()

    def close(self) -> None:
        """Let every later call but close fail."""
        self._is_closed = True

    def _check_usable(self, call: str) -> None:
        if self._is_closed:
            raise RuntimeError(f"{call} was called on closed environments")
        if os.getpid() != self._process:
            # a fork does not copy threads: waiting for them would never end
            raise RuntimeError("the environments were built in another process; build them where they are used")

    def _check_seeds(self, seeds: Int64[np.ndarray, "K"], *, num_seeds: int) -> None:
        if seeds.shape != (num_seeds,) or not np.issubdtype(seeds.dtype, np.integer):
            raise ValueError(f"seeds must be integers [{num_seeds}], got {seeds.dtype} {list(seeds.shape)}")
        if num_seeds > 0 and (seeds.min() < 0 or seeds.max() >= NUM_SEEDS):
            raise ValueError(f"seeds must be in [0, 2^31), got {seeds.tolist()}")

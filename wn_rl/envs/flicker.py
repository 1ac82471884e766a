"""Flickering frames: each is blank with some probability, so that no single one tells what goes on.

Hausknecht & Stone 2015 ("Deep Recurrent Q-Learning for Partially Observable MDPs", Section 5, "Flickering Pong") make
games so that need a memory: they blank half of the frames.
"""

import numpy as np
from jaxtyping import Bool, Int64, Num

from wn_rl.system.seeding import make_flicker_generator
from wn_rl.types import Step, VectorEnvironment


class Flicker:
    """Which frames of one environment are blank, in their order: a function of the seed of its last seeded reset."""

    def __init__(self, probability: float, seed: int) -> None:
        self._probability, self._generator = probability, make_flicker_generator(seed)

    def show(self, frame: Num[np.ndarray, "*frame"]) -> Num[np.ndarray, "*frame"]:
        """The next frame as the agent sees it: itself, or zeros."""
        return np.zeros_like(frame) if self._generator.random() < self._probability else frame


class FlickeringEnvironments:
    """Environments whose frames flicker, each by a stream of its own; all else is as they return it.

    Args:
        environments: N of them, which are closed with this object.
        probability: that a frame is blank, an episode's first and last as any other.
    """

    def __init__(self, environments: VectorEnvironment, *, probability: float) -> None:
        self._environments, self._probability = environments, probability
        self.num_envs, self.num_actions = environments.num_envs, environments.num_actions
        self.action_names, self.observation = environments.action_names, environments.observation
        self._flickers: dict[int, Flicker] = {}  # of all lanes from the first reset on, which is seeded
        self._shown = np.zeros((self.num_envs, *self.observation.shape), self.observation.dtype)

    def reset(
        self, *, seeds: Int64[np.ndarray, "K"] | None = None, mask: Bool[np.ndarray, "N"] | None = None
    ) -> Num[np.ndarray, "N *frame"]:
        """Start new episodes where ``mask`` says so; raises what the environments raise."""
        frames = self._environments.reset(seeds=seeds, mask=mask)
        lanes = np.arange(self.num_envs) if mask is None else np.flatnonzero(mask)
        if seeds is not None:
            for lane, seed in zip(lanes, seeds, strict=True):
                self._flickers[int(lane)] = Flicker(self._probability, int(seed))
        self._show(frames, lanes)
        return self._shown.copy()

    def send(self, actions: Int64[np.ndarray, "N"]) -> None:
        """Start one agent step; raises what the environments raise."""
        self._environments.send(actions)

    def receive(self) -> Step:
        """Wait for the agent step that was sent; raises what the environments raise."""
        step = self._environments.receive()
        self._show(step.frame, np.arange(self.num_envs))
        return step._replace(frame=self._shown.copy())

    def close(self) -> None:
        """Stop the environments."""
        self._environments.close()

    def _show(self, frames: Num[np.ndarray, "N *frame"], lanes: Int64[np.ndarray, "K"]) -> None:
        for lane in lanes:
            self._shown[lane] = self._flickers[int(lane)].show(frames[lane])

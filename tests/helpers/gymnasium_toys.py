"""Environments of Gymnasium that keep to nothing: images as MinAtar's, and what is not supported; imported by name."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


class Corridor(gymnasium.Env[Any, Any]):
    """A walker in a corridor of 10 x 6 cells with 3 channels of truth values, as MinAtar shows them; actions from 1."""

    metadata: ClassVar = {"render_modes": []}
    observation_space: spaces.Space[Any] = spaces.Box(0, 1, (10, 6, 3), np.bool_)
    action_space: spaces.Space[Any] = spaces.Discrete(2, start=1)

    def __init__(self, render_mode: str | None = None, length: int = 5) -> None:
        self.render_mode, self._length = render_mode, length

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._place = int(self.np_random.integers(3))
        return self._show(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if action not in (1, 2):
            raise AssertionError(f"{action} is not in {self.action_space}")
        self._place += 1 if action == 2 else -1
        return self._show(), float(action), not 0 <= self._place < self._length, False, {}

    def _show(self) -> Any:
        picture = np.zeros((10, 6, 3), np.bool_)
        picture[np.clip(self._place, 0, 9), 1, 2] = True
        return picture


class WithoutArguments(Corridor):
    """Which has not heard of render modes, as the shortest environments that people write."""

    def __init__(self) -> None:
        super().__init__()


class Gray(Corridor):
    """Bytes without channels."""

    observation_space = spaces.Box(0, 255, (10, 6), np.uint8)

    def _show(self) -> Any:
        return super()._show()[:, :, 2] * np.uint8(7)


class OfDicts(Corridor):
    """What is not supported."""

    observation_space = spaces.Dict({"picture": Corridor.observation_space})


class OfForces(Corridor):
    """What is not supported."""

    action_space = spaces.Box(-1.0, 1.0, (2,))


class Misshapen(Corridor):
    """Breaks its own word."""

    def _show(self) -> Any:
        return super()._show()[:5]


class Failing(Corridor):
    """Fails amid an episode."""

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        raise KeyError("no such\nthing")


for kind in (Corridor, WithoutArguments, Gray, OfDicts, OfForces, Misshapen, Failing):
    gymnasium.register(f"{kind.__name__}-v0", entry_point=kind, max_episode_steps=30)

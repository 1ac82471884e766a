"""A small environment whose every frame says which one it is, for checking what is stored and replayed.

It keeps the contract of ``wn_rl.types.VectorEnvironment`` as exactly as the Atari games do.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from wn_rl.envs.call_order import CallOrder
from wn_rl.types import ObservationSpec, Step

NUM_IDENTITY_PIXELS = 7


class Outcomes(NamedTuple):
    """What T rounds of a ``CountingEnvironments`` bring, whatever the actions; row T is followed by row 0."""

    reward: Float32[np.ndarray, "T N"]
    terminated: Bool[np.ndarray, "T N"]
    truncated: Bool[np.ndarray, "T N"]
    life_lost: Bool[np.ndarray, "T N"]


class FrameIdentity(NamedTuple):
    """Which frame this is: ``step`` 0 is an episode's first; ``episode`` counts from the last seeding."""

    lane: int
    seed: int
    episode: int
    step: int


class CountingEnvironments:
    """N environments whose frames say which they are, and whose outcomes follow a script.

    After a reset with seed s, environment i reads its outcomes from row s mod T of column i on, a row a step,
    over all its unseeded resets. The frames carry (lane, s mod 65536, episode, step).

    Arguments:
        outcomes: the script, T rounds of N environments.
        num_actions: A; the actions are checked, and change nothing.
        frame_shape: (H, W) with at least 7 pixels.
    """

    def __init__(self, *, outcomes: Outcomes, num_actions: int, frame_shape: tuple[int, int]) -> None:
        if frame_shape[0] * frame_shape[1] < NUM_IDENTITY_PIXELS:
            raise ValueError(f"{frame_shape=} has less than {NUM_IDENTITY_PIXELS} pixels")
        self.num_envs = outcomes.reward.shape[1]
        self.num_actions = num_actions
        self.action_names: tuple[str, ...] = tuple(f"ACTION{action}" for action in range(num_actions))
        self.observation = ObservationSpec(frame_shape, "uint8")
        self._outcomes = outcomes
        self._order = CallOrder(num_envs=self.num_envs, num_actions=num_actions)
        self._identities = np.zeros((self.num_envs, 3), dtype=np.int64)  # seed, episode, step
        self._rows = np.zeros(self.num_envs, dtype=np.int64)

    def reset(
        self, *, seeds: Int64[np.ndarray, "K"] | None = None, mask: Bool[np.ndarray, "N"] | None = None
    ) -> UInt8[np.ndarray, "N H W"]:
        """Start new episodes where ``mask`` says so; raises what ``CallOrder.begin_reset`` raises."""
        mask = self._order.begin_reset(seeds, mask)
        self._identities[mask, 1] += 1
        self._identities[mask, 2] = 0
        if seeds is not None:
            self._identities[mask, 0] = seeds % 65536
            self._identities[mask, 1] = 0
            self._rows[mask] = seeds % len(self._outcomes.reward)
        return self._render()

    def send(self, actions: Int64[np.ndarray, "N"]) -> None:
        """Begin a round; raises what ``CallOrder.begin_send`` raises."""
        self._order.begin_send(actions)

    def receive(self) -> Step:
        """Return the next row of the script; RuntimeError where nothing was sent."""
        self._order.begin_receive()
        self._identities[:, 2] += 1
        lanes = np.arange(self.num_envs)
        reward, terminated, truncated, life_lost = (column[self._rows, lanes] for column in self._outcomes)
        self._rows = (self._rows + 1) % len(self._outcomes.reward)
        step = Step(self._render(), reward, terminated, truncated, life_lost)
        self._order.end_receive(step.ended)
        return step

    def close(self) -> None:
        """Let every later call fail."""
        self._order.close()

    def _render(self) -> UInt8[np.ndarray, "N H W"]:
        frames = np.zeros((self.num_envs, self.observation.num_bytes), dtype=np.uint8)
        frames[:, 0] = np.arange(1, self.num_envs + 1)  # never 0: a frame differs from a stack's padding
        frames[:, 1:NUM_IDENTITY_PIXELS:2] = self._identities // 256
        frames[:, 2:NUM_IDENTITY_PIXELS:2] = self._identities % 256
        return frames.reshape(self.num_envs, *self.observation.shape)


def decode_frame(frame: UInt8[np.ndarray, "H W"]) -> FrameIdentity | None:
    """Return which frame of a ``CountingEnvironments`` this is; None for a stack's zero padding."""
    pixels = [int(pixel) for pixel in frame.ravel()[:NUM_IDENTITY_PIXELS]]
    if pixels[0] == 0:
        return None
    seed, episode, step = (256 * pixels[i] + pixels[i + 1] for i in (1, 3, 5))
    return FrameIdentity(lane=pixels[0] - 1, seed=seed, episode=episode, step=step)


def make_random_outcomes(
    *,
    seed: int,
    num_rounds: int,
    num_envs: int,
    termination_probability: float,
    truncation_probability: float,
    life_loss_probability: float,
) -> Outcomes:
    """Draw a script: independent ends and life losses, rewards among -2, -1, 0, 1, 2, 10 (so clipping shows).

    An episode that ends is terminated or truncated, never both, and a terminal loses no life.
    """
    generator = np.random.default_rng(seed)
    shape = (num_rounds, num_envs)
    terminated = generator.random(shape) < termination_probability
    truncated = (generator.random(shape) < truncation_probability) & ~terminated
    life_lost = (generator.random(shape) < life_loss_probability) & ~terminated
    reward = generator.choice(np.array([-2, -1, 0, 1, 2, 10], dtype=np.float32), shape)
    return Outcomes(reward, terminated, truncated, life_lost)

"""A small environment whose Q* is known, for checking that something learns.

It keeps the contract of ``wn_rl.types.VectorEnvironment`` as exactly as the Atari games do.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from wn_rl.envs.call_order import CallOrder
from wn_rl.types import ObservationSpec, Step

LEFT, RIGHT = 0, 1


class ChainEnvironments:
    """N chains of states 0, ..., n-1; RIGHT leads to the goal n-1, LEFT collects a small reward at state 0.

    With probability ``slip_probability`` the other action is executed. Arriving at n-1 pays ``goal_reward``
    and terminates; executing LEFT in state 0 stays there and pays ``start_reward``; all else pays 0. So
    Q*(s, a) is known, and which action is best depends on gamma.

    Arguments:
        num_envs: N.
        num_states: n, at least 2; the frame has to have at least as many pixels.
        slip_probability: probability that the other action is executed; 0 makes the chain deterministic.
        goal_reward: reward of arriving at state n-1.
        start_reward: reward of executing LEFT in state 0.
        starts_anywhere: begin in a uniformly drawn state below n-1 instead of in state 0.
        max_episode_agent_steps: time limit; it truncates.
        frame_shape: (H, W); state s lights the s-th of n equal runs of pixels.
    """

    action_names: tuple[str, ...] = ("LEFT", "RIGHT")
    num_actions = 2

    def __init__(
        self,
        *,
        num_envs: int,
        num_states: int,
        slip_probability: float,
        goal_reward: float,
        start_reward: float,
        starts_anywhere: bool,
        max_episode_agent_steps: int,
        frame_shape: tuple[int, int],
    ) -> None:
        if num_states < 2 or frame_shape[0] * frame_shape[1] < num_states:
            raise ValueError(f"{num_states=} must be at least 2 and at most the pixels of {frame_shape=}")
        self.num_envs = num_envs
        self.num_states = num_states
        self.observation = ObservationSpec(frame_shape, "uint8")
        self._starts_anywhere = starts_anywhere
        self._max_episode_agent_steps = max_episode_agent_steps
        self.transition_probabilities = _make_chain_transitions(num_states, slip_probability)
        self.rewards = _make_chain_rewards(num_states, goal_reward, start_reward)
        self._slip_probability = slip_probability
        self._frames = _make_state_frames(num_states, frame_shape)
        self._order = CallOrder(num_envs=num_envs, num_actions=self.num_actions)
        self._generators = [np.random.default_rng(0) for _ in range(num_envs)]  # replaced by the first reset
        self._states = np.zeros(num_envs, dtype=np.int64)
        self._elapsed_agent_steps = np.zeros(num_envs, dtype=np.int64)
        self._actions = np.zeros(num_envs, dtype=np.int64)

    def state_frames(self) -> UInt8[np.ndarray, "n H W"]:
        """Return the frame of every state, the terminal one included."""
        return self._frames.copy()

    def compute_optimal_q_values(self, gamma: float) -> Float64[np.ndarray, "n A"]:
        """Return Q* of the chain without its time limit, by value iteration to machine precision.

        Q*(s, a) = Σ_s' P(s'|s,a) (R(s,a,s') + gamma max_a' Q*(s', a')) (Bellman 1957); 0 at state n-1.
        """
        if not 0.0 <= gamma < 1.0:
            raise ValueError(f"{gamma=} must be in [0, 1)")
        expected_rewards = np.sum(self.transition_probabilities * self.rewards, axis=2)
        q_values = np.zeros((self.num_states, self.num_actions))
        while True:
            updated = expected_rewards + gamma * self.transition_probabilities @ q_values.max(axis=1)
            if np.abs(updated - q_values).max() <= 1e-14 * max(1.0, np.abs(updated).max()):
                return updated
            q_values = updated

    def reset(
        self, *, seeds: Int64[np.ndarray, "K"] | None = None, mask: Bool[np.ndarray, "N"] | None = None
    ) -> UInt8[np.ndarray, "N H W"]:
        """Start new episodes where ``mask`` says so; raises what ``CallOrder.begin_reset`` raises."""
        lanes = np.flatnonzero(self._order.begin_reset(seeds, mask))
        if seeds is not None:
            for lane, seed in zip(lanes, seeds, strict=True):
                self._generators[lane] = np.random.default_rng(int(seed))
        for lane in lanes:
            last_start = self.num_states - 2 if self._starts_anywhere else 0
            self._states[lane] = self._generators[lane].integers(last_start, endpoint=True)
        self._elapsed_agent_steps[lanes] = 0
        return self._frames[self._states]

    def send(self, actions: Int64[np.ndarray, "N"]) -> None:
        """Take one action each; raises what ``CallOrder.begin_send`` raises."""
        self._order.begin_send(actions)
        self._actions = actions.astype(np.int64)

    def receive(self) -> Step:
        """Return the step that was sent; RuntimeError where none was."""
        self._order.begin_receive()
        slips = np.array([generator.random() < self._slip_probability for generator in self._generators])
        executed = np.where(slips, RIGHT - self._actions, self._actions)
        next_states = np.clip(self._states + np.where(executed == RIGHT, 1, -1), 0, self.num_states - 1)
        reward = self.rewards[self._states, self._actions, next_states].astype(np.float32)
        self._states = next_states
        self._elapsed_agent_steps += 1
        terminated = next_states == self.num_states - 1
        step = Step(
            frame=self._frames[next_states],
            reward=reward,
            terminated=terminated,
            truncated=(self._elapsed_agent_steps >= self._max_episode_agent_steps) & ~terminated,
            life_lost=np.zeros(self.num_envs, dtype=np.bool_),
        )
        self._order.end_receive(step.ended)
        return step

    def close(self) -> None:
        """Let every later call fail."""
        self._order.close()


def _make_chain_transitions(num_states: int, slip_probability: float) -> Float64[np.ndarray, "n A n"]:
    """Return P(s' | s, a); the goal keeps itself."""
    transitions = np.zeros((num_states, 2, num_states))
    for state in range(num_states - 1):
        for action, (ahead, aside) in {LEFT: (-1, 1), RIGHT: (1, -1)}.items():
            transitions[state, action, max(state + ahead, 0)] += 1.0 - slip_probability
            transitions[state, action, max(state + aside, 0)] += slip_probability
    transitions[-1, :, -1] = 1.0
    return transitions


def _make_chain_rewards(num_states: int, goal_reward: float, start_reward: float) -> Float64[np.ndarray, "n A n"]:
    """Return R(s, a, s'): it depends on the executed action, hence on s' alone beside s."""
    rewards = np.zeros((num_states, 2, num_states))
    rewards[0, :, 0] = start_reward
    rewards[: num_states - 1, :, num_states - 1] = goal_reward
    return rewards


def _make_state_frames(num_states: int, frame_shape: tuple[int, int]) -> UInt8[np.ndarray, "n H W"]:
    frames = np.zeros((num_states, frame_shape[0] * frame_shape[1]), dtype=np.uint8)
    for state, pixels in enumerate(np.array_split(np.arange(frames.shape[1]), num_states)):
        frames[state, pixels] = 255
    return frames.reshape(num_states, *frame_shape)

"""Environments of Gymnasium under the project's contract, against Gymnasium's own loop, and what is refused."""

from typing import Any

import gymnasium
import numpy as np
import pytest

import tests.helpers.gymnasium_toys  # noqa: F401  # registers them
from wn_rl.envs.gymnasium_environments import (
    GymnasiumEnvironments,
    check_environment_id,
    import_environment,
    play_gymnasium,
)
from wn_rl.envs.gymnasium_wrappers import make_gymnasium_env
from wn_rl.envs.protocols import GymnasiumProtocol, load_protocol
from wn_rl.errors import ConfigurationError
from wn_rl.types import VectorEnvironment

RULES = GymnasiumProtocol(name="gymnasium", max_episode_agent_steps=1000, kwargs={})


def make(game: str, num_envs: int = 1, **changes: Any) -> GymnasiumEnvironments:
    values = {"name": "gymnasium", "max_episode_agent_steps": 1000, "kwargs": {}, **changes}
    return GymnasiumEnvironments(game=game, protocol=GymnasiumProtocol.from_values(values), num_envs=num_envs)


@pytest.mark.parametrize("game", ["CartPole-v1", "Acrobot-v1", "MountainCar-v0"])
def test_every_lane_is_gymnasiums_own_environment(game: str) -> None:
    """Same seeds, same actions: same observations, rewards and ends, over the unseeded resets that follow too."""
    environments, references = make(game, num_envs=3), [gymnasium.make(game) for _ in range(3)]
    assert isinstance(environments, VectorEnvironment)
    seeds = np.array([4, 5, 6])
    frames = environments.reset(seeds=seeds)
    expected = [reference.reset(seed=int(seed))[0] for reference, seed in zip(references, seeds, strict=True)]
    np.testing.assert_array_equal(frames, np.stack(expected).astype(np.float32))
    generator = np.random.default_rng(0)
    num_ended = 0
    for _ in range(600):
        actions = generator.integers(environments.num_actions, size=3)
        environments.send(actions)
        step = environments.receive()
        for lane, reference in enumerate(references):
            observation, reward, terminated, truncated, _ = reference.step(actions[lane])
            np.testing.assert_array_equal(step.frame[lane], observation.astype(np.float32))
            assert (step.reward[lane], step.terminated[lane], step.truncated[lane]) == (reward, terminated, truncated)
        assert not step.life_lost.any()
        if step.ended.any():
            num_ended += int(step.ended.sum())
            frames = environments.reset(mask=step.ended)
            for lane in np.flatnonzero(step.ended):
                np.testing.assert_array_equal(frames[lane], references[lane].reset()[0].astype(np.float32))
    assert num_ended >= 3
    environments.close()


def test_an_environment_that_takes_no_arguments_is_made() -> None:
    assert make("WithoutArguments-v0").num_actions == 2
    assert make_gymnasium_env("WithoutArguments-v0", RULES, stack_size=1, render_mode=None).action_space.n == 2


def test_steps_that_were_returned_do_not_change_later() -> None:
    environments = make("CartPole-v1")
    first = environments.reset(seeds=np.array([1]))
    kept = first.copy()
    environments.send(np.array([1]))
    second = environments.receive().frame
    kept_second = second.copy()
    environments.send(np.array([1]))
    environments.receive()
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(second, kept_second)


def test_a_time_limit_truncates_and_a_terminal_at_it_terminates() -> None:
    environments = make("MountainCar-v0", max_episode_agent_steps=3)
    environments.reset(seeds=np.array([0]))
    for number in range(3):
        environments.send(np.array([0]))
        step = environments.receive()
        assert step.truncated.tolist() == [number == 2]
    environments = make("Corridor-v0", max_episode_agent_steps=1, kwargs={"length": 0})
    environments.reset(seeds=np.array([0]))
    environments.send(np.array([1]))
    step = environments.receive()
    assert (step.terminated.tolist(), step.truncated.tolist()) == ([True], [False])


def test_truth_values_become_0_and_255_with_channels_first_and_actions_begin_where_the_space_does() -> None:
    environments = make("Corridor-v0")
    assert environments.observation == ((3, 10, 6), "uint8")
    frames = environments.reset(seeds=np.array([0]))
    (place,) = {int(row) for _, _, row, _ in np.argwhere(frames)}
    assert (frames.dtype, np.argwhere(frames).tolist(), frames.max()) == (np.uint8, [[0, 2, place, 1]], 255)
    environments.send(np.array([1]))
    step = environments.receive()
    assert step.reward.tolist() == [2.0]
    assert np.argwhere(step.frame).tolist() == [[0, 2, place + 1, 1]]


def test_bytes_without_channels_stay_what_they_are() -> None:
    environments = make("Gray-v0")
    assert environments.observation == ((10, 6), "uint8")
    assert environments.reset(seeds=np.array([0])).max() == 7


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ("OfDicts-v0", r"OfDicts-v0 has observations Dict\(.*not supported: vectors"),
        ("FrozenLake-v1", r"FrozenLake-v1 has observations Discrete\(16\), which is not supported"),
        ("OfForces-v0", r"OfForces-v0 has actions Box\(.*Discrete ones are"),
        ("Cartpole-v1", r"unknown environment 'Cartpole-v1': did you mean CartPole-v1"),
        ("Nothing like it", r"unknown environment 'Nothing like it': one that"),
        ("os:CartPole-v1", "env.id=os:CartPole-v1 would import code, which no file may ask for"),
    ],
)
def test_what_is_not_supported_is_told_in_one_line(game: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refusal:
        make(game)
    assert "\n" not in str(refusal.value)


def test_what_an_environment_raises_is_told_in_one_line() -> None:
    environments = make("Failing-v0")
    environments.reset(seeds=np.array([0]))
    environments.send(np.array([0]))
    with pytest.raises(ConfigurationError, match=r"Failing-v0 failed in step: KeyError: 'no such\\nthing'") as refusal:
        environments.receive()
    assert "\n" not in str(refusal.value)
    with pytest.raises(ConfigurationError, match=r"Misshapen-v0 failed in reset: .*the shape \(5, 6, 3\), and its"):
        make("Misshapen-v0").reset(seeds=np.array([0]))
    with pytest.raises(ConfigurationError, match="CartPole-v1 failed in make: TypeError"):
        make("CartPole-v1", kwargs={"color": "red"})


def test_a_module_is_imported_only_where_the_user_typed_it() -> None:
    assert import_environment("tests.helpers.gymnasium_toys:Gray-v0") == "Gray-v0"
    assert import_environment("CartPole-v1") == "CartPole-v1"
    with pytest.raises(ConfigurationError, match=r"env.id=no.such:Gray-v0: no.such cannot be imported: ModuleNotFound"):
        import_environment("no.such:Gray-v0")
    with pytest.raises(ConfigurationError, match="no file may ask"):
        check_environment_id("tests.helpers.gymnasium_toys:Gray-v0")


@pytest.mark.parametrize(
    "changes",
    [
        {"max_episode_agent_steps": 0}, {"max_episode_agent_steps": "9"}, {"kwargs": {"a": "module:thing"}},
        {"kwargs": {"render_mode": "human"}}, {"kwargs": {"a": [1]}}, {"kwargs": None}, {"more": 1}, {"kwargs": {5: 1}},
        {"flicker_probability": 1.5}, {"flicker_probability": float("nan")}, {"flicker_probability": True},
    ],
    ids=str,
)  # fmt: skip
def test_forged_rules_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        load_protocol({"name": "gymnasium", "max_episode_agent_steps": 1000, "kwargs": {}, **changes})


def test_an_episode_is_played_again_with_its_pictures() -> None:
    frames = list(play_gymnasium("CartPole-v1", RULES, 3, iter([1] * 100)))
    reference = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    observation, _ = reference.reset(seed=3)
    np.testing.assert_array_equal(frames[0].frame, observation)
    for number, frame in enumerate(frames[1:]):
        observation, _, is_over, _, _ = reference.step(1)
        assert frame.agent_step == number
        np.testing.assert_array_equal(frame.frame, observation)
        np.testing.assert_array_equal(frame.rgb, reference.render())
    assert is_over
    with pytest.raises(ConfigurationError, match="Corridor-v0 cannot be shown: it has no render_mode=rgb_array"):
        next(play_gymnasium("Corridor-v0", RULES, 3, []))

"""Do frames flicker by a stream that follows from the seed, and is a stored game shown as it was played?"""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.counting import CountingEnvironments, make_random_outcomes
from tests.helpers.scalar_atari import MACHADO
from wn_rl.acting.evaluator import evaluate_agent
from wn_rl.acting.policies import Policy
from wn_rl.envs.atari import OBSERVATION
from wn_rl.envs.flicker import FlickeringEnvironments
from wn_rl.envs.protocols import load_protocol
from wn_rl.envs.rendering import render_episode
from wn_rl.envs.selection import make_environments
from wn_rl.errors import ConfigurationError

NUM_ENVS = 3


def make_counting(end_probability: float = 0.2) -> CountingEnvironments:
    outcomes = make_random_outcomes(
        seed=4, num_rounds=50, num_envs=NUM_ENVS, termination_probability=end_probability,
        truncation_probability=end_probability / 2, life_loss_probability=0.1,
    )  # fmt: skip
    return CountingEnvironments(outcomes=outcomes, num_actions=2, frame_shape=(3, 4))


def play(environments: Any, num_rounds: int) -> tuple[np.ndarray, list[Any]]:
    """All frames that are shown, first ones included, and what else the steps bring."""
    shown, others = [environments.reset(seeds=np.arange(5, 5 + NUM_ENVS))], []
    for _ in range(num_rounds):
        environments.send(np.zeros(NUM_ENVS, np.int64))
        step = environments.receive()
        shown.append(step.frame)
        others.append([array.tolist() for array in step[1:]])
        if step.ended.any():
            shown.append(environments.reset(mask=step.ended))
    return np.array(shown), others


def test_frames_are_blank_with_the_probability_and_all_else_is_as_it_was() -> None:
    expected, others_expected = play(make_counting(), 600)
    shown, others = play(FlickeringEnvironments(make_counting(), probability=0.3), 600)
    assert others == others_expected
    is_blank = (shown == 0).all(axis=(2, 3))
    assert (shown[~is_blank] == expected[~is_blank]).all()
    assert is_blank.mean() == pytest.approx(0.3, abs=0.05)


def test_each_environment_flickers_by_its_own_seed() -> None:
    shown, _ = play(FlickeringEnvironments(make_counting(end_probability=0.0), probability=0.5), 200)
    is_blank = (shown == 0).all(axis=(2, 3))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (is_blank[:, one] != is_blank[:, other]).mean() == pytest.approx(0.5, abs=0.15)


def test_the_same_seed_shows_the_same_frames_again_and_every_reset_but_a_seeded_one_goes_on() -> None:
    environments = FlickeringEnvironments(make_counting(), probability=0.5)
    first, _ = play(environments, 40)
    again, _ = play(environments, 40)
    assert (first == again).all()
    environments.send(np.zeros(NUM_ENVS, np.int64))
    before = environments.receive()
    after = environments.reset(mask=before.ended)
    assert (after[~before.ended] == before.frame[~before.ended]).all()  # who did not begin anew sees what was there
    blank = [bool((environments.reset(mask=np.ones(NUM_ENVS, np.bool_))[0] == 0).all()) for _ in range(20)]
    assert len(set(blank)) == 2


def test_a_stored_game_is_shown_as_the_agent_saw_it() -> None:
    protocol = dataclasses.replace(MACHADO, flicker_probability=0.5, max_episode_frames=100)
    environments = make_environments("Breakout", protocol, num_envs=2, num_threads=1)
    seen = []

    def look(stack: torch.Tensor) -> torch.Tensor:
        seen.append(stack[:, -1].numpy().copy())
        return torch.stack([stack[:, -1, 50:].float().mean(dim=(1, 2)) - 60, torch.zeros(2)], dim=1)

    records = evaluate_agent(
        policy=Policy(look, stack_size=1, observation=OBSERVATION, device=torch.device("cpu")),
        environments=environments, game="Breakout", protocol=protocol, num_episodes=2, epsilon=0.1, seed=3,
        on_episode=None,
    )  # fmt: skip
    environments.close()
    for lane, record in enumerate(records):
        frames = [frame.observation_frame for frame in render_episode(record) if frame.observation_frame is not None]
        num_steps = len(record.actions)
        np.testing.assert_array_equal(np.array(frames[:num_steps]), np.array([each[lane] for each in seen[:num_steps]]))
        assert 0.2 < np.mean([not frame.any() for frame in frames]) < 0.8


def test_a_score_is_labeled_with_it() -> None:
    assert MACHADO.label == "machado"
    assert dataclasses.replace(MACHADO, flicker_probability=0.25).label == "machado-flicker0.25"
    rules: dict[str, object] = {"name": "gymnasium", "max_episode_agent_steps": 9, "kwargs": {}}
    assert load_protocol(rules).label == "gymnasium"
    assert load_protocol({**rules, "flicker_probability": 1}).label == "gymnasium-flicker1"


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_an_impossible_probability_is_refused(probability: float) -> None:
    with pytest.raises(ConfigurationError, match=r"protocol.flicker_probability=.*a probability in \[0, 1\]"):
        dataclasses.replace(MACHADO, flicker_probability=probability)

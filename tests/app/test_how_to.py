"""What the documentation tells people to type is understood, and the code that it shows does what it says."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from wn_rl.app.configured import read_command
from wn_rl.app.words import translate_words
from wn_rl.envs.gymnasium_environments import GymnasiumEnvironments
from wn_rl.envs.gymnasium_wrappers import make_gymnasium_env
from wn_rl.envs.protocols import GymnasiumProtocol
from wn_rl.networks import torsos
from wn_rl.nn import make_folded, make_normalizer
from wn_rl.types import ObservationSpec

ROOT = Path(__file__).parents[2]
RULES = GymnasiumProtocol(name="gymnasium", max_episode_agent_steps=1000, kwargs={})
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"(?:^|`)python -m wn_rl\.(train|evaluate|watch|export|study) ([^`\n]*)", re.MULTILINE)


def list_commands() -> Iterator[tuple[str, list[str]]]:
    """The commands of all pages, without words that name what is not there, as ``<run>`` and ``latest``."""
    for page in PAGES:
        for name, rest in COMMAND.findall(page.read_text(encoding="utf-8").replace("\\\n", " ")):
            words = shlex.split(rest, comments=True)
            if "--config-dir" not in words:  # whose files are the user's own
                yield name, [word for word in words if "<" not in word and not word.endswith("=latest")]


def read_code(page: str) -> str:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "how_to" / page).read_text(), re.DOTALL)[0]


def test_every_command_of_the_documentation_is_understood() -> None:
    commands = list(list_commands())
    assert len(commands) > 60
    assert {name for name, _ in commands} == {"train", "evaluate", "watch", "export", "study"}
    for name, words in commands:
        translate_words(name, read_command(name), words)


def test_the_torso_of_the_documentation_is_normalized_folded_and_has_the_features_that_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torsos, "TORSOS", dict(torsos.TORSOS))
    exec(read_code("torso.md"), {"__name__": "torso"})
    torso = torsos.TORSOS["one_convolution"].make(
        stack_size=4, observation=ObservationSpec((84, 84), "uint8"), hidden_units=24, center_pixels=False,
        normalizer=make_normalizer("weight_norm"), generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    observations = torch.randint(0, 256, (3, 4, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    features = torso(observations)
    assert features.shape == (3, 24) == (3, torso.num_features)
    assert sum(name.endswith(".g") for name, _ in torso.named_parameters()) == 2
    torch.testing.assert_close(make_folded(torso)(observations), features)


def test_the_environment_of_the_documentation_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    scope: dict[str, Any] = {"__name__": "my_games"}
    monkeypatch.setitem(sys.modules, "my_games", type(sys)("my_games"))
    another = gymnasium.registry.pop("Corridor-v0", None)  # of the toys of other tests
    exec(read_code("environment.md"), scope)
    try:
        environments = GymnasiumEnvironments(game="Corridor-v0", protocol=RULES, num_envs=1)
        environment = make_gymnasium_env("Corridor-v0", RULES, stack_size=1, render_mode=None)
        environments.reset(seeds=np.array([0]))
        environment.reset(seed=0)
        for place in range(1, 10):
            environments.send(np.array([1]))
            step, (_, *own) = environments.receive(), environment.step(1)
            assert (step.reward[0], step.terminated[0]) == tuple(own[:2]) == (float(place == 9), place == 9)
    finally:
        del gymnasium.registry["Corridor-v0"]
        if another is not None:
            gymnasium.registry["Corridor-v0"] = another

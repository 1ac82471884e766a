"""The commands as functions of a program: train, load an agent, play in anybody's loop, evaluate."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import hydra
import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra

import tests.helpers.gymnasium_toys  # noqa: F401  # registers them
import wn_rl
from wn_rl.app.composition import translate_arguments
from wn_rl.app.configured import read_command
from wn_rl.app.hydra_version import VERSION_BASE
from wn_rl.runs.agent import Agent

SMALL: dict[str, Any] = {
    "total_agent_steps": 300, "iteration_agent_steps": 150, "chunk_agent_steps": 50, "warmup_agent_steps": 64,
    "num_envs": 4, "network": {"torso": "small", "hidden_units": 16}, "batch_size": 16, "samples_per_agent_step": 1,
    "replay": {"capacity": 300}, "evaluation": {"episodes": 0}, "initialization_batch_size": 16, "num_threads": 1,
    "num_env_threads": 1, "minibatch_parts": 1, "video.period_iterations": 0, "progress": False, "logger": None,
    "weight_statistics.period_agent_steps": 0,
}  # fmt: skip
VECTORS: dict[str, Any] = {**SMALL, "env": "gymnasium", "network": {"hidden_units": 8}}


class CountChunks(wn_rl.RunCallback):
    """A callback of a user's."""

    num_chunks = 0

    def on_chunk_end(self) -> None:
        self.num_chunks += 1

    def state_dict(self) -> dict[str, Any]:
        return {"num_chunks": self.num_chunks, "loss": 0.5}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.num_chunks = state_dict["num_chunks"]


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "CartPole"
    counter = CountChunks()
    settings = {**VECTORS, "env.id": "CartPole-v1", "run_dir": folder}
    run = wn_rl.train(callbacks=[counter], **settings)
    assert (run.folder, run.algorithm.agent_steps, run.is_stopped, counter.num_chunks) == (folder, 300, False, 6)
    return folder


@pytest.fixture(scope="module")
def pong() -> Agent:
    return wn_rl.load_agent("checkpoints/Pong")


def test_importing_the_package_imports_nothing_that_takes_long() -> None:
    command = (
        "import sys, wn_rl; dir(wn_rl); print([name for name in ('torch', 'numpy', 'hydra') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", command], capture_output=True, text=True).stdout == "[]\n"


def test_an_agent_is_loaded_without_what_only_training_needs() -> None:
    command = "import sys, wn_rl; wn_rl.load_agent; print('torch' in sys.modules, 'lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], capture_output=True, text=True).stdout == "True False\n"


def test_a_command_and_its_function_are_one_whatever_was_imported_before() -> None:
    command = (
        "import wn_rl\nbefore = wn_rl.train\nimport wn_rl.train, wn_rl.evaluate\n"
        "print(before is wn_rl.train, callable(wn_rl.train), callable(wn_rl.evaluate), callable(wn_rl.train.main))"
    )
    assert (
        subprocess.run([sys.executable, "-c", command], capture_output=True, text=True).stdout == "True " * 3 + "True\n"
    )
    with pytest.raises(AttributeError, match="has no attribute 'tarin'"):
        wn_rl.tarin  # noqa: B018


def test_arguments_are_the_words_of_a_command_line() -> None:
    given = {"game": "Pong", "preset": "quick", "replay": {"n_step": 5, "gamma": 0.9}, "max_gradient_norm": None,
             "double": False, "total_agent_steps": "1e5", "learning_rate": 1e-05,
             "network.impala_widths": (8, 16)}  # fmt: skip
    assert translate_arguments("train", read_command("train"), given) == [
        "game=Pong", "preset=quick", "replay.n_step=5", "replay.gamma=0.9", "max_gradient_norm=null", "double=false",
        "total_agent_steps=100000", "learning_rate=1e-05", "network.impala_widths=[8,16]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"learning_rates": 1.0}, "learning_rates: there is no such setting of train; did you mean learning_rate"),
        ({"replay": {"capasity": 1}}, "did you mean replay.capacity"),
        ({"preset": "quik"}, "did you mean quick?"),
        ({"learning_rate": np.zeros(3)}, "needs a number, a text, a truth value, or a list of those"),
        ({"batch_size": 0}, "batch_size=0: needs a number of at least 1"),
        ({"game": "Pongg"}, "unknown game 'Pongg'"),
        ({"sweep": "a"}, "call train once for each"),
        ({"run_dir": "a", "resume": "b"}, "a run goes on in its own folder"),
        ({"game": None}, "game is missing"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(wn_rl.ConfigurationError) as caught:
        wn_rl.train(**{"game": "Pong", **settings})
    assert told in str(caught.value)


def test_a_program_with_a_hydra_of_its_own_keeps_it(pong: Agent, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("a: 1\n")
    with hydra.initialize_config_dir(str(tmp_path), **VERSION_BASE):
        with pytest.raises(wn_rl.ConfigurationError, match="epsilon"):
            wn_rl.evaluate(pong, epsilon=2)
        assert hydra.compose("own") == {"a": 1}
    assert not GlobalHydra.instance().is_initialized()


def test_a_resumed_run_has_the_callbacks_that_are_given_again(
    cartpole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counter = CountChunks()
    run = wn_rl.train(resume=cartpole, total_agent_steps=400, callbacks=[counter])
    assert (run.algorithm.agent_steps, counter.num_chunks > 6) == (400, True)
    assert "without" not in capsys.readouterr().out
    assert wn_rl.train(resume=cartpole, total_agent_steps=440).algorithm.agent_steps == 440
    assert "without CountChunks, which this run had" in capsys.readouterr().out


def test_an_agent_plays_in_a_loop_of_gymnasium(cartpole: Path) -> None:
    agent = wn_rl.load_agent(cartpole)
    env = wn_rl.make_env(agent)
    observation, _ = env.reset(seed=0)
    action = agent.act(observation)
    assert isinstance(action, int)
    assert env.step(action)[0].shape == (4,)
    envs = gymnasium.vector.SyncVectorEnv([partial(wn_rl.make_env, agent)] * 3)
    observations, _ = envs.reset(seed=0)
    actions = agent.act(observations)
    envs.step(actions)
    q_values = agent.compute_q_values(observations)
    assert [agent.act(one) for one in observations] == list(actions) == list(q_values.argmax(axis=1))
    np.testing.assert_allclose(agent.compute_q_values(observation), q_values[0], rtol=1e-5)
    assert agent.act(np.asarray(observation, np.float64)) == action  # as environments return that are not wrapped


@pytest.mark.parametrize(
    ("observation", "told"),
    [
        (np.zeros((210, 160, 3), np.uint8), "shape [210, 160, 3]: the agent sees uint8 [4, 84, 84], or [N, 4, 84, 84]"),
        (np.zeros((4, 84), np.uint8), "shape [4, 84]: the agent"),
        (np.zeros((2, 3, 4, 84, 84), np.uint8), "shape [2, 3, 4, 84, 84]: the agent"),
        (np.zeros((4, 84, 84), np.float32), "an observation of float32: the agent sees uint8, not scaled"),
    ],
)
def test_what_an_agent_cannot_see_is_refused(observation: Any, told: str, pong: Agent) -> None:
    with pytest.raises(wn_rl.ConfigurationError) as caught:
        pong.act(observation)
    assert told in str(caught.value)


def test_an_environment_of_ones_own_must_fit_the_agent(pong: Agent, cartpole: Path) -> None:
    agent = wn_rl.load_agent(cartpole)
    assert agent.act(wn_rl.wrap_env(gymnasium.make("CartPole-v1"), agent).reset(seed=0)[0]) in (0, 1)
    for name, own, told in (
        ("CartPole-v1", pong, "the agent plays Atari games"),
        ("ALE/Pong-v5", pong, "make it with frameskip=1"),
        ("Acrobot-v1", agent, "chooses among 2 actions and sees [4]; this environment has Discrete(3) and shows [6]"),
    ):
        with pytest.raises(wn_rl.ConfigurationError) as caught:
            wn_rl.wrap_env(gymnasium.make(name), own)
        assert told in str(caught.value)


def test_an_evaluation_is_a_row_with_its_returns_and_leaves_nothing(cartpole: Path) -> None:
    before = sorted(cartpole.rglob("*"))
    rows = [wn_rl.evaluate(agent, episodes=3, num_threads=1) for agent in (cartpole, wn_rl.load_agent(cartpole))]
    assert rows[0] == rows[1]
    assert (rows[0]["episodes"], rows[0]["protocol"], rows[0]["epsilon"]) == (3, "gymnasium", 0.001)
    assert rows[0]["mean"] == np.mean(rows[0]["returns"])
    assert sorted(cartpole.rglob("*")) == before

"""Fine-tuning: a run begins with an agent's weights, keeps a copy of it, and says what does not fit."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.app.test_configuration import compose_training
from tests.app.test_gymnasium_runs import resume, start
from wn_rl.app.configuration import resolve_configuration
from wn_rl.errors import ConfigurationError
from wn_rl.nn.folding import make_folded
from wn_rl.runs.agent import load_agent

WORDS = ["env.id=CartPole-v1", "video.period_iterations=0", "evaluation.episodes=0", "total_agent_steps=200",
         "iteration_agent_steps=200"]  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "source"
    assert start(folder, *WORDS).train()
    return folder


def test_a_run_begins_with_the_function_of_the_agent_and_copies_it(source: Path, tmp_path: Path) -> None:
    words = [*WORDS, f"initial_agent={source}", "normalizer=weight_norm_projected_v", "learning_rate=1e-12"]
    run = start(tmp_path / "run", *words, "total_agent_steps=120", "iteration_agent_steps=120")
    agent, x = load_agent(source), torch.randn(5, 1, 4)
    expected = agent.network(x).q_values
    torch.testing.assert_close(make_folded(run.algorithm.network)(x).q_values, expected)
    assert (tmp_path / "run" / "config.yaml").read_text().count("initialization: agent") == 1
    shutil.move(source, tmp_path / "moved")
    try:
        run.close()
        again = resume(tmp_path / "run")  # it was killed before its first checkpoint
        torch.testing.assert_close(make_folded(again.algorithm.network)(x).q_values, expected)
        assert again.train()
    finally:
        shutil.move(tmp_path / "moved", source)
    torch.testing.assert_close(load_agent(tmp_path / "run").network(x).q_values, expected)  # nothing is drawn anew
    shutil.rmtree(tmp_path / "run" / "initial_agent")
    assert resume(tmp_path / "run", "total_agent_steps=140").train()  # from its checkpoint, which needs no copy


def test_another_game_has_a_head_of_its_own(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = start(tmp_path, *WORDS, f"initial_agent={source}", "network.head=quantile", "error_function=huber")
    run.close()
    assert "has a head for other outputs than this run: it is drawn anew" in capsys.readouterr().out
    features = run.algorithm.network.torso(torch.ones(1, 1, 4))
    torch.testing.assert_close(features, load_agent(source).network.torso(torch.ones(1, 1, 4)))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["network.hidden_units=5"],
            "has another network, and sees float32 [4]; if it is to learn on, say network.hidden_units=4",
        ),
        (["env.id=Acrobot-v1"], "say a game of such observations"),
        (["normalizer=batch_norm"], "take another normalizer"),
        (["initial_agent=/no/such"], "initial_agent=/no/such: no agent there"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(
    words: list[str], told: str, source: Path, tmp_path: Path
) -> None:
    settings = {word.partition("=")[0]: word for word in [*WORDS, f"initial_agent={source}", *words]}
    with pytest.raises(ConfigurationError) as caught:
        start(tmp_path / "run", *settings.values())
    assert told in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_weights_of_nobody_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="initialization=agent: whose weights"):
        resolve_configuration(compose_training("num_envs=8", "initialization=agent"))

"""A run that was stopped under the version before the second edition of the house goes on to the end it would have had.

tests/data/old_run.tar.xz holds its folder, stopped after 456 of 600 agent steps, and the weights of its end under that
version.
"""

import json
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.configurations import compose_config
from wn_rl import evaluate, watch
from wn_rl.app import training
from wn_rl.runs.agent import load_agent

ARCHIVE = Path(__file__).resolve().parents[1] / "data" / "old_run.tar.xz"


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "old_run"


def test_its_agent_plays_and_its_page_is_made(old_run: Path, tmp_path: Path) -> None:
    assert load_agent(old_run).description["agent_steps"] == 456
    words = [f"agent={old_run}", "episodes=1", "num_envs=1", "num_threads=1", f"output_dir={tmp_path / 'evaluation'}"]
    evaluate.main(compose_config("evaluate", *words))
    assert json.loads((tmp_path / "evaluation" / "evaluations.jsonl").read_text())["episodes"] == 1
    watch.main(compose_config("watch", f"run={old_run}"))
    assert "Pong" in (old_run / "index.html").read_text()


def test_it_goes_on_to_the_end_that_it_would_have_had(old_run: Path) -> None:
    rows = (old_run / "evaluations.jsonl").read_text()
    words = [f"resume={old_run}"]
    assert training.resume_run(compose_config("train", *words), overrides=words, folder=old_run).train()
    assert (old_run / "evaluations.jsonl").read_text().startswith(rows)
    assert json.loads((old_run / "agent" / "agent.json").read_text())["agent_steps"] == 600
    expected = load_file(old_run.parent / "old_run_ended.safetensors")
    ended = load_file(old_run / "agent" / "weights.safetensors")
    assert ended.keys() == expected.keys()
    for name, weights in expected.items():  # equal bit for bit on a processor of the same kind
        torch.testing.assert_close(ended[name], weights, rtol=0, atol=1e-4)

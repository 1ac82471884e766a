"""A finished run is made longer: it learns on, wherever its last iteration was cut, and can be stopped and resumed."""

from pathlib import Path

import pytest

from tests.app.test_gymnasium_runs import resume, start
from tests.helpers.signals import SendSignal
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.runs.layout import LAST_CHECKPOINT

LENGTHS = ["env.id=CartPole-v1", "iteration_agent_steps=200", "video.period_iterations=0", "evaluation.episodes=1"]


def read_agent_steps(folder: Path) -> int:
    return read_checkpoint(folder / LAST_CHECKPOINT)["agent"]["agent_steps"]


@pytest.mark.parametrize(
    ("first", "second", "ends"),
    [(220, 400, [200, 220, 400]), (150, 600, [150, 200, 400, 600]), (400, 410, [200, 400, 410])],
)
def test_a_finished_run_goes_on_to_its_new_length(tmp_path: Path, first: int, second: int, ends: list[int]) -> None:
    assert start(tmp_path, *LENGTHS, f"total_agent_steps={first}").train()
    assert resume(tmp_path, f"total_agent_steps={second}").train()
    assert read_agent_steps(tmp_path) == second
    rows = (tmp_path / "evaluations.jsonl").read_text()
    assert [int(row.split('"agent_steps": ')[1].split(",")[0]) for row in rows.splitlines()] == ends


def test_a_longer_run_that_is_stopped_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(tmp_path, *LENGTHS, "total_agent_steps=150").train()
    longer = resume(tmp_path, "total_agent_steps=700")
    longer.trainer.callbacks.insert(0, SendSignal(320))
    assert not longer.train()
    stopped = read_agent_steps(tmp_path)
    assert 320 <= stopped < 400
    again = resume(tmp_path)
    assert again.saving.saved_agent_steps is None  # until it is loaded
    assert again.train()
    assert "warning" not in capsys.readouterr().err
    assert read_agent_steps(tmp_path) == 700

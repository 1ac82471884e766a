"""max_minutes: a run stops in good order where its time is over, and goes on as if it had not."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from tests.app.test_gymnasium_runs import read_lines, resume, start
from tests.helpers.killed_runs import assert_equal
from wn_rl.app.training import Run
from wn_rl.callbacks.time_limit import TimeLimit
from wn_rl.runs.checkpoint_file import read_checkpoint
from wn_rl.runs.layout import LAST_CHECKPOINT

WORDS = ["env.id=CartPole-v1", "video.period_iterations=0", "evaluation.episodes=1"]


class Clock:
    """Stands still, but in one kind of moment."""

    def __init__(self, run: Run, *, jumps_in_evaluation: bool) -> None:
        self._algorithm, self._jumps_in_evaluation = run.algorithm, jumps_in_evaluation

    def __call__(self) -> float:
        return 1e9 if self._algorithm.has_iteration_ended == self._jumps_in_evaluation else 0.0


def set_clock(run: Run, *, jumps_in_evaluation: bool) -> None:
    (limit,) = [callback for callback in run.trainer.callbacks if isinstance(callback, TimeLimit)]
    limit._clock = Clock(run, jumps_in_evaluation=jumps_in_evaluation)


def read_end(folder: Path) -> dict[str, Any]:
    end = read_checkpoint(folder / LAST_CHECKPOINT)
    del end["wn_rl"]["replay"]["segments"], end["wn_rl"]["replay"]["next_number"]  # each stop wrote one more
    return {key: end[key] for key in ("state_dict", "optimizer_states", "wn_rl")}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "untouched"
    assert start(folder, *WORDS).train()
    return folder


@pytest.mark.parametrize(("jumps_in_evaluation", "possible"), [(False, range(100, 200)), (True, [300])])
def test_a_run_whose_time_is_over_stops_and_goes_on_to_the_same_end(
    jumps_in_evaluation: bool, possible: Collection[int], untouched: Path, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = start(tmp_path, *WORDS, "max_minutes=5")
    set_clock(run, jumps_in_evaluation=jumps_in_evaluation)
    assert not run.train()
    assert (run.is_stopped, run.interruption.is_by_signal) == (True, False)
    told = capfd.readouterr()
    assert told.err.count("max_minutes=5 are over") == 1
    stopped_at = run.algorithm.agent_steps
    assert stopped_at in possible
    assert f"stopped after {stopped_at} agent steps; a checkpoint is written. Go on with:" in told.out
    rows = tmp_path / "evaluations.jsonl"
    assert not rows.exists() or rows.read_text() == ""  # an evaluation that was cut short is made again
    assert resume(tmp_path, "max_minutes=null").train()
    assert_equal(read_end(tmp_path), read_end(untouched))
    assert rows.read_text() == (untouched / "evaluations.jsonl").read_text()


def test_a_run_may_be_evaluated_otherwise_when_it_goes_on(untouched: Path) -> None:
    assert resume(untouched, "total_agent_steps=700", "evaluation.episodes=2", "evaluation.epsilon=0.5").train()
    rows = read_lines(untouched / "evaluations.jsonl")
    assert [(row["episodes"], row["epsilon"]) for row in rows] == [(1, 0.2)] * 2 + [(2, 0.5)]

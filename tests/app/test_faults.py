"""What can go wrong while a run goes on: each fault ends in one line, and nothing that was good is lost.

docs/reliability.md lists the faults with the tests of this file.
"""

import errno
import gc
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from tests.helpers.chain import ChainEnvironments
from tests.helpers.killed_runs import TOTAL, assert_equal, describe_folder, make_module, make_run
from tests.helpers.toy_runs import FRAME_SHAPE, NUM_STATES
from wn_rl.app.command_line import tell_failed_thread
from wn_rl.app.failures import explain_failure
from wn_rl.app.resume import find_checkpoint
from wn_rl.errors import ConfigurationError
from wn_rl.replay.persistence import list_segment_names
from wn_rl.runs.checkpoint_file import read_checkpoint, write_checkpoint
from wn_rl.runs.evaluations import append_json_line, keep_training_rows
from wn_rl.runs.folder import lock_run_folder, make_run_folder
from wn_rl.runs.layout import LAST_CHECKPOINT
from wn_rl.runs.metrics_csv import MetricsCSV
from wn_rl.types import Step

OLDER = f"checkpoints/{TOTAL - 100:09d}"


@pytest.fixture
def copy(finished_toy_run: Path, tmp_path: Path) -> Path:
    """A copy of the run folder elsewhere: everything below holds of runs that were moved or copied, too."""
    return Path(shutil.copytree(finished_toy_run, tmp_path / "copy"))


def find_older(folder: Path) -> Path:
    return next(path for path in folder.glob("checkpoints/*.ckpt") if str(path).startswith(str(folder / OLDER)))


def check_resumes_to_the_same_end(folder: Path, finished_toy_run: Path) -> None:
    made = make_run(folder)
    assert made.train()
    for path in [*folder.glob("checkpoints/*.damaged"), folder / "error.log"]:
        path.unlink(missing_ok=True)
    assert_equal(describe_folder(folder), describe_folder(finished_toy_run))


def train_refused(folder: Path, **how: Any) -> str:
    """The one line with which a run stops."""
    with pytest.raises(ConfigurationError) as caught:
        make_run(folder, **how).train()
    message = str(caught.value)
    assert "\n" not in message
    return message


def flip_a_weight(path: Path) -> None:
    """One bit, in the middle of the file: PyTorch itself would load it without a word."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 64
    path.write_bytes(content)


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "flipped": flip_a_weight,
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: path.write_bytes(b""),
    "huge": lambda path: os.truncate(path, 10**12),
    "a pipe": replace_by_pipe,
    "another format": lambda path: write_checkpoint(path, {"weights": torch.zeros(3)}),
    "missing": Path.unlink,
}


@pytest.mark.parametrize(
    "name", [name if name == "flipped" else pytest.param(name, marks=pytest.mark.slow) for name in DAMAGES]
)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken(
    name: str, copy: Path, finished_toy_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[name](copy / LAST_CHECKPOINT)
    check_resumes_to_the_same_end(copy, finished_toy_run)
    warnings = capsys.readouterr().err.splitlines()
    if name != "missing":
        assert len(warnings) == 1
        assert re.match(
            r"warning: .*last\.ckpt .*; it is kept as last\.ckpt\.damaged, the run goes on from", warnings[0]
        )


def test_a_flipped_weight_is_one_that_pytorch_loads(copy: Path) -> None:
    """So that the test above tests our checksum and not PyTorch's."""
    before = torch.load(copy / LAST_CHECKPOINT, weights_only=True)
    flip_a_weight(copy / LAST_CHECKPOINT)
    with pytest.raises(AssertionError):
        assert_equal(torch.load(copy / LAST_CHECKPOINT, weights_only=True), before)


@pytest.mark.parametrize(
    "name", ["missing", pytest.param("cut", marks=pytest.mark.slow), pytest.param("flipped", marks=pytest.mark.slow)]
)
def test_a_damaged_segment_sends_the_run_back_to_a_checkpoint_that_does_without(
    name: str, copy: Path, finished_toy_run: Path
) -> None:
    needed = [list_segment_names(read_checkpoint(path)["wn_rl"]["replay"]) for path in (
        copy / LAST_CHECKPOINT, find_older(copy)
    )]  # fmt: skip
    DAMAGES[name](copy / "replay" / min(needed[0] - needed[1]))
    check_resumes_to_the_same_end(copy, finished_toy_run)


def test_where_no_checkpoint_is_whole_the_run_is_refused_and_nothing_is_changed(copy: Path) -> None:
    for path in copy.glob("checkpoints/*.ckpt"):
        flip_a_weight(path)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    message = train_refused(copy)
    assert "last.ckpt cannot be read: it is damaged: the checksum of" in message
    assert "no other checkpoint" in message
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_a_run_folder_without_its_checkpoints_does_not_begin_anew(copy: Path) -> None:
    shutil.rmtree(copy / "checkpoints")
    assert "are missing; copy the run folder with all that it holds" in train_refused(copy)


def test_the_best_and_the_newest_checkpoints_are_kept_with_their_segments(finished_toy_run: Path) -> None:
    rows = [json.loads(line) for line in (finished_toy_run / "evaluations.jsonl").read_text().splitlines()]
    best = max((row["mean"], row["agent_steps"]) for row in rows)
    kept = {
        read_checkpoint(path)["agent"]["agent_steps"]: read_checkpoint(path)
        for path in finished_toy_run.glob("checkpoints/*")
    }
    assert set(kept) == {TOTAL, TOTAL - 100, best[1]}
    assert kept[best[1]]["agent"]["mean_return"] == best[0]
    needed = {name for state in kept.values() for name in list_segment_names(state["wn_rl"]["replay"])}
    assert {path.name for path in (finished_toy_run / "replay").iterdir()} == needed


def test_an_older_checkpoint_can_be_gone_on_from(copy: Path, finished_toy_run: Path) -> None:
    """Its replay is whole although newer ones have overwritten most of it."""
    find_older(copy).replace(copy / LAST_CHECKPOINT)
    check_resumes_to_the_same_end(copy, finished_toy_run)


# --- while training


class FailingEnvironments(ChainEnvironments):
    """Raises in the middle of a run."""

    def __init__(self, error: Exception, agent_steps: int) -> None:
        super().__init__(
            num_envs=4, num_states=NUM_STATES, slip_probability=0.0, goal_reward=1.0, start_reward=0.1,
            starts_anywhere=True, max_episode_agent_steps=12, frame_shape=FRAME_SHAPE,
        )  # fmt: skip
        self._error, self._rounds_left = error, agent_steps // 4

    def receive(self) -> Step:
        self._rounds_left -= 1
        if self._rounds_left < 0:
            raise self._error
        return super().receive()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("a worker\ndied"), "RuntimeError: a worker died (the traceback is in"),
        (MemoryError("1 TB"), "memory is short: 1 TB; free some, or lower replay.capacity"),
        pytest.param(
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "memory is short: [enforce fail]",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_environment_that_fails_ends_in_one_line_and_the_run_can_go_on(
    error: Exception, expected: str, tmp_path: Path, finished_toy_run: Path
) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    message = train_refused(tmp_path, environments=FailingEnvironments(error, 350))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert message.startswith("training stopped after 3")
    assert expected in message
    assert (
        f"checkpoint of 300 agent steps is whole; go on from there with: python -m wn_rl.train resume={tmp_path}"
        in (message)
    )
    check_resumes_to_the_same_end(tmp_path, finished_toy_run)


def test_a_failure_before_the_first_checkpoint_says_so(tmp_path: Path, finished_toy_run: Path) -> None:
    message = train_refused(tmp_path, environments=FailingEnvironments(RuntimeError("no"), 60))
    assert "it had no checkpoint yet; begin anew with" in message
    check_resumes_to_the_same_end(tmp_path, finished_toy_run)


def test_a_run_that_ended_leaves_no_signal_handler_and_no_memory(tmp_path: Path) -> None:
    """Several runs of one command (-m) share a process: each would keep its replay."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    made = make_run(tmp_path)
    assert made.train()
    module = weakref.ref(made.algorithm)
    del made
    gc.collect()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert module() is None


class Remove(Callback):
    """Takes the run folder, or one in it, away while it trains."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if pl_module.agent_steps >= 300:
            shutil.rmtree(self._path, ignore_errors=True)


@pytest.mark.parametrize(("name", "told"), [("", "was removed meanwhile"), ("checkpoints", "copy one back there")])
def test_a_run_whose_folder_is_removed_while_it_trains_is_not_told_to_go_on_from_there(
    name: str, told: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    failing = FailingEnvironments(RuntimeError("no"), 380)
    assert told in train_refused(folder, callbacks=[Remove(folder / name)], environments=failing)
    assert "Traceback" not in capfd.readouterr().err
    assert folder.is_dir() == bool(name)  # nothing is written where a run was


class StopBeforeTheFirstChunk(Callback):
    """Ctrl-C in the moment after the warm-up."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def test_a_run_stopped_right_after_its_warmup_ends_the_same(tmp_path: Path, finished_toy_run: Path) -> None:
    assert not make_run(tmp_path, callbacks=[StopBeforeTheFirstChunk()]).train()
    check_resumes_to_the_same_end(tmp_path, finished_toy_run)


class StopAfterTheCheckpointsHook(Callback):
    """Ctrl-C in the moment between a chunk's last hook and Lightning's look at ``should_stop``."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if pl_module.agent_steps == 340:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_stopped_between_two_chunks_saves_the_one_that_follows(tmp_path: Path) -> None:
    run = make_run(tmp_path / "stopped", algorithm="pqn")
    run.trainer.callbacks.append(StopAfterTheCheckpointsHook())
    assert not run.train()
    saved = read_checkpoint(tmp_path / "stopped" / LAST_CHECKPOINT)
    assert saved["agent"]["agent_steps"] == run.algorithm.agent_steps == 360
    assert make_run(tmp_path / "stopped", algorithm="pqn").train()
    assert make_run(tmp_path / "whole", algorithm="pqn").train()
    assert_equal(describe_folder(tmp_path / "stopped"), describe_folder(tmp_path / "whole"))


class Poison(Callback):
    """Puts a value into the weights, or into the optimizer's statistics, before or after a chunk learns."""

    def __init__(self, place: str, value: float) -> None:
        self._place, self._value = place, value

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if self._place == "weights before" and pl_module.agent_steps >= 300:
            next(pl_module.network.parameters()).data.view(-1)[0] = self._value

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        weight = next(pl_module.network.parameters())
        if self._place == "weights after" and pl_module.agent_steps >= 400:
            weight.data.view(-1)[0] = self._value
        if self._place == "optimizer after" and pl_module.agent_steps >= 400:
            pl_module.optimizers().optimizer.state[weight]["exp_avg_sq"].view(-1)[0] = self._value


@pytest.mark.parametrize("value", [float("nan"), pytest.param(float("inf"), marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("place", "what"), [("weights before", "train/"), ("weights after", "a weight"), ("optimizer after", "a weight")]
)
def test_what_diverged_never_replaces_a_good_checkpoint(
    value: float, place: str, what: str, tmp_path: Path, finished_toy_run: Path
) -> None:
    """After an iteration's last update its metrics are still finite: the checkpoint itself must look at the weights."""
    message = train_refused(tmp_path, callbacks=[Poison(place, value)])
    assert f"learning diverged: {what}" in message
    assert "start a new run with a lower learning_rate, or with max_gradient_norm=10" in message
    assert "checkpoint of 300 agent steps is whole" in message
    check_resumes_to_the_same_end(tmp_path, finished_toy_run)


# --- disks


def test_a_thread_that_fails_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard's writer, say, on a full disk: its traceback would come before the line that says what to do."""
    monkeypatch.setattr(threading, "excepthook", tell_failed_thread)
    writer = threading.Thread(target=os.mkdir, args=("/nowhere/at\nall",), name="writer")
    writer.start()
    writer.join()
    told = capsys.readouterr().err
    assert told.startswith("warning: the thread writer failed: FileNotFoundError: [Errno 2] No such file or directory")
    assert len(told.splitlines()) == 1


def test_a_file_whose_name_is_bytes_is_told_as_text(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", b"/runs/events")
    told = str(explain_failure(error, folder=tmp_path, agent_steps=1, saved_agent_steps=None))
    assert "No space left on device (/runs/events); make room" in told


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("free_bytes", [16_384, 40_000, pytest.param(150_000, marks=pytest.mark.slow)])
def test_a_full_disk_ends_in_one_line_and_the_run_goes_on_when_there_is_room(
    free_bytes: int, small_disk: Path, finished_toy_run: Path
) -> None:
    folder = small_disk / "run"
    if free_bytes > 16_384:  # else the disk is full before there is any checkpoint
        train_refused(folder, environments=FailingEnvironments(RuntimeError("stopped"), 250))
    status = os.statvfs(small_disk)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(status.f_bavail * status.f_frsize - free_bytes))
    message = train_refused(folder)
    assert "No space left on device" in message
    assert "make room" in message
    filler.unlink()
    check_resumes_to_the_same_end(folder, finished_toy_run)


def test_a_read_only_folder_is_refused_in_one_line(small_disk: Path, finished_toy_run: Path) -> None:
    shutil.copytree(finished_toy_run, small_disk / "run")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(ConfigurationError, match=r"cannot be written to: Read-only file system; name another"):
        make_run_folder(small_disk / "new")
    with pytest.raises(ConfigurationError, match=r"cannot be written to: Read-only file system"):
        lock_run_folder(small_disk / "run")
    with pytest.raises(ConfigurationError, match=r"cannot be written: Read-only file system; name another folder"):
        append_json_line(small_disk / "run" / "evaluations.jsonl", {"mean": 1.0})


# --- others


def _hold(folder: Path, is_held: Any) -> None:
    lock = lock_run_folder(folder)
    is_held.set()
    multiprocessing.Event().wait()
    lock.release()


def test_two_trainers_do_not_share_a_run_folder_and_a_dead_one_does_not_block(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("forkserver")
    is_held = processes.Event()
    other = processes.Process(target=_hold, args=(tmp_path, is_held), daemon=True)  # gone with this process
    other.start()
    assert is_held.wait(30)
    with pytest.raises(ConfigurationError, match="another process trains in this run folder; wait until it ends"):
        lock_run_folder(tmp_path)
    other.kill()
    other.join()
    lock_run_folder(tmp_path).release()
    lock_run_folder(tmp_path).release()


def test_rows_that_were_half_written_are_written_again(tmp_path: Path) -> None:
    metrics = MetricsCSV(tmp_path)
    for step in (100, 200, 300):
        metrics.log_metrics({"train/loss": step / 7}, step)
    whole = metrics._path.read_bytes()
    for cut in (1, 5, 10, 13):
        metrics._path.write_bytes(whole[:-cut])
        again = MetricsCSV(tmp_path)
        again.keep_rows(2)
        assert again.num_rows == 2
        again.log_metrics({"train/loss": 300 / 7}, 300)
        assert metrics._path.read_bytes() == whole
    metrics._path.write_bytes(whole[:-12] + bytes(40))  # what a power failure may leave
    assert MetricsCSV(tmp_path).num_rows == 2


def test_later_evaluations_of_training_are_dropped_and_those_of_other_commands_stay(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.jsonl"
    for agent_steps, source in ((100, "training"), (100, "evaluate"), (200, "training"), (200, "evaluate")):
        append_json_line(path, {"agent_steps": agent_steps, "source": source})
    path.write_text(path.read_text() + '{"agent_steps": 300, "sou')
    keep_training_rows(path, 1)
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["agent_steps"], row["source"]) for row in kept] == [
        (100, "training"), (100, "evaluate"), (200, "evaluate"),
    ]  # fmt: skip


def test_a_killed_writer_of_a_checkpoint_leaves_one_that_is_taken(copy: Path, finished_toy_run: Path) -> None:
    """Between its two renames there is no last.ckpt: the new one is whole, and becomes it."""
    last = copy / LAST_CHECKPOINT
    last.replace(last.with_name("next.ckpt"))
    found = find_checkpoint(copy, make_module(copy))
    assert found is not None
    assert found[0] == last
    check_resumes_to_the_same_end(copy, finished_toy_run)


def test_what_the_last_checkpoint_of_all_made_superfluous_is_removed_by_resuming(
    copy: Path, finished_toy_run: Path
) -> None:
    """Its writer was killed, or failed, when the checkpoint stood and what came before it was yet to be removed."""
    superfluous = copy / "checkpoints" / "000000001.ckpt"
    shutil.copy(find_older(copy), superfluous)
    segment = next((copy / "replay").iterdir())
    unneeded = segment.with_name("segment-999999-0123456789abcdef.zst")
    shutil.copy(segment, unneeded)
    check_resumes_to_the_same_end(copy, finished_toy_run)
    assert not superfluous.exists()
    assert not unneeded.exists()


def test_every_test_that_the_documentation_names_is_there() -> None:
    folder = Path(__file__).parents[1]
    text = (folder.parent / "docs" / "reliability.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 20
    for row in rows:
        shown_by = row.split("|")[-2]
        files = re.findall(r"\w+/test_\w+\.py", shown_by)
        assert files, row
        for name in files:
            assert (folder / name).is_file(), row
        for name in re.findall(r"::(\w+)", shown_by):
            assert any(f"def {name}(" in (folder / file).read_text() for file in files), row

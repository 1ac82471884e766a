"""Is a run's status shown well: in terminals of any width, in logs, and at no cost to training?"""

import dataclasses
import io
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from rich.cells import cell_len
from rich.console import Console
from rich.progress import TextColumn

from tests.helpers.killed_runs import PROTOCOL
from tests.helpers.toy_runs import make_chain, make_policy, make_toy_module
from wn_rl.callbacks.evaluation import Evaluation
from wn_rl.callbacks.metrics_logging import MetricsLogging
from wn_rl.callbacks.progress import TrainingProgress
from wn_rl.callbacks.run_status import compute_status
from wn_rl.learning import metrics
from wn_rl.runs.metrics_csv import MetricsCSV
from wn_rl.system.terminals import make_progress_bar
from wn_rl.viewing import screens
from wn_rl.viewing.screens import LogScreen, NotebookScreen, TerminalScreen, make_screen
from wn_rl.viewing.status import TrainingStatus
from wn_rl.viewing.status_display import StatusDisplay, format_duration, format_elapsed
from wn_rl.viewing.tables import EvaluationLine, print_evaluation_table
from wn_rl.viewing.time_left import TimeLeftEstimator

TRAINING = TrainingStatus(
    iteration=11,
    num_iterations=40,
    agent_steps=3_125_000,
    total_agent_steps=10_000_000,
    agent_steps_per_second=3412.3,
    mean_return=312.34,
    num_episodes=1234,
    epsilon=0.01,
    loss=0.012345,
    phase="training",
    phase_done=125_000,
    phase_total=250_000,
)
WARM_UP = dataclasses.replace(
    TRAINING,
    iteration=0,
    agent_steps=12_000,
    agent_steps_per_second=0.0,
    mean_return=None,
    num_episodes=0,
    epsilon=1.0,
    loss=None,
    phase="warm-up",
    phase_done=12_000,
    phase_total=20_000,
)
EVALUATION = dataclasses.replace(TRAINING, iteration=12, phase="evaluation", phase_done=3, phase_total=30)

ROW: dict[str, Any] = {
    "game": "Breakout",
    "protocol": "machado",
    "epsilon": 0.001,
    "seed": 1,
    "agent_steps": 2_000_000,
    "episodes": 30,
    "mean": 312.34,
    "ci95_low": 280.12,
    "ci95_high": 350.2,
    "median": 310.0,
    "min": 120.0,
    "max": 412.0,
    "mean_agent_steps": 1850.3,
    "human_normalized": 10.787,
    "source": "evaluate",
}


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class TerminalFile(io.StringIO):
    """What a terminal would be sent."""

    def isatty(self) -> bool:
        return True


def make_terminal(width: int = 80) -> Console:
    return Console(file=TerminalFile(), width=width, height=24, force_terminal=True, color_system="256")


def make_progress(console: Console) -> tuple[TrainingProgress, Clock]:
    clock = Clock()
    return TrainingProgress(console=console, clock=clock), clock


def render(renderable: Any, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def read(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def has_control_characters(text: str) -> bool:
    return any(ord(character) < 32 and character != "\n" for character in text)


@pytest.mark.parametrize("status", [TRAINING, WARM_UP, EVALUATION], ids=lambda status: status.phase)
@pytest.mark.parametrize("width", [20, 40, 80, 120, 200, 400])
def test_no_line_is_wider_than_the_terminal(status: TrainingStatus, width: int) -> None:
    lines = render(StatusDisplay(status, 3412.3, 4312.0), width)
    assert max(cell_len(line) for line in lines) < width


@pytest.mark.parametrize(("width", "num_lines"), [(80, 3), (120, 2), (200, 1)])
def test_everything_that_one_wants_to_know_is_shown_at_every_width(width: int, num_lines: int) -> None:
    lines = render(StatusDisplay(TRAINING, 3412.3, 4312.0), width)
    assert len(lines) == num_lines
    text = "\n".join(lines)
    for piece in (
        *("iteration 12/40", "━━━", "31 %", "1 h 12 min left", "3,125,000 of 10,000,000 agent steps"),
        *("3,412 steps/s", "mean return 312.3 (100 games)", "epsilon 0.010", "loss 0.01235"),
    ):
        assert piece in text


def test_the_warm_up_says_so_and_counts_to_its_own_end() -> None:
    (line,) = render(StatusDisplay(WARM_UP, 5000.0, None), 100)
    assert line.startswith("warming up ━")
    assert line.endswith(" 60 % · 12,000 of 20,000 agent steps · 5,000 steps/s")
    assert "iteration" not in line
    assert "left" not in line


def test_an_evaluation_says_so() -> None:
    assert "iteration 12/40, evaluating 3/30" in render(StatusDisplay(EVALUATION, 1.0, 1.0), 80)[0]
    unknown = dataclasses.replace(EVALUATION, phase_done=0, phase_total=0)
    assert "iteration 12/40, evaluating ━" in render(StatusDisplay(unknown, 1.0, 1.0), 80)[0]


def test_the_last_iteration_is_the_last_one() -> None:
    end = dataclasses.replace(TRAINING, iteration=40, agent_steps=10_000_000)
    assert StatusDisplay(end, 1.0, 0.0).to_line().startswith("iteration 40/40 | 100 %, 0 s left | ")


def test_a_terminal_without_unicode_gets_a_bar_of_ascii() -> None:
    raw = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=raw, width=80, color_system=None).print(StatusDisplay(TRAINING, 3412.3, 4312.0))
    raw.seek(0)
    assert "####----" in raw.read()


def test_a_log_gets_a_plain_line_every_30_seconds() -> None:
    console = Console(file=io.StringIO())
    progress, clock = make_progress(console)
    for second in range(100):
        clock.now = 1000.0 + second
        progress.show(dataclasses.replace(TRAINING, agent_steps=3_125_000 + second))
    progress.close()
    lines = read(console).splitlines()
    assert [line[:9] for line in lines] == ["[0:00:00]", "[0:00:30]", "[0:01:00]", "[0:01:30]"]
    assert lines[1].startswith(
        "[0:00:30] iteration 12/40 | 31 %, 34 min left | 3,125,030 of 10,000,000 agent steps | 3,412 steps/s | "
    )
    assert not has_control_characters(read(console))
    assert read(console).isascii()


def test_forced_colors_make_no_terminal_of_a_file() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    progress, _ = make_progress(console)
    progress.show(TRAINING)
    progress.on_evaluation(ROW, [])
    progress.print_line("saved [runs/1]")
    progress.close()
    assert not has_control_characters(read(console))
    assert len(read(console).splitlines()) == 3


def test_a_terminal_is_redrawn_at_most_4_times_a_second() -> None:
    console = make_terminal()
    progress, clock = make_progress(console)
    lengths = []
    for millisecond in range(0, 2000, 10):
        clock.now = 1000.0 + millisecond / 1000
        progress.show(dataclasses.replace(TRAINING, loss=millisecond / 1000))
        lengths.append(len(read(console)))
    progress.close()
    assert len(set(lengths)) == 8


def test_the_bar_is_redrawn_in_place_and_lines_stand_above_it() -> None:
    console = make_terminal()
    progress, clock = make_progress(console)
    progress.show(TRAINING)
    clock.now += 1
    progress.print_line("checkpoint [saved]")
    print("a print of somebody else")
    progress.show(dataclasses.replace(TRAINING, loss=0.5))
    progress.close()
    text = read(console)
    assert "checkpoint [saved]\n" in text
    assert "a print of somebody else\n" in text
    assert text.index("checkpoint") < text.rindex("loss 0.5")
    assert "\x1b[1A" in text  # the cursor goes up over the bar's lines
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # hidden, and shown again


def test_closing_gives_the_terminal_back_and_can_be_done_twice() -> None:
    before = sys.stdout
    console = make_terminal()
    progress, _ = make_progress(console)
    progress.show(TRAINING)
    assert sys.stdout is not before
    progress.close()
    assert sys.stdout is before
    length = len(read(console))
    progress.close()
    assert len(read(console)) == length


def test_a_disabled_display_shows_nothing() -> None:
    console = make_terminal()
    progress, clock = make_progress(console)
    progress.disable()
    progress.show(TRAINING)
    progress.print_line("nothing")
    progress.on_evaluation(ROW, [])
    assert read(console) == ""
    progress.enable()
    clock.now += 1
    progress.show(TRAINING)
    progress.close()
    assert "iteration 12/40" in read(console)


def test_the_screen_fits_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(make_screen(make_terminal())) is TerminalScreen
    assert type(make_screen(Console(file=io.StringIO()))) is LogScreen
    assert type(make_screen(Console(file=TerminalFile(), force_jupyter=True))) is NotebookScreen
    dumb = Console(file=TerminalFile(), force_terminal=True, _environ={"TERM": "dumb"})
    assert type(make_screen(dumb)) is LogScreen
    monkeypatch.setenv("JPY_PARENT_PID", "1")  # what a cell's ! starts, under a terminal that is none
    assert type(make_screen(make_terminal())) is LogScreen


@pytest.mark.parametrize(
    ("file", "variables", "is_drawn"),
    [(TerminalFile(), {}, True), (TerminalFile(), {"JPY_PARENT_PID": "1"}, False), (io.StringIO(), {}, False),
     (io.StringIO(), {"FORCE_COLOR": "1"}, False)],
)  # fmt: skip
def test_bars_of_games_and_videos_are_drawn_where_they_can_be_redrawn(
    monkeypatch: pytest.MonkeyPatch, file: io.StringIO, variables: dict[str, str], is_drawn: bool
) -> None:
    for name in ("JPY_PARENT_PID", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", file)
    with make_progress_bar(TextColumn("{task.description}"), transient=True) as progress:
        progress.advance(progress.add_task("playing Pong", total=2))
    assert ("playing Pong" in file.getvalue()) == is_drawn
    assert is_drawn or file.getvalue() == ""


def test_a_notebook_updates_one_output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """IPython itself is no dependency: this stands for its display function and handle."""
    shown: list[Any] = []

    class Notebook:
        def display(self, thing: Any, *, display_id: bool) -> "Notebook":
            assert display_id
            shown.append(("new", thing))
            return self

        def update(self, thing: Any) -> None:
            shown.append(("update", thing))

    monkeypatch.setattr(screens.importlib, "import_module", lambda name: Notebook())
    progress, clock = make_progress(Console(file=TerminalFile(), force_jupyter=True))
    for _ in range(3):
        progress.show(TRAINING)
        clock.now += 2
    progress.print_line("a line")
    progress.close()
    assert [kind for kind, _ in shown] == ["new", "update", "update"]
    assert "iteration 12/40" in shown[0][1]._repr_mimebundle_([], [])["text/html"]
    assert capsys.readouterr().out == "a line\n"


def test_time_left_counts_evaluations_once_they_were_seen() -> None:
    estimator = TimeLeftEstimator()
    first = dataclasses.replace(
        TRAINING, iteration=0, agent_steps=0, total_agent_steps=4000, agent_steps_per_second=100.0
    )
    estimator.update(first, 0.0)
    assert estimator.compute_seconds_left(first) == 40.0
    # an iteration of 1000 agent steps took 10 seconds, its evaluation 5
    second = dataclasses.replace(first, iteration=1, agent_steps=1000)
    estimator.update(dataclasses.replace(second, phase="evaluation"), 10.0)
    estimator.update(second, 15.0)
    assert estimator.compute_seconds_left(second) == 45.0
    amid = dataclasses.replace(second, agent_steps=1500)
    estimator.update(amid, 20.0)
    assert estimator.compute_seconds_left(amid) == 37.5


def test_time_left_forgets_what_is_long_ago() -> None:
    estimator = TimeLeftEstimator()
    seconds = 0.0
    for iteration in range(10):
        status = dataclasses.replace(
            TRAINING, iteration=iteration, agent_steps=1000 * iteration, total_agent_steps=20_000
        )
        estimator.update(status, seconds)
        seconds += 1000.0 if iteration < 5 else 10.0
    assert estimator.compute_seconds_left(status) == 11_000 * 0.01


def test_the_speed_of_the_warm_up_is_measured_and_promises_nothing() -> None:
    estimator = TimeLeftEstimator()
    estimator.update(WARM_UP, 0.0)
    assert estimator.compute_speed(WARM_UP) == 0.0
    later = dataclasses.replace(WARM_UP, agent_steps=18_000)
    estimator.update(later, 4.0)
    assert estimator.compute_speed(later) == 1500.0
    assert estimator.compute_seconds_left(later) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (90, "2 min"), (3599, "1 h 00 min"), (4312, "1 h 12 min"), (93600, "1 d 2 h")],
)
def test_durations_are_told_by_their_two_largest_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert format_elapsed(4312.9) == "1:11:52"


def test_an_evaluation_is_told_with_all_that_its_score_depends_on() -> None:
    line = EvaluationLine("iteration 12/40", ROW, 95.3)
    (wide,) = render(line, 200)
    assert wide == (
        "iteration 12/40 · mean 312.3 [280.1, 350.2] · human-normalized 10.79 · 95.3 min · "
        "2,000,000 agent steps · 30 games · machado · epsilon 0.001"
    )
    narrow = render(line, 80)
    assert len(narrow) == 2
    assert max(len(text) for text in narrow) < 80
    assert line.to_line().isascii()
    unknown = EvaluationLine("iteration 12/40", {**ROW, "human_normalized": None}, 95.3)
    assert "human" not in unknown.to_line()


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_of_an_evaluation_fits_and_is_complete(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    print_evaluation_table(ROW, console)
    lines = [line.rstrip() for line in read(console).splitlines()]
    assert max(len(line) for line in lines) <= 80
    values = {line[:16].strip(): line[16:].split("   ")[0:] for line in lines[2:] if line}
    assert lines[1] == "Breakout, 30 games"
    for name, value in (
        *(("mean return", "312.3"), ("median", "310.0"), ("lowest", "120.0"), ("highest", "412.0")),
        *(("human-normalized", "10.787"), ("mean length", "1,850"), ("protocol", "machado")),
        *(("epsilon", "0.001"), ("trained for", "2,000,000")),
    ):
        assert value in [text.strip() for text in values[name]]
    assert "95 % interval [280.1, 350.2]" in read(console)
    assert not has_control_characters(read(console))


@pytest.mark.parametrize(("episodes", "has_interval"), [(1, False), (4, False), (5, True)])
def test_the_table_shows_no_interval_of_a_few_games(episodes: int, has_interval: bool) -> None:
    console = Console(file=io.StringIO(), width=80)
    print_evaluation_table({**ROW, "episodes": episodes}, console)
    assert ("95 % interval [280.1, 350.2]" in read(console)) == has_interval
    assert ("no interval of fewer than 5 games" in read(console)) != has_interval


def test_the_table_says_when_there_is_no_human_score() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_evaluation_table({**ROW, "human_normalized": None, "episodes": 1}, console)
    assert "no human score known" in read(console)
    assert "Breakout, 1 game\n" in read(console)


class RandomStates(Callback):
    """Notes how many numbers each of the process's random streams has given, when training ends."""

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.torch_state = torch.get_rng_state()
        self.numpy_state = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]  # noqa: NPY002


def train_toy(folder: Path, progress: TrainingProgress | None, *callbacks: Callback) -> lightning.LightningModule:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    module = make_toy_module(folder, total_agent_steps=700, iteration_agent_steps=400, samples_per_agent_step=2)
    folder.mkdir(exist_ok=True)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=2,
        logger=False,
        callbacks=[MetricsLogging(MetricsCSV(folder)), *([progress] if progress is not None else []), *callbacks],
        enable_progress_bar=progress is not None,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    with warnings.catch_warnings():  # Lightning's advice on data loaders is not what is tested
        warnings.simplefilter("ignore")
        trainer.fit(module)
    return module


def test_a_run_under_lightning_is_shown_from_warm_up_to_end_and_left_alone(tmp_path: Path) -> None:
    console = make_terminal()
    clock = Clock()

    def tick() -> float:
        clock.now += 0.3  # every look at the clock finds a refresh due
        return clock.now

    with_display, without = RandomStates(), RandomStates()
    shown = train_toy(tmp_path / "a", TrainingProgress(console=console, clock=tick), with_display)
    plain = train_toy(tmp_path / "b", None, without)
    text = read(console)
    for piece in (
        *("warming up", "of 200 agent steps", "iteration 1/2", "iteration 1/2, evaluating"),
        *("iteration 2/2", "100 %", "700 of 700 agent steps", "loss", "epsilon", "mean return"),
    ):
        assert piece in text
    assert text.index("warming up") < text.index("iteration 1/2") < text.index("evaluating") < text.index("2/2")
    assert text.rstrip().endswith("\x1b[?25h")
    for name, value in shown.state_dict().items():
        assert torch.equal(value, plain.state_dict()[name]), name
    assert torch.equal(with_display.torch_state, without.torch_state)
    np.testing.assert_array_equal(with_display.numpy_state, without.numpy_state)


def test_a_log_tells_every_30_seconds_how_far_a_long_evaluation_is(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    progress, clock = make_progress(console)

    class Evaluates(Callback):
        def on_train_epoch_end(self, *args: Any) -> None:
            for second in range(100):
                clock.now += 1
                progress.on_evaluation_round(second // 25, 4)
            progress.on_evaluation(ROW, [])
            clock.now += 100
            progress.on_evaluation_round(4, 4)  # of no evaluation that is known: nothing to show

    train_toy(tmp_path, progress, Evaluates())
    lines = [line for line in read(console).splitlines() if "evaluating" in line]
    assert [line.partition(" |")[0] for line in lines[:3]] == [
        f"[0:0{seconds // 60}:{seconds % 60:02d}] iteration 1/2, evaluating {over}/4"
        for seconds, over in ((30, 1), (60, 2), (90, 3))
    ]
    assert len(lines) == 6


def test_an_evaluation_that_is_over_says_so_until_training_goes_on(tmp_path: Path) -> None:
    console = make_terminal()
    progress, _ = make_progress(console)

    class Evaluates(Callback):
        def on_train_epoch_end(self, *args: Any) -> None:
            progress.on_evaluation_round(2, 3)
            progress.on_evaluation(ROW, [None] * 3)  # videos and a checkpoint follow, and no round

    train_toy(tmp_path, progress, Evaluates())
    assert read(console).count("evaluating 3/3") == 2 * 2  # redrawn under each evaluation's line


def test_evaluating_tells_after_each_round_how_many_games_are_over(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    evaluation = Evaluation(
        make_environments=make_chain, game="Pong", protocol=PROTOCOL, num_episodes=3, epsilon=0.1, seed=5,
        make_policy=make_policy, run_dir=tmp_path, listeners=[],
        on_round=lambda over, games: seen.append((over, games)),
    )  # fmt: skip
    train_toy(tmp_path, None, evaluation)
    assert seen[0] == (0, 3)
    assert {over for over, _ in seen} <= {0, 1, 2}
    assert max(over for over, _ in seen) > 0


def test_an_evaluation_does_not_slow_down_the_chunk_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(metrics, "time", SimpleNamespace(perf_counter=clock))
    seconds: list[float] = []
    num_updates: list[int] = []

    class Passes(Callback):
        def on_train_batch_start(self, *args: Any) -> None:
            clock.now += 1

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
            latest = pl_module.metrics.latest
            updates = pl_module.num_updates - sum(num_updates)
            num_updates.append(updates)
            seconds.append(updates / latest["speed/updates_per_second"])

        def on_train_epoch_end(self, *args: Any) -> None:
            clock.now += 500

    train_toy(tmp_path, None, Passes())
    assert len(seconds) > 4
    assert seconds == pytest.approx([1.0] * len(seconds))


def test_an_error_gives_the_terminal_back(tmp_path: Path) -> None:
    class Breaks(Callback):
        def on_train_epoch_end(self, *args: Any) -> None:
            raise RuntimeError("broken")

    before, console = sys.stdout, make_terminal()
    with pytest.raises(RuntimeError, match="broken"):
        train_toy(tmp_path, make_progress(console)[0], Breaks())
    assert sys.stdout is before
    assert read(console).count("\x1b[?25l") == read(console).count("\x1b[?25h") == 1


def test_a_batch_that_is_not_shown_costs_under_50_microseconds(tmp_path: Path) -> None:
    progress, _ = make_progress(Console(file=io.StringIO()))
    module = make_toy_module(tmp_path)
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    progress.setup(trainer, module, "fit")
    progress.on_train_start(trainer, module)
    progress.show(TRAINING)
    durations = []
    for _ in range(200):
        began = time.perf_counter()
        progress.on_train_batch_end(trainer, module, None, 0, 0)
        durations.append(time.perf_counter() - began)
    assert np.median(durations) < 50e-6


def test_the_status_of_a_run_is_that_of_its_counters(tmp_path: Path) -> None:
    module = train_toy(tmp_path, None)
    status = compute_status(module)  # type: ignore[arg-type]
    assert (status.agent_steps, status.total_agent_steps) == (700, 700)
    assert (status.iteration, status.num_iterations, status.phase) == (2, 2, "training")
    assert status.mean_return is not None
    assert status.num_episodes > 10
    assert status.epsilon == pytest.approx(1.0 - 0.7 * 500 / 800)  # falls from 1 to 0.3 in 800 after the warm-up


def test_an_interrupted_iteration_is_still_the_one_that_runs(tmp_path: Path) -> None:
    class Stops(Callback):
        def on_train_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
            trainer.should_stop = True

    module = train_toy(tmp_path, None, Stops())
    status = compute_status(module)  # type: ignore[arg-type]
    assert 200 < status.agent_steps < 400
    assert status.iteration == 0
    assert (status.phase_done, status.phase_total) == (status.agent_steps, 400)


def test_an_iteration_is_not_over_before_its_evaluation(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    class Looks(Callback):
        def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, *args: Any) -> None:
            status = compute_status(pl_module)
            seen.append((status.agent_steps, status.iteration))

    train_toy(tmp_path, None, Looks())
    assert [iteration for agent_steps, iteration in seen if agent_steps <= 400] == [0] * 4
    assert [iteration for agent_steps, iteration in seen if agent_steps > 400] == [1] * 4

"""A stranger's run folder: nothing in it runs code, reaches a file or a secret outside it, or takes long to refuse."""

import io
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from tests.app.test_configuration import compose_training
from tests.helpers.run_folders import make_evaluation, make_run_folder
from wn_rl.app import build, watch_pages
from wn_rl.app.configuration import (
    load_configuration,
    resolve_configuration,
    resume_configuration,
    save_configuration,
    select_fixed_settings,
)
from wn_rl.app.resume import check_settings
from wn_rl.app.training import resume_run
from wn_rl.envs.rendering import load_episode
from wn_rl.errors import ConfigurationError
from wn_rl.runs.evaluations import append_json_line
from wn_rl.runs.folder import lock_run_folder
from wn_rl.runs.folder import make_run_folder as make_empty_folder
from wn_rl.runs.metrics_csv import MetricsCSV
from wn_rl.system.files import name_temporary, write_whole
from wn_rl.viewing.evaluation_videos import find_missing_videos
from wn_rl.viewing.pages.gallery import render_gallery, write_gallery
from wn_rl.viewing.pages.run_page import render_run_page, write_run_page

MAX_SECONDS = 2.0
SECRET = "the-key-of-somebody"


@contextmanager
def soon() -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < MAX_SECONDS


@pytest.fixture(scope="module")
def given() -> DictConfig:
    return compose_training("num_envs=8")


@pytest.fixture
def run(given: DictConfig, tmp_path: Path) -> Path:
    """A run folder with a configuration and a page's files."""
    folder = make_run_folder(tmp_path / "runs" / "run")
    save_configuration(resolve_configuration(given), folder)
    return folder


def edit(folder: Path, key: str, value: Any) -> None:
    config = load_configuration(folder)
    OmegaConf.update(config, key, value, merge=False, force_add=True)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(config))


def resume(given: DictConfig, folder: Path, *words: str) -> DictConfig:
    config = resume_configuration(given, list(words), folder)
    build.check_targets(config)
    return config


# --- code


@pytest.mark.parametrize("key", ["optimizer", "logger"])
@pytest.mark.parametrize(
    "target", ["evil_module.Adam", "run.evil_module.Adam", "antigravity.Adam", "torch.optim.Adam.step"]
)
def test_what_a_configuration_names_is_not_imported_to_be_looked_at(
    key: str, target: str, run: Path, given: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = f"open({str(tmp_path / 'was here')!r}, 'w')\nfrom torch.optim import Adam\n"
    for folder in (run, tmp_path):
        (folder / "evil_module.py").write_text(evil)
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(run), str(run.parent), *sys.path])
    edit(run, f"{key}._target_", target)
    with pytest.raises(ConfigurationError, match="is none of the known ones"):
        resume(given, run)
    assert not (tmp_path / "was here").exists()
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("plugins", ["evil_module"]),
        ("callbacks", ["evil_module.Count"]),
        ("callbacks", [{"_target_": "evil_module.C"}]),
    ],
)
def test_parts_that_a_saved_run_names_are_shown_and_not_imported(
    key: str, value: Any, run: Path, given: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'was here')!r}, 'w')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    edit(run, key, value)
    assert resume(given, run)[key] == []
    assert f"without {key}={value}, which this run had and no file may import" in capsys.readouterr().out
    assert not (tmp_path / "was here").exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "/tmp"}, "save_dir='/tmp'"),
        ({"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "${run_dir}/../other"}, "save_dir="),
        ({"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "${run_dir}", "name": "../up"}, "name="),
        ({"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "${run_dir}", "version": ".."}, "version="),
        ({"_target_": "wn_rl.viewing.tensorboard.RunTensorBoard", "run_dir": "${game}"}, "run_dir='Pong'"),
        ({"_target_": "lightning.pytorch.loggers.WandbLogger", "settings": {"a": 1}}, "settings="),
        ({"_target_": "lightning.pytorch.loggers.MLFlowLogger", "tracking_uri": "http://evil.x"}, "tracking_uri="),
        ({"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "${run_dir}", "name": "a"}, None),
    ],
)  # fmt: skip
def test_a_saved_logger_writes_into_its_own_run_folder(
    settings: dict[str, Any], told: str | None, run: Path, given: DictConfig
) -> None:
    edit(run, "logger", settings)
    if told is None:
        resume(given, run)
        return
    with pytest.raises(ConfigurationError, match="leads out of its folder") as caught:
        resume(given, run)
    assert f"logger.{told}" in str(caught.value)
    resume(compose_training("logger=tensorboard"), run, "logger=tensorboard")  # what the user names is theirs


@pytest.mark.parametrize("logger", ["mlflow", "wandb", "tensorboard", "none"])
def test_runs_with_the_loggers_of_configs_go_on_where_they_were_moved_to(logger: str, tmp_path: Path) -> None:
    config = resolve_configuration(compose_training("num_envs=8", f"logger={logger}"))
    config.run_dir = str(tmp_path / "before")
    save_configuration(config, tmp_path)
    resumed = resume_configuration(compose_training(), [], tmp_path)
    assert resumed.logger == config.logger


# --- secrets and references


@pytest.mark.parametrize(
    "text",
    ["${oc.env:A_SECRET}", "x ${oc.env:A_SECRET,y}", "${oc.decode:${game}}", "${oc.env:${name}}", "${now:%Y}",
     "${game.x}", "${nothing}", "${replay}", "${.name}", "${A_SECRET"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["name", "optimizer.lr", "secret", "logger.tracking_uri"])
def test_nothing_but_a_setting_is_referred_to(
    text: str, key: str, run: Path, given: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    edited = (run / "config.yaml").read_text() + f"secret: {text!r}\n"
    if key != "secret":
        edit(run, key, "a place")
        edited = (run / "config.yaml").read_text().replace("a place", repr(text))
    (run / "config.yaml").write_text(edited)
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        load_configuration(run)
    assert SECRET not in str(caught.value) + render_run_page(run, live=False)
    assert "cannot be read" in render_run_page(run, live=False)


def test_a_checkpoint_resolves_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    with pytest.raises(ValueError, match="asks for more"):
        select_fixed_settings({"algorithm": "dqn", "name": "${oc.env:A_SECRET}"})


def test_what_a_user_asks_the_machine_for_is_saved_as_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_NAME", "mine")
    config = resolve_configuration(compose_training("num_envs=8", "name=${oc.env:A_NAME}"))
    save_configuration(config, tmp_path)
    assert load_configuration(tmp_path).name == "mine"


BOMBS = {
    "doubled": "game: Pong\n" + "".join(f"x{n}: ${{x{n - 1}}}${{x{n - 1}}}\n" for n in range(1, 41)) + "x0: lol\n",
    "empty": "x0: ''\n" + "".join(f"x{n}: {f'${{x{n - 1}}}' * 10}\n" for n in range(1, 5)),
    "a circle": "a: ${b}\nb: ${a}\n",
    "keys": "".join(f"k{n}: 1\n" for n in range(200_000)),
    "fewer keys": "".join(f"{n}: \n" for n in range(5_500)),
    "a long text": f"a: {'x' * 50_000_000}\n",
    "a text": f"a: {'x' * 5_000}\n",
    "a number": f"a: 0x{'f' * 20_000}\n",
    "half a letter": 'a: "\\ud800"\n',
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_configuration_that_would_take_long_is_refused_soon(name: str, run: Path) -> None:
    (run / "config.yaml").write_text(BOMBS[name])
    with soon(), pytest.raises(ConfigurationError, match="cannot be read"):
        load_configuration(run)
    with soon():
        assert "config.yaml cannot be read" in render_run_page(run, live=False)


# --- other files of a page


@pytest.mark.parametrize("name", ["config.yaml", "metrics.csv", "evaluations.jsonl", "provenance.json", "index.html"])
@pytest.mark.parametrize("kind", ["a pipe", "a link", "a huge file", "a folder"])
def test_no_file_of_a_page_is_read_before_its_kind_and_size_are_known(
    name: str, kind: str, run: Path, tmp_path: Path
) -> None:
    (run / name).unlink(missing_ok=True)
    (tmp_path / "own.json").write_text(json.dumps({"a": SECRET}))
    if kind == "a pipe":
        os.mkfifo(run / name)
    elif kind == "a link":
        (run / name).symlink_to(tmp_path / "own.json")
    elif kind == "a folder":
        (run / name).mkdir()
    else:
        with (run / name).open("wb") as file:
            file.truncate(2**40)
    with soon():
        if name == "index.html":
            with pytest.raises(ConfigurationError, match=r"left alone|cannot be written"):
                write_run_page(run)
        page = render_run_page(run, live=False)
    assert SECRET not in page
    assert (f"{name} cannot be read" in page) == (name != "index.html")
    assert (tmp_path / "own.json").read_text() == json.dumps({"a": SECRET})


def write_rows(folder: Path, **changes: Any) -> None:
    text = json.dumps(make_evaluation(1, **changes)).replace('"HUGE"', "1" + "0" * 5000)
    (folder / "evaluations.jsonl").write_text(text + "\n")


@pytest.mark.parametrize(
    "changes",
    [{"protocol": "\ud800"}, {"source": "\udfff"}, {"mean": 1e308}, {"mean": -1e308, "ci95_low": 1e308},
     {"mean": 1e-320},
     {"agent_steps": 1e308}, {"agent_steps": "HUGE"}, {"mean": "HUGE"}, {"human_normalized": 1e308},
     {"protocol": "x" * 10**6}, {"protocol": {"a": [1]}}],
    ids=lambda changes: str(changes)[:40],
)  # fmt: skip
def test_one_evaluation_does_not_take_the_page_of_all_down(changes: dict[str, Any], run: Path) -> None:
    make_run_folder(run.parent / "good", game="Breakout")
    write_rows(run, **changes)
    write_gallery(run.parent, with_pages=True)
    page = (run.parent / "index.html").read_text()
    assert "Breakout" in page
    assert len(page) < 500_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.csv", "agent_steps,speed/agent_steps_per_second,train/loss\n" + "1e308,1e-320,1e308\n" * 1500),
        ("metrics.csv", "agent_steps," + ",".join(f"a{n}" for n in range(100_000)) + "\n" + "1," * 100_000 + "1\n"),
        ("metrics.csv", "agent_steps," + "a" * 10**5 + "\n1,1\n"),
        ("evaluations.jsonl", "[" * 100_000),
        ("evaluations.jsonl", '{"agent_steps":1,"mean":1}\n' * 70_000),
        ("provenance.json", "[" * 60_000),
        ("config.yaml", "total_agent_steps: 9e307\nprotocol: {frame_skip: 9223372036854775807}\nseed: .inf\n"),
        ("videos/best-1e999.mp4", ""),
        ("videos/000250000-" + "9" * 15 + "e99.mp4", ""),
        ("videos/\udcff.mp4", ""),
        ("\udcfe/config.yaml", "game: Pong\n"),
    ],
    ids=lambda value: ascii(value)[:40],
)  # fmt: skip
def test_whatever_a_run_holds_the_others_are_shown_soon(name: str, text: str, run: Path) -> None:
    make_run_folder(run.parent / "good", game="Breakout")
    path = run / os.fsdecode(os.fsencode(name)) if "\udcfe" not in name else run.parent / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with soon():
        render_run_page(run, live=False)
    with soon():
        page = render_gallery(run.parent, live=True)
    write_gallery(run.parent, with_pages=True)
    assert "Breakout" in page
    assert "cannot be shown" not in page  # what is no number is left out, and the rest stays


def test_a_run_of_which_no_page_can_be_written_is_told_beside_it(run: Path) -> None:
    make_run_folder(run.parent / "good", game="Breakout")
    (run / "index.html").write_text("mine")
    os.utime(run / "metrics.csv", (2**55, 2**55))
    write_gallery(run.parent, with_pages=True)
    page = (run.parent / "index.html").read_text()
    assert "was not written by wn_rl and is left alone" in page
    assert "Breakout" in page
    assert (run / "index.html").read_text() == "mine"


def test_what_fails_of_one_run_in_a_way_nobody_thought_of_is_a_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = make_run_folder(run.parent / "good", game="Breakout")

    def fail(folder: Any) -> Any:
        if folder.settings and folder.folder != good:
            raise ArithmeticError("nobody thought of this")

    monkeypatch.setattr("wn_rl.viewing.pages.gallery_run.get_last_evaluation", fail)
    monkeypatch.setattr("wn_rl.viewing.pages.run_page.get_last_evaluation", fail)
    for page in (render_gallery(run.parent, live=False), render_run_page(run, live=False)):
        assert "this run cannot be shown: nobody thought of this" in page


# --- stored games


def make_archive(path: Path, *, num_zeros: int, num_more: int = 0) -> None:
    content = io.BytesIO()
    arrays: dict[str, Any] = {"actions": np.zeros(num_zeros, np.uint8), "values": np.array(json.dumps({}))}
    np.savez_compressed(content, **arrays, **{f"a{n}": np.zeros(1) for n in range(num_more)})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())


@pytest.mark.parametrize("kind", ["a bomb", "many", "a pipe", "huge"])
def test_a_stored_game_is_measured_before_it_is_unpacked(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "game.npz"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(2**40)
    else:
        make_archive(path, num_zeros=2**26 if kind == "a bomb" else 3, num_more=50 if kind == "many" else 0)
    with soon(), pytest.raises(ConfigurationError, match=r"unfolds|plain file|at most"):
        load_episode(path)


def test_folders_that_are_no_evaluations_are_left_out(run: Path) -> None:
    for name in ("²", "9" * 200, "9" * 20):
        make_archive(run / "episodes" / name / "000.npz", num_zeros=3)
    assert find_missing_videos(run) == {}


# --- links


OUTWARD = ["replay", "checkpoints", "videos", "agent", "episodes", "tensorboard", "metrics.csv", "evaluations.jsonl",
           ".lock", "videos/best-1.mp4"]  # fmt: skip


@pytest.mark.parametrize("name", OUTWARD)
def test_nothing_is_written_through_a_link_out_of_a_run_folder(
    name: str, run: Path, tmp_path: Path, given: DictConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    if "." in name:
        own.write_text("mine")
    else:
        own.mkdir()
        (own / "x.tmp").write_text("mine")
        (own / "segment-000001-0123456789abcdef.zst").write_text("mine")
    path = run / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(own)
    with pytest.raises(ConfigurationError, match="is a link out of the folder"):
        resume_run(given, overrides=[], folder=run)
    make_archive(run / "episodes" / "000250000" / "000.npz", num_zeros=3)
    watch_pages._record_missing_videos(run, scale=1)
    assert "is a link out of the folder" in capsys.readouterr().err
    assert own.read_text() == "mine" if own.is_file() else (own / "x.tmp").read_text() == "mine"


def test_links_within_a_run_folder_do_no_harm(run: Path) -> None:
    (run / "here").symlink_to("metrics.csv")
    (run / "round").symlink_to("round")
    lock_run_folder(run).release()


def test_a_row_is_not_appended_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("mine")
    (tmp_path / "evaluations.jsonl").symlink_to(tmp_path / "own")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        append_json_line(tmp_path / "evaluations.jsonl", {})
    assert (tmp_path / "own").read_text() == "mine"


def test_no_temporary_name_can_be_foreseen_or_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({name_temporary(tmp_path / "index.html") for _ in range(100)}) == 100
    (tmp_path / "own").write_text("mine")
    (tmp_path / "index.html.tmp").symlink_to(tmp_path / "own")
    monkeypatch.setattr("wn_rl.system.files.name_temporary", lambda path: tmp_path / "index.html.tmp")
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "index.html", b"page")  # even if it were
    assert (tmp_path / "own").read_text() == "mine"


def test_a_probe_of_a_folder_touches_no_file(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("mine")
    os.utime(tmp_path / "own", (1, 1))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".writable").symlink_to(tmp_path / "own")
    make_empty_folder(tmp_path / "run")
    assert (tmp_path / "own").stat().st_mtime == 1


# --- words and numbers


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_threads", 10**6), ("num_env_threads", 10**6), ("minibatch_parts", 10**6), ("network.stack_size", 256),
     ("replay.capacity", 2**70), ("name", "x" * 300), ("name", "\x1b[2J"), ("initialization_batch_size", 10**9),
     ("seed", 2**70), ("learning_rate", 10**400), ("replay.reward_clip", 1e300), ("batch_size", 2**63),
     ("protocol.name", "x" * 500_000), ("num_threads", 1000), ("protocol.noop_max", 10**5000), ("seed", 10**5000),
     ("protocol.repeat_action_probability", 10**400), ("protocol.max_episode_frames", 10**5000)],
    ids=lambda value: value[:20] if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_numbers_and_words_beyond_reason_are_refused_before_anything_is_made(
    key: str, value: Any, given: DictConfig
) -> None:
    config = OmegaConf.create(OmegaConf.to_container(given, resolve=False))
    OmegaConf.update(config, key, value)
    with soon(), pytest.raises(ConfigurationError, match=key.partition(".")[0]) as caught:
        resolve_configuration(config)
    assert len(str(caught.value)) < 3000


def test_text_of_files_reaches_the_terminal_escaped_and_cut() -> None:
    shown = str(ConfigurationError("x=\x1b[2J\u202e\ud800\nsecond " + "a" * 500_000 + ": do this"))
    assert shown.startswith(r"x=\x1b[2J\u202e\ud800 second a")
    assert shown.endswith("aaa: do this")
    assert len(shown) < 3000
    assert str(ConfigurationError("größer als ≥ 5")) == "größer als ≥ 5"


@pytest.mark.parametrize("broken", ["none", "a list", "in a circle", "a tensor", "deep", "many"])
def test_a_checkpoint_that_says_no_settings_is_refused_where_the_one_before_is_taken(
    broken: str, given: DictConfig, tmp_path: Path
) -> None:
    circle: dict[str, Any] = {}
    circle["a"] = circle
    wide: list[Any] = []
    for _ in range(12):
        wide = [wide] * 10
    configs = {"a list": [1], "in a circle": circle, "a tensor": {"a": np.zeros(3)}, "deep": {"a": [[[[[[[]]]]]] * 3]},
               "many": {"a": wide}}  # fmt: skip
    agent = {"agent_steps": 1} if broken == "none" else {"agent_steps": 1, "config": configs[broken]}
    with soon(), pytest.raises(ConfigurationError):
        check_settings({"agent": agent}, resolve_configuration(given), tmp_path)


@pytest.mark.parametrize("content", ["agent_steps\n" + "1" * 200_000, None])
def test_a_table_that_is_none_is_no_traceback_on_resume(content: str | None, tmp_path: Path) -> None:
    with (tmp_path / "metrics.csv").open("w") as file:
        file.write(content) if content else file.truncate(2**40)
    with soon(), pytest.raises(ConfigurationError, match="cannot be gone on with"):
        MetricsCSV(tmp_path)

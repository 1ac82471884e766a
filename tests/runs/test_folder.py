"""Run folders that are named by themselves: each run has its own, and an unused one is taken away."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from wn_rl.errors import ConfigurationError
from wn_rl.runs.folder import choose_run_folder, lock_run_folder, make_run_folder, remove_unused_folder

CONFIG = OmegaConf.create({"run_dir": None, "game": "Pong", "name": "weight_norm"})


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [choose_run_folder(CONFIG) for _ in range(4)]
    assert len(set(folders)) == 4
    assert all(folder.is_dir() and folder.parts[:2] == ("runs", "Pong") for folder in folders)


def test_a_run_folder_has_a_name_that_every_system_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = choose_run_folder(OmegaConf.create({"run_dir": None, "game": "mine:Walk-v0", "name": "a<b?"}))
    assert folder.parts[1] == "mine-Walk-v0"
    assert folder.name.endswith("-a-b-")


def test_a_folder_that_nothing_was_written_into_is_taken_away_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    used, unused = choose_run_folder(CONFIG), choose_run_folder(CONFIG)
    (used / "config.yaml").touch()
    for folder in (used, unused):
        remove_unused_folder(folder, stood_before=False)
    assert used.is_dir()
    assert not unused.exists()
    (used / "config.yaml").unlink()
    remove_unused_folder(used, stood_before=True)
    assert used.is_dir()
    remove_unused_folder(used, stood_before=False)
    assert used.parent.is_dir()  # it may be the user's, who may stand in it


@pytest.mark.parametrize("name", ["checkpoints/last.ckpt", "replay/segment-000000-0.zst", "metrics.csv"])
def test_a_new_run_does_not_begin_among_the_files_of_another(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    config = OmegaConf.create({"run_dir": str(tmp_path), "game": "Pong", "name": "weight_norm"})
    with pytest.raises(ConfigurationError, match=f"holds {name.split('/')[0]} of another run, .*; name another"):
        choose_run_folder(config)
    (tmp_path / name).rename(tmp_path / "notes.txt")
    for path in ("checkpoints", "replay"):
        if (tmp_path / path).exists():
            (tmp_path / path).rmdir()
    assert choose_run_folder(config) == tmp_path


def test_a_place_where_no_folder_can_be_made_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").touch()
    with pytest.raises(ConfigurationError, match=r"run_dir=runs/Pong.* cannot be written to: .*; name another"):
        choose_run_folder(CONFIG)
    with pytest.raises(ConfigurationError, match="run_dir=runs/mine cannot be written to"):
        make_run_folder(Path("runs/mine"))


def test_a_log_of_wandb_may_lie_elsewhere_and_nothing_else(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "run", tmp_path / "debug-core.log"
    elsewhere.touch()
    logs = folder / "wandb" / "offline-run-20261128_131904-98elqgxj" / "logs"
    logs.mkdir(parents=True)
    (logs / "debug-core.log").symlink_to(elsewhere)
    lock_run_folder(folder).release()
    for name in ("wandb/logs", "wandb/run-1/files.log", "metrics.csv"):
        link = folder / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(elsewhere)
        with pytest.raises(ConfigurationError, match="is a link out of the folder"):
            lock_run_folder(folder)
        link.unlink()

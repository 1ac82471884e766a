"""What is no agent of this program is told as what it is, and nobody is advised to load it unsafely."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from wn_rl.envs.rendering import load_episode
from wn_rl.errors import ConfigurationError
from wn_rl.runs.agent import load_agent
from wn_rl.runs.folder import lock_run_folder, make_run_folder, remove_unused_folder


def refuse(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_agent(path)
    return str(caught.value)


def test_a_run_without_an_agent_says_when_there_will_be_one(tmp_path: Path) -> None:
    folder = tmp_path / "my run"
    folder.mkdir()
    (folder / "config.yaml").touch()
    told = refuse(folder)
    assert "this run has no agent yet; it writes one at the end of each iteration" in told
    assert told.endswith(f"go on: python -m wn_rl.train 'resume={folder}'")
    assert "no agent there; name a run folder" in refuse(tmp_path)


def test_the_checkpoint_of_another_program_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "other.ckpt"
    torch.save({"state_dict": {"weight": torch.zeros(2)}, "epoch": 3}, path)
    assert refuse(path).endswith("cannot be read: it is no checkpoint of this program, which says which agent it holds")
    torch.save({"model": torch.nn.Linear(1, 1)}, path)
    assert refuse(path) == f"{path} cannot be read: it holds other objects than tensors and numbers"
    torch.save({"agent": {}, "state_dict": {}}, path)
    assert "it says nothing of format" in refuse(path)


def test_nobody_is_advised_to_load_a_file_that_could_run_code(tmp_path: Path) -> None:
    np.savez(tmp_path / "game.npz", actions=np.array([{}], dtype=object), values=np.array("{}"))
    with pytest.raises(ConfigurationError) as caught:
        load_episode(tmp_path / "game.npz")
    assert "allow_pickle" not in str(caught.value)
    assert str(caught.value).endswith("is no episode of this program: it holds Python objects")
    (tmp_path / "old.ckpt").write_bytes(pickle.dumps({"agent": {}}))
    assert "weights_only" not in refuse(tmp_path / "old.ckpt")


def test_a_folder_that_no_run_came_to_use_is_taken_away_with_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / "Pong" / "run"
    make_run_folder(folder)
    lock_run_folder(folder).release()
    remove_unused_folder(folder, stood_before=False)
    assert not folder.exists()
    make_run_folder(folder)
    lock_run_folder(folder).release()
    (folder / "config.yaml").touch()
    remove_unused_folder(folder, stood_before=False)
    assert len(list(folder.iterdir())) == 2

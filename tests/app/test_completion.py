"""The Tab key finds what the commands take, in the shells that people have."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wn_rl.__main__ import COMMANDS
from wn_rl.app.completion import complete
from wn_rl.app.configured import read_command
from wn_rl.errors import ConfigurationError
from wn_rl.networks.heads import HEADS
from wn_rl.networks.torsos import TORSOS
from wn_rl.nn.normalizers import NORMALIZERS
from wn_rl.replay.replay_settings import STORAGE_NAMES

ROOT = Path(__file__).parents[2]


def find(line: str) -> list[str]:
    """What the Tab key finds at the end of a line behind ``wn-rl``."""
    return complete(line.split(" "), COMMANDS)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tr", ["train"]),
        ("comp", ["completion"]),
        ("completion ", ["bash", "fish", "zsh"]),
        ("games ", []),
        ("nonsense ", []),
        ("../evil/x ", []),
        ("train ini", ["initial_agent=", "initial_q_std=", "initialization=", "initialization_batch_size="]),
        ("train rep", ["replay."]),
        ("train seed=3 replay.see", []),
        ("train replay.s", ["replay.sampler=", "replay.storage="]),
        ("train seed=3 see", []),
        ("train game=Bre", ["game=Breakout"]),
        ("train Break", ["Breakout"]),
        ("train -m game=Pong,Break", ["game=Pong,Breakout"]),
        ("train preset=pqn_l", ["preset=pqn_lstm"]),
        ("train double=", ["double=false", "double=true"]),
        ("train learning_rate=", []),
        ("train --h", ["--help"]),
        ("watch live=", ["live=false", "live=terminal", "live=true", "live=window"]),
        ("export format=o", ["format=onnx"]),
        ("paper ", ["cifar10", "draw", "vae"]),
        ("paper draw num_g", ["num_glimpses="]),
        ("paper unknown ", []),
        ("study study=cart", ["study=cartpole"]),
    ],
)
def test_the_tab_key_finds_what_a_command_takes(line: str, expected: list[str]) -> None:
    assert find(line) == expected


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("normalizer", set(NORMALIZERS)),
        ("network.torso", {*TORSOS, "auto"}),
        ("network.head", set(HEADS)),
        ("replay.storage", {*STORAGE_NAMES, "auto"}),
        ("preset", set(read_command("train").groups["preset"].words)),
    ],
)
def test_all_words_that_a_setting_knows_are_found(key: str, known: set[str]) -> None:
    assert {word.removeprefix(f"{key}=") for word in find(f"train {key}=")} == known


def test_agents_and_folders_are_found_as_they_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("runs/Pong/first", "runs/Pong/second", "runs/.hidden"):
        Path(name).mkdir(parents=True)
    Path("runs/notes.txt").touch()
    assert find("evaluate agent=Po") == ["agent=Pong"]
    assert find("train resume=l") == ["resume=latest"]
    assert find("train resume=runs/") == ["resume=runs/Pong/", "resume=runs/notes.txt"]
    assert find("watch ru") == ["run=", "runs/"]
    assert find("watch run=~/runs/Pong/f") == ["run=~/runs/Pong/first/"]
    assert find("train run_dir=runs/.h") == ["run_dir=runs/.hidden/"]
    assert find("train run_dir=nowhere/") == []


def test_configurations_of_a_users_own_are_found(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 3\n")
    for option in (f"--config-dir {tmp_path}", f"--config-dir={tmp_path}"):
        assert find(f"train {option} experiment=") == ["experiment=mine"]
    assert find(f"train --config-dir {tmp_path}/exp") == [f"{tmp_path}/experiment/"]
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        find(f"train --config-dir {tmp_path}/missing experiment=")


BASH = """
COMP_LINE=$1; COMP_POINT=${#1}; COMP_WORDS=(wn-rl); _wn_rl
for reply in "${COMPREPLY[@]}"; do echo "$reply|"; done
"""
ZSH = """
zmodload zsh/zpty; zpty shell zsh -f -i
await() { zpty -r -m shell seen "*$1*" }
zpty -w shell 'PS1=; autoload -Uz compinit; compinit -u -D; eval "$(wn-rl completion zsh)"; echo rea""dy'; await ready
zpty -w shell 'line() { echo "<$BUFFER>"; BUFFER=; zle accept-line }; zle -N line; bindkey ^X line; echo bou""nd'
await bound
zpty -w -n shell "$1"$'\\t'$'\\x18'; await '<wn-rl*>'; print -r -- $seen
"""


def run_shell(shell: str, script: str, line: str, folder: Path) -> str:
    """What a real shell prints that has read ``wn-rl completion <shell>``; ``wn-rl`` is this working copy's."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    program = folder / "wn-rl"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m wn_rl "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}
    done = subprocess.run(
        [shell, "-c", script, shell, line], cwd=folder, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("wn-rl train game=Brea", ["Breakout |"]),  # behind the =, which bash takes for the end of a word
        ("wn-rl train replay.sam", ["replay.sampler=|"]),
        ("wn-rl watch run=my\\ r", ["my\\ runs/|"]),
    ],
)
def test_bash_completes(line: str, replies: list[str], tmp_path: Path) -> None:
    (tmp_path / "my runs").mkdir()
    assert run_shell("bash", f'eval "$(wn-rl completion bash)"{BASH}', line, tmp_path).splitlines() == replies


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("wn-rl train game=Brea", "<wn-rl train game=Breakout >"),
        ("wn-rl train replay.sam", "<wn-rl train replay.sampler=>"),
    ],
)
def test_zsh_completes(line: str, completed: str, tmp_path: Path) -> None:
    assert completed in run_shell("zsh", ZSH, line, tmp_path)


@pytest.mark.parametrize(
    ("line", "candidate"),
    [("wn-rl train game=Brea", "game=Breakout"), ("wn-rl ", "train")],
)
def test_fish_completes(line: str, candidate: str, tmp_path: Path) -> None:
    script = "wn-rl completion fish | source; complete -C $argv[2]"
    assert candidate in run_shell("fish", script, line, tmp_path).splitlines()


@pytest.mark.parametrize("words", [[], ["ksh"], ["bash", "zsh"]])
def test_a_shell_that_is_not_known_is_one_line(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "wn_rl", "completion", *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: completion knows bash, zsh, fish, got ")
    assert done.stderr.count("\n") == 1

"""Damaged and forged agents, checkpoints, segments and configurations: refused in one line, soon, in little memory.

A file whose damage changes nothing that is read (a space in JSON, bytes after an archive's end) may be accepted, if
what it holds is exactly what was saved.
"""

import copy
import functools
import hashlib
import json
import random
import resource
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file, save

from tests.app.test_configuration import compose_training
from tests.helpers.killed_runs import assert_equal, make_module
from wn_rl.algorithms.dqn import DQN
from wn_rl.app import build
from wn_rl.app.configuration import (
    load_configuration,
    resolve_configuration,
    resume_configuration,
    save_configuration,
)
from wn_rl.app.resume import check_checkpoint, check_settings
from wn_rl.app.run_settings import RunSettings
from wn_rl.envs.atari import OBSERVATION
from wn_rl.errors import ConfigurationError
from wn_rl.learning.settings import DQNSettings
from wn_rl.networks.q_network import make_q_network
from wn_rl.runs.agent import _finish_saving, load_agent, save_agent
from wn_rl.runs.checkpoint_file import read_checkpoint, write_checkpoint
from wn_rl.runs.layout import LAST_CHECKPOINT
from wn_rl.system.fields import list_changeable
from wn_rl.system.files import read_limited

CHANGEABLE = list_changeable(RunSettings, DQNSettings)

NUM_QUICK, NUM_SLOW = 30, 250  # of each of the four kinds
MAX_SECONDS = 1.0
MAX_BYTES = 100 * 2**20

NETWORK = {
    "torso": "nature", "head": "linear", "dueling": True, "normalizer": "weight_norm", "num_actions": 6,
    "stack_size": 4,
    "observation": {"shape": [84, 84], "dtype": "uint8"}, "hidden_units": 16,
}  # fmt: skip


def damage(content: bytes, chance: random.Random) -> bytes:
    """Cut, flip, overwrite, insert, repeat or empty."""
    kind = chance.choice(["cut", "flip", "flips", "zeros", "insert", "repeat", "random", "empty", "header"])
    place = chance.randrange(len(content))
    length = chance.randint(1, 200)
    if kind == "cut":
        return content[:place]
    if kind == "zeros":
        return content[:place] + bytes(length) + content[place + length :]
    if kind == "insert":
        return content[:place] + chance.randbytes(length) + content[place:]
    if kind == "repeat":
        return content[:place] + content[max(place - length, 0) :]
    if kind == "random":
        return chance.randbytes(len(content))
    if kind == "empty":
        return b""
    if kind == "header":  # sizes stand at the beginning and at the end of most formats
        place = chance.choice([place % 64, len(content) - 1 - place % 64])
        return content[:place] + chance.choice([b"\xff", b"\x7f", b"\x00"]) + content[place + 1 :]
    flipped = bytearray(content)
    for _ in range(1 if kind == "flip" else 20):
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def check_refused_or_same(load: Callable[[], Any], expected: Any) -> bool:
    """Whether it is refused: in one line, in time, and in little memory; else it must be what was saved."""
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded, message = None, ""
    try:
        loaded = load()
    except ConfigurationError as error:
        message = str(error)
    assert "\n" not in message
    assert time.process_time() - began < MAX_SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MAX_BYTES
    if loaded is not None:
        assert_equal(loaded, expected)
    return loaded is None


def fuzz(path: Path, load: Callable[[], Any], num_files: int, seed: int) -> int:
    """Damage one file again and again; return how often it was refused."""
    content, expected, chance = path.read_bytes(), load(), random.Random(seed)
    num_refused = 0
    for _ in range(num_files):
        path.write_bytes(damage(content, chance))
        num_refused += check_refused_or_same(load, expected)
    path.write_bytes(content)
    assert_equal(load(), expected)
    return num_refused


# --- agents


@pytest.fixture(scope="module")
def saved_agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agent")
    network = make_q_network(
        **{**NETWORK, "observation": OBSERVATION}, generator=torch.Generator().manual_seed(0)  # type: ignore[arg-type]
    )  # fmt: skip
    config = resolve_configuration(compose_training("num_envs=8"))
    description = {
        "format": 1, "game": "Pong", "protocol": OmegaConf.to_container(config.protocol), "network": NETWORK,
        "normalizer": "weight_norm", "agent_steps": 1000, "updates": 100, "config": OmegaConf.to_container(config),
    }  # fmt: skip
    save_agent(folder, network, description)
    return folder


@pytest.fixture
def agent_folder(saved_agent: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_agent, tmp_path / "agent"))


def read_agent(folder: Path) -> Any:
    agent = load_agent(folder)
    return {"description": agent.description, "weights": dict(agent.network.state_dict())}


def fuzz_agents(folder: Path, num_files: int) -> None:
    for number, name in enumerate(("agent.json", "weights.safetensors")):
        num_refused = fuzz(folder / name, lambda: read_agent(folder), num_files // 2, seed=number)
        assert num_refused > 0.8 * (num_files // 2)  # a change of white space is none


def test_fuzzed_agents_are_refused(agent_folder: Path) -> None:
    fuzz_agents(agent_folder, NUM_QUICK)


FORGED_AGENTS: list[tuple[tuple[str, ...], Any]] = [
    (("game",), "Nonsense"), (("game",), 5), (("protocol",), 5), (("protocol", "frame_skip"), "4"), (("format",), 2),
    (("protocol", "frame_skip"), 0), (("network",), []), (("network", "hidden_units"), 10**10), (("agent_steps",), "x"),
    (("agent_steps",), 10**4000), (("agent_steps",), -1), (("protocol", "name"), "x" * 500_000),
    (("network", "hidden_units"), 10**300), (("network", "hidden_units"), -1), (("network", "hidden_units"), 17),
    (("network", "hidden_units"), 30_000),  # nearly a gigabyte, which this machine may well have
    (("network", "num_actions"), 10**12), (("network", "stack_size"), 10**9), (("network", "stack_size"), 0),
    (("network", "observation", "shape"), [10**9, 10**9]), (("network", "observation", "shape"), 84),
    (("network", "observation", "shape"), []), (("network", "observation", "dtype"), "float64"),
    (("network", "frame_shape"), 84),
    (("network", "torso"), "none"), (("network", "head"), {}), (("network", "normalizer"), ["none"]),
    (("network", "more"), 1), (("sha256",), None), (("sha256",), "0" * 64),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), FORGED_AGENTS, ids=str)
def test_a_forged_agent_with_true_checksums_is_refused(path: tuple[str, ...], value: Any, agent_folder: Path) -> None:
    description = json.loads((agent_folder / "agent.json").read_text())
    parent = description
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    del description["description_sha256"]  # as agents of others may lack it
    (agent_folder / "agent.json").write_text(json.dumps(description))
    assert check_refused_or_same(lambda: read_agent(agent_folder), None)


@pytest.mark.parametrize("change", ["shape", "missing", "more", "huge file", "diverged", "complex"])
def test_weights_of_another_network_are_refused(change: str, agent_folder: Path) -> None:
    path = agent_folder / "weights.safetensors"
    weights = load_file(path)
    name = min(weights)
    changed = {
        "shape": weights | {name: weights[name].reshape(-1)[:-1].contiguous()},
        "missing": {key: value for key, value in weights.items() if key != name},
        "more": weights | {"more": torch.zeros(3)},
        "diverged": {key: torch.full_like(value, torch.nan) for key, value in weights.items()},
        "complex": {key: value.to(torch.complex64) for key, value in weights.items()},
        "huge file": weights | {"more": torch.zeros(2**20)},
    }
    content = save(changed[change])
    path.write_bytes(content)
    description = json.loads((agent_folder / "agent.json").read_text())
    description["sha256"] = hashlib.sha256(content).hexdigest()
    del description["description_sha256"]
    (agent_folder / "agent.json").write_text(json.dumps(description))
    assert check_refused_or_same(lambda: read_agent(agent_folder), None)


def test_the_agent_is_one_of_the_two_whenever_its_writer_is_killed(agent_folder: Path) -> None:
    old = read_agent(agent_folder)
    network = make_q_network(
        **{**NETWORK, "observation": OBSERVATION}, generator=torch.Generator().manual_seed(1)  # type: ignore[arg-type]
    )  # fmt: skip
    before = {path.name: path.read_bytes() for path in agent_folder.iterdir()}
    save_agent(agent_folder, network, {**old["description"], "agent_steps": 2000})
    new, after = read_agent(agent_folder), {path.name: path.read_bytes() for path in agent_folder.iterdir()}
    (agent_folder / "weights.safetensors").write_bytes(before["weights.safetensors"])
    (agent_folder / "weights.safetensors.next").write_bytes(after["weights.safetensors"])
    assert_equal(read_agent(agent_folder), new)  # killed before the weights got their name
    _finish_saving(agent_folder)  # as the next writer begins
    assert {path.name: path.read_bytes() for path in agent_folder.iterdir()} == after
    (agent_folder / "weights.safetensors").write_bytes(before["weights.safetensors"])
    (agent_folder / "weights.safetensors.next").write_bytes(after["weights.safetensors"])
    (agent_folder / "agent.json").write_bytes(before["agent.json"])
    assert_equal(read_agent(agent_folder), old)  # killed before the description was there


@pytest.mark.parametrize("moment", ["weights.safetensors", "weights.safetensors.next"])
def test_an_agent_that_is_written_while_it_is_read_is_read_again(
    moment: str, agent_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The description of one agent and the weights of the next, or of the one before, are no agent."""
    before, description = {path.name: path.read_bytes() for path in agent_folder.iterdir()}, read_agent(agent_folder)
    network = make_q_network(
        **{**NETWORK, "observation": OBSERVATION}, generator=torch.Generator().manual_seed(1)  # type: ignore[arg-type]
    )  # fmt: skip
    save_agent(agent_folder, network, {**description["description"], "agent_steps": 2000})
    after, new = {path.name: path.read_bytes() for path in agent_folder.iterdir()}, read_agent(agent_folder)
    if moment == "weights.safetensors":
        (agent_folder / "agent.json").write_bytes(before["agent.json"])
        (agent_folder / moment).write_bytes(before[moment])
    else:  # the new description is there, and its weights have no name yet
        (agent_folder / "weights.safetensors").write_bytes(before["weights.safetensors"])
        (agent_folder / moment).write_bytes(after["weights.safetensors"])

    def read(path: Path, max_bytes: int) -> bytes:
        if path.name == moment:  # now the writer goes on
            (agent_folder / "weights.safetensors.next").unlink(missing_ok=True)
            for name, content in after.items():
                (agent_folder / name).write_bytes(content)
        return read_limited(path, max_bytes)

    monkeypatch.setattr("wn_rl.runs.agent.read_limited", read)
    assert_equal(read_agent(agent_folder), new)


# --- checkpoints and segments


@pytest.fixture
def module(finished_toy_run: Path) -> Iterator[DQN]:
    made = make_module(finished_toy_run)
    made.replay.allocate()
    yield made
    made.archive.close()


def read_checked(module: DQN, path: Path) -> Any:
    checkpoint = read_checkpoint(path)
    check_checkpoint(checkpoint, module, path)
    return checkpoint


def fuzz_checkpoints(module: DQN, path: Path, num_files: int) -> None:
    assert fuzz(path, lambda: read_checked(module, path), num_files, seed=2) > 0.7 * num_files


def fuzz_segments(module: DQN, finished_toy_run: Path, num_files: int) -> None:
    state = read_checkpoint(finished_toy_run / LAST_CHECKPOINT)["wn_rl"]["replay"]

    def load() -> Any:
        module.archive.load_state_dict(state)
        lanes = module.replay.lanes
        return module.replay.read_frames(0, int(lanes.tails[0]), int(lanes.heads[0])).tolist()

    path = finished_toy_run / "replay" / state["segments"][0]["name"]
    assert fuzz(path, load, num_files, seed=3) >= 0.95 * num_files  # all but damages that change nothing


def test_fuzzed_checkpoints_are_refused(module: DQN, finished_toy_run: Path) -> None:
    fuzz_checkpoints(module, finished_toy_run / LAST_CHECKPOINT, NUM_QUICK)


def test_fuzzed_segments_are_refused(module: DQN, finished_toy_run: Path) -> None:
    fuzz_segments(module, finished_toy_run, NUM_QUICK)


def expand(*shape: int, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    """A tensor that claims to be huge and takes one element."""
    return torch.zeros(1, dtype=dtype).expand(*shape)


FORGED_CHECKPOINTS: list[tuple[tuple[Any, ...], Any]] = [
    (("epoch",), -1), (("global_step",), "7"), (("state_dict",), {}), (("state_dict",), None), (("wn_rl",), []),
    (("state_dict", 0), torch.zeros(2, 2)), (("state_dict", 0), expand(10**6, 10**6)), (("optimizer_states",), []),
    (("optimizer_states", 0, "param_groups"), []), (("optimizer_states", 0, "state", 0, "exp_avg"), torch.zeros(3)),
    (("optimizer_states", 0, "state", 0, "exp_avg"), expand(10**9, dtype=torch.float32)),
    (("optimizer_states", 0, "state", 99), {"exp_avg": torch.zeros(3)}), (("wn_rl", "num_updates"), 1.5),
    (("wn_rl", "generator"), torch.zeros(3)), (("wn_rl", "generator"), expand(10**12)),
    (("wn_rl", "collector", "actions"), expand(10**12, 4)), (("wn_rl", "collector", "actions"), expand(1, 4) + 200),
    (("wn_rl", "collector", "actions"), torch.zeros(120, 4, dtype=torch.uint8)),
    (("wn_rl", "collector", "actions"), torch.zeros(3, 3, dtype=torch.uint8)),
    (("wn_rl", "collector", "seeds"), torch.tensor([1, 2, 3])), (("wn_rl", "collector", "seeds"), torch.arange(4) - 1),
    (("wn_rl", "collector", "agent_steps"), 10**30), (("wn_rl", "collector", "recent_returns"), [0.0] * 10**4),
    (("wn_rl", "collector", "generator"), expand(10**12)), (("wn_rl", "collector", "more"), 1),
    (("wn_rl", "replay", "segments"), [{"name": "../../etc/passwd"}] * 10), (("wn_rl", "replay", "segments"), None),
    (("wn_rl", "replay", "replay", "lanes", "ages"), torch.full((4,), 2**40)), (("wn_rl", "num_updates"), 2**40),
    (("wn_rl", "replay", "replay", "lanes", "heads"), torch.full((4,), 2**40)), (("wn_rl", "num_updates"), 0),
    (("wn_rl", "replay", "replay", "columns", "reward"), torch.full((160,), torch.nan)),
    (("wn_rl", "replay", "replay", "columns", "discount"), torch.full((160,), 2.0)),
    (("wn_rl", "replay", "replay", "columns", "num_steps"), expand(160) + 200),
    (("wn_rl", "replay", "replay", "columns", "action"), expand(160).contiguous() + 200),
    (("wn_rl", "replay", "next_number"), -1), (("wn_rl", "replay", "replay", "settings"), "{}"),
    (("wn_rl", "collector", "recent_returns"), [float("nan")]), (("loops",), {}), (("loops", "fit_loop"), {}),
    (("loops", "fit_loop", "epoch_progress", "current", "completed"), 2**40), (("loops", "fit_loop"), None),
    (("loops", "fit_loop", "epoch_loop.batch_progress", "current", "ready"), "1"), (("epoch",), 5),
    (("loops", "fit_loop", "epoch_loop.batch_progress", "current", "ready"), -1), (("callbacks",), []),
    (("pytorch-lightning_version",), "x"), (("pytorch-lightning_version",), None), (("lr_schedulers",), [{}]),
    (("callbacks", "Evaluation"), {}), (("callbacks", "MetricsLogging", "num_rows"), -1), (("agent",), None),
    (("agent", "agent_steps"), "500"), (("agent", "mean_return"), "high"), (("agent", "mean_return"), torch.nan),
    (("optimizer_states", 0, "state", 0, "exp_avg_sq"), torch.full((64,), -1.0)),
    (("optimizer_states", 0, "state", 0, "exp_avg"), torch.full((64,), torch.nan)),
    (("optimizer_states", 0, "state", 0), {}), (("optimizer_states", 0, "param_groups", 0, "lr"), float("nan")),
    (("optimizer_states", 0, "param_groups", 0, "betas"), "x"), (("state_dict", 0), torch.full((2,), torch.nan)),
    (("agent",), torch.zeros(3)), (("wn_rl",), torch.zeros(3)), (("wn_rl", "collector"), torch.zeros(3)),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), FORGED_CHECKPOINTS, ids=lambda value: str(value)[:60])
def test_a_forged_checkpoint_with_true_checksums_is_refused(
    path: tuple[Any, ...], value: Any, module: DQN, finished_toy_run: Path, tmp_path: Path
) -> None:
    checkpoint = copy.deepcopy(read_checked(module, finished_toy_run / LAST_CHECKPOINT))
    parent = checkpoint
    for key in path[:-1]:
        parent = parent[key]
    parent[min(parent) if path[0] == "state_dict" and len(path) == 2 else path[-1]] = value
    write_checkpoint(tmp_path / "forged.ckpt", checkpoint)
    with warnings.catch_warnings(record=True) as warned:  # each would be lines in a user's terminal
        warnings.simplefilter("always")
        assert check_refused_or_same(lambda: read_checked(module, tmp_path / "forged.ckpt"), None)
    assert not warned


# --- configurations


@pytest.fixture(scope="module")
def given_configuration() -> DictConfig:
    return compose_training()


@pytest.fixture
def saved_configuration(tmp_path: Path) -> Path:
    save_configuration(resolve_configuration(compose_training("num_envs=8")), tmp_path)
    return tmp_path


@functools.cache
def describe_settings() -> dict[str, Any]:
    settings = OmegaConf.to_container(resolve_configuration(compose_training("num_envs=8")), resolve=True)
    assert isinstance(settings, dict)
    return {str(key): value for key, value in settings.items()}


def read_configuration(folder: Path, given: DictConfig) -> Any:
    """As a resumed run reads it, whose checkpoint remembers the settings."""
    checkpoint = {"agent": {"agent_steps": 1000, "config": describe_settings()}}
    config = resume_configuration(given, [], folder)
    build.check_targets(config)
    check_settings(checkpoint, config, folder)
    kept = OmegaConf.to_container(config, resolve=True)
    assert isinstance(kept, dict)
    return {key: value for key, value in kept.items() if key not in (*CHANGEABLE, "run_dir", "resume")}


def fuzz_configurations(folder: Path, given: DictConfig, num_files: int) -> None:
    """Flips within the few settings that may change on resume are no damage that anybody could see."""
    assert fuzz(folder / "config.yaml", lambda: read_configuration(folder, given), num_files, seed=4) > 0.6 * num_files


def test_fuzzed_configurations_are_refused(saved_configuration: Path, given_configuration: DictConfig) -> None:
    fuzz_configurations(saved_configuration, given_configuration, NUM_QUICK)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n"
                                      for i in range(9)),
        "[" * 10_000, "a: " * 10_000, "x" * 10**6, "a: ${b}\nb: ${a}\n", "- 1\n", "5", "a: ${oc.decode:${a}}",
    ],
    ids=["a bomb of references", "depth", "colons", "size", "a circle", "a list", "a number", "a resolver"],
)  # fmt: skip
def test_a_hostile_configuration_is_refused(text: str, saved_configuration: Path) -> None:
    (saved_configuration / "config.yaml").write_text(text)
    assert check_refused_or_same(lambda: load_configuration(saved_configuration), None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer._target_", "os.mkdir"), ("logger._target_", "subprocess.run"), ("logger._target_", "no.such.Class"),
        ("optimizer.betas", {"_target_": "os.mkdir"}), ("logger.save_dir", {"a": [{"_target_": "os.mkdir"}]}),
        ("optimizer.betas", [2.0, 2.0]), ("optimizer.more", 1),
    ],
)  # fmt: skip
def test_a_configuration_that_would_call_something_is_refused(
    key: str, value: Any, saved_configuration: Path, given_configuration: DictConfig
) -> None:
    """Resuming a stranger's run must not run what its config.yaml names."""
    config = load_configuration(saved_configuration)
    OmegaConf.update(config, key, value, merge=False, force_add=True)
    (saved_configuration / "config.yaml").write_text(OmegaConf.to_yaml(config))
    with pytest.raises(ConfigurationError, match=r"logger|optimizer"):
        build.check_targets(resume_configuration(given_configuration, [], saved_configuration))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_fuzzed_files_are_refused(
    module: DQN, finished_toy_run: Path, agent_folder: Path, given_configuration: DictConfig, tmp_path_factory: Any
) -> None:
    fuzz_agents(agent_folder, NUM_SLOW)
    fuzz_checkpoints(module, finished_toy_run / LAST_CHECKPOINT, NUM_SLOW)
    fuzz_segments(module, finished_toy_run, NUM_SLOW)
    folder = tmp_path_factory.mktemp("configuration")
    save_configuration(resolve_configuration(compose_training("num_envs=8")), folder)
    fuzz_configurations(folder, given_configuration, NUM_SLOW)

"""Files of every kind that this program reads, made by a grammar: their form is right, their entries nobody foresaw."""

import copy
import hashlib
import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file, save

from tests.helpers.configurations import compose_config
from tests.helpers.killed_runs import make_module, make_run
from tests.helpers.run_folders import make_evaluation, make_metrics, make_run_folder
from wn_rl.app import build
from wn_rl.app.configuration import resolve_configuration, resume_configuration, save_configuration
from wn_rl.app.resume import check_checkpoint, check_settings
from wn_rl.envs.atari import OBSERVATION
from wn_rl.envs.rendering import load_episode
from wn_rl.errors import ConfigurationError
from wn_rl.networks.q_network import make_q_network
from wn_rl.runs.agent import load_agent, save_agent
from wn_rl.runs.checkpoint_file import read_checkpoint, write_checkpoint
from wn_rl.runs.evaluations import keep_training_rows
from wn_rl.runs.metrics_csv import MetricsCSV
from wn_rl.viewing.evaluation_videos import find_missing_videos
from wn_rl.viewing.pages.gallery import render_gallery
from wn_rl.viewing.pages.run_page import render_run_page

NETWORK: dict[str, Any] = {
    "torso": "nature", "head": "linear", "dueling": True, "normalizer": "weight_norm", "num_actions": 6,
    "stack_size": 4, "observation": {"shape": [84, 84], "dtype": "uint8"}, "hidden_units": 16,
}  # fmt: skip

# --- the grammar: values that no writer writes, and edits of a tree that one wrote

TEXTS = st.one_of(
    st.sampled_from([
        "", "auto", "none", "???", "${A_SECRET}", "${oc.env:A_SECRET}", "${oc.env:A_SECRET,x}", "${game}", "${name}",
        "${replay}", "${replay.${name}}", "${oc.decode:${name}}", "${", "$", "../../etc/passwd", "/etc/passwd", "~",
        "C:\\x", "\x1b]0;x\x07", "\ud800", "\u202e", "\0", "a\nb", "x" * 5000, "nan", "1e999", "-0", "0x10", "1_000",
        "os.system", "torch.optim.Adam", "cuda:99", "<script>alert(1)</script>", "{{ 7 * 7 }}", "Pong", "machado",
    ]),
    st.text(max_size=20),
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-3, 300), st.integers(),
    st.sampled_from([2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63), 10**12, 10**30, 10**400]),
    st.floats(), st.sampled_from([1e-320, 1e308, -0.0, 1.5]),
)  # fmt: skip
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
KEYS = st.one_of(st.sampled_from(["_target_", "__class__", "name", "0", "", "a.b", "${x}"]), st.text(max_size=5))
FLAT = LEAVES | st.lists(LEAVES, max_size=4) | st.dictionaries(KEYS, LEAVES, max_size=4)
VALUES = FLAT | st.lists(FLAT, max_size=3) | st.dictionaries(KEYS, FLAT, max_size=3)
TENSORS = st.builds(
    lambda shape, dtype, value: torch.full(shape, value).to(dtype),
    st.lists(st.integers(0, 6), max_size=3),
    st.sampled_from([torch.uint8, torch.int64, torch.float32, torch.float64, torch.bfloat16, torch.bool]),
    st.sampled_from([0.0, 1.0, -1.0, 200.0, 1e30, float("nan"), float("inf")]),
) | st.sampled_from([torch.zeros(1).expand(10**6, 10**6), torch.zeros(3, dtype=torch.complex64)])


def list_places(tree: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    """Every container with every key in it; of long lists the first entries."""
    entries = list(tree.items() if isinstance(tree, dict) else enumerate(tree[:6]))
    places = [(tree, key) for key, _ in entries]
    for _, value in entries:
        if isinstance(value, dict | list) and value and depth < 8:
            places += list_places(value, depth + 1)
    return places


def edit(draw: Any, tree: Any, values: st.SearchStrategy[Any]) -> Any:
    """A copy of a tree with one to three entries replaced, removed, added, or exchanged for others of it."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        places = list_places(tree)
        if not places:
            return tree
        parent, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add", "exchange"]))
        if kind == "remove":
            del parent[key]
        elif kind == "add" and isinstance(parent, dict):
            parent[draw(KEYS)] = draw(values)
        elif kind == "exchange":
            other, other_key = draw(st.sampled_from(places))
            parent[key] = copy.deepcopy(other[other_key])
        else:
            parent[key] = draw(values)
    return tree


# --- the files, each with what reads it; what is returned is what a user would be shown

Case = Callable[[Any], Callable[[], str]]
"""Draws and writes a file, and returns what reads it."""


def make_configuration_case(work: Path) -> Case:
    folder = make_run_folder(work / "configured" / "run")
    composed = compose_config("train", "game=Pong", "num_envs=8")
    save_configuration(resolve_configuration(composed), folder)
    tree: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    resolved: Any = OmegaConf.to_container(resolve_configuration(composed), resolve=True)
    checkpoint = {"agent": {"agent_steps": 1000, "config": resolved}}

    def make(draw: Any) -> Callable[[], str]:
        text = yaml.safe_dump(edit(draw, tree, VALUES), allow_unicode=draw(st.booleans()))
        text += draw(st.sampled_from(["", "", "", "a: !!python/object:os.system x\n", "<<: {a: 1}\n", "? [a]\n: b\n",
                                      "game: Pong\n", "--- \n", "%YAML 9.9\n", "a: &a [*a]\n", "\t\n"]))  # fmt: skip
        (folder / "config.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        return lambda: render_pages(folder) + resume(folder, composed, checkpoint)

    return make


def resume(folder: Path, composed: DictConfig, checkpoint: dict[str, Any]) -> str:
    config = resume_configuration(composed, [], folder)
    build.check_targets(config)
    check_settings(checkpoint, config, folder)
    return ""


def render_pages(folder: Path) -> str:
    return render_run_page(folder, live=False) + render_gallery(folder.parent, live=False)


def make_evaluation_case(work: Path) -> Case:
    folder = make_run_folder(work / "evaluated" / "run")
    rows = [make_evaluation(number) for number in (1, 2)]
    path = folder / "evaluations.jsonl"

    def make(draw: Any) -> Callable[[], str]:
        lines = [json.dumps(row) for row in edit(draw, rows, VALUES)]
        lines.insert(0, draw(st.sampled_from(["", "[]", "{}", "NaN", '{"mean":1', '"' + "x" * 3000, "\x85", "\u2028"])))
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))

        def read() -> str:
            page = render_pages(folder)
            keep_training_rows(path, 1)
            return page

        return read

    return make


def make_metrics_case(work: Path) -> Case:
    folder = make_run_folder(work / "measured" / "run")
    rows = [list(map(str, row.values())) for row in make_metrics(6)]
    table = [list(make_metrics(1)[0]), *rows]
    cells = LEAVES.map(lambda value: str(value) if not isinstance(value, int) or abs(value) < 10**999 else "9" * 1000)

    def make(draw: Any) -> Callable[[], str]:
        edited = edit(draw, table, cells | st.lists(cells, max_size=12))
        lines = [row if isinstance(row, str) else ",".join(map(str, row)) for row in edited]
        text = draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"])).join(lines) + draw(st.sampled_from(["\n", "", '"']))
        (folder / "metrics.csv").write_bytes(text.encode("utf-8", "surrogatepass"))

        def read() -> str:
            page = render_pages(folder)
            MetricsCSV(folder).log_metrics({"train/loss": 1.0, "new": 2.0}, 7)
            return page

        return read

    return make


def make_agent_case(work: Path) -> Case:
    folder = work / "agent"
    generator = torch.Generator().manual_seed(0)
    network = make_q_network(**{**NETWORK, "observation": OBSERVATION}, generator=generator)
    config = resolve_configuration(compose_config("train", "game=Pong", "num_envs=8"))
    description = {
        "format": 1, "game": "Pong", "protocol": OmegaConf.to_container(config.protocol), "network": NETWORK,
        "normalizer": "weight_norm", "agent_steps": 1000, "updates": 100, "config": OmegaConf.to_container(config),
    }  # fmt: skip
    save_agent(folder, network, description)
    weights = {name: value.clone() for name, value in load_file(folder / "weights.safetensors").items()}  # no map of it
    told = json.loads((folder / "agent.json").read_text())
    shown = {key: told[key] for key in ("format", "game", "protocol", "network", "agent_steps", "sha256")}

    def make(draw: Any) -> Callable[[], str]:
        edited = weights
        if draw(st.integers(0, 3)) == 0:
            tensors = {key: value for key, value in edit(draw, weights, TENSORS).items() if torch.is_tensor(value)}
            edited = {key: value.contiguous() for key, value in tensors.items() if value.numel() < 10**9}
        content = save(edited)
        (folder / "weights.safetensors").write_bytes(content)
        forged = {**shown, "sha256": hashlib.sha256(content).hexdigest()}
        forged = edit(draw, forged, VALUES) if edited is weights else forged
        (folder / "agent.json").write_text(json.dumps(forged))
        return lambda: str(load_agent(folder).description)

    return make


def make_checkpoint_case(work: Path) -> Case:
    folder = work / "trained"
    assert make_run(folder).train()
    module = make_module(folder)
    module.allocate()
    path = work / "forged.ckpt"
    whole = read_checkpoint(folder / "checkpoints" / "last.ckpt")

    def make(draw: Any) -> Callable[[], str]:
        forged = edit(draw, whole, VALUES | TENSORS)
        write_checkpoint(path, forged)

        def read() -> str:
            checkpoint = read_checkpoint(path)
            with suppress(ConfigurationError):
                load_agent(path)
            check_checkpoint(checkpoint, module, path)
            module.on_load_checkpoint(checkpoint)
            return ""

        return read

    return make


def make_game_case(work: Path) -> Case:
    folder = work / "played" / "episodes" / "000000100"
    folder.mkdir(parents=True)
    config = resolve_configuration(compose_config("train", "game=Pong", "num_envs=8"))
    protocol = OmegaConf.to_container(config.protocol)
    values: Any = {
        "game": "Pong", "protocol_name": "machado", "protocol_values": protocol, "seed": 3, "episode_return": -1.0,
        "num_agent_steps": 5, "num_frames": 20, "ended_by": "terminated",
    }  # fmt: skip
    shapes = st.sampled_from([5, 0, 4, (5, 1), ()])

    def make(draw: Any) -> Callable[[], str]:
        dtype = draw(st.sampled_from(["uint8", "uint8", "uint8", "int64", "float32", "U3", "M8[s]", "bool"]))
        actions = np.zeros(draw(shapes), np.uint8).astype(dtype)
        content = io.BytesIO()
        np.savez_compressed(content, actions=actions, values=np.array(json.dumps(edit(draw, values, VALUES))))
        (folder / "000.npz").write_bytes(content.getvalue())

        def read() -> str:
            found = find_missing_videos(folder.parents[1])
            return f"{load_episode(folder / '000.npz')} {found}"

        return read

    return make


KINDS: dict[str, Callable[[Path], Case]] = {
    "configurations": make_configuration_case, "evaluations": make_evaluation_case, "metrics": make_metrics_case,
    "agents": make_agent_case, "checkpoints": make_checkpoint_case, "games": make_game_case,
}  # fmt: skip

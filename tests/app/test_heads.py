"""Runs with each kind of head from the command line: trained, saved, loaded, evaluated; and their names of before."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from tests.helpers.configurations import compose_config
from tests.helpers.killed_runs import PROTOCOL
from tests.helpers.networks import HEADS, make_generator
from wn_rl import evaluate
from wn_rl.app.configuration import load_configuration, select_fixed_settings
from wn_rl.app.training import start_run
from wn_rl.errors import ConfigurationError
from wn_rl.networks.q_network import make_q_network
from wn_rl.nn.noisy_linear import resample_noise_
from wn_rl.runs.agent import load_agent, make_network, save_agent
from wn_rl.runs.layout import CONFIG_FILE, LAST_CHECKPOINT, METRICS_FILE
from wn_rl.types import ObservationSpec

WORDS = [
    "env=gymnasium", "env.id=CartPole-v1", "total_agent_steps=240", "iteration_agent_steps=240",
    "chunk_agent_steps=80", "warmup_agent_steps=64", "num_envs=4", "num_threads=1", "num_env_threads=1",
    "network.torso=vector", "network.hidden_units=8", "network.stack_size=1", "batch_size=16", "replay.capacity=400",
    "replay.storage=ram", "initialization_batch_size=16", "evaluation.episodes=2", "evaluation.num_envs=2",
    "minibatch_parts=1", "video.period_iterations=0", "logger=none", "progress=false", "accelerator=cpu",
    "precision=32-true", "protocol.max_episode_agent_steps=60", "network.num_taus=6", "network.num_target_taus=5",
    "network.num_acting_taus=4", "network.noisy=true", "network.dueling=true", "exploration.initial_epsilon=0",
]  # fmt: skip


@pytest.mark.parametrize(
    ("network", "error_function"), [("implicit_quantile", "huber"), ("categorical", "cross_entropy")]
)
def test_an_agent_plays_as_what_was_trained_without_its_noise(
    tmp_path: Path, network: str, error_function: str
) -> None:
    run = tmp_path / "run"
    words = [f"network={network}", f"error_function={error_function}", f"run_dir={run}", *WORDS]
    assert start_run(compose_config("train", *words), preset="dopamine").train()
    header = (run / METRICS_FILE).read_text().splitlines()[0]
    assert ("train/kl_divergence" in header) == (network == "categorical")
    assert ("train/absolute_td_error" in header) == (network != "categorical")
    folded, unfolded = load_agent(run), load_agent(run / LAST_CHECKPOINT)
    observations = torch.randn(5, 1, 4, generator=make_generator(1))
    expected = unfolded.network(observations).q_values
    torch.testing.assert_close(folded.network(observations).q_values, expected)
    saved = torch.load(run / LAST_CHECKPOINT, weights_only=True)["state_dict"]
    trained = make_network(folded.description["network"], None).eval()
    trained.load_state_dict({k.removeprefix("network."): v for k, v in saved.items() if k.startswith("network.")})
    assert (trained(observations).q_values - expected).abs().max() > 1e-3  # the noise of the last update
    for name, buffer in trained.named_buffers():
        if name.endswith("_noise"):
            buffer.zero_()
    torch.testing.assert_close(trained(observations).q_values, expected, rtol=1e-4, atol=1e-5)
    rows = []
    for number in range(2):
        folder = tmp_path / f"evaluation{number}"
        evaluate.main(
            compose_config(
                "evaluate", f"agent={run}", "episodes=2", "num_envs=2", "num_threads=1", f"output_dir={folder}"
            )
        )
        rows.append(json.loads((folder / "evaluations.jsonl").read_text())["mean"])
    assert rows[0] == rows[1]


def make_description(**changes: Any) -> dict[str, Any]:
    network = {
        "torso": "mlp", "normalizer": "none", "num_actions": 2, "stack_size": 1, "hidden_units": 6,
        "observation": {"shape": [4], "dtype": "float32"}, **changes,
    }  # fmt: skip
    return {"format": 1, "game": "Pong", "protocol": PROTOCOL.__dict__, "network": network, "agent_steps": 1}


@pytest.mark.parametrize(
    ("old", "now"),
    [
        ({"head": "dueling"}, {"head": "linear", "dueling": True}),
        ({"head": "dueling_quantile", "num_quantiles": 5}, {"head": "quantile", "dueling": True, "num_quantiles": 5}),
        ({"head": "quantile"}, {"head": "quantile", "num_quantiles": 32}),
    ],
)
def test_an_agent_of_before_plays_under_its_heads_old_name(tmp_path: Path, old: Any, now: Any) -> None:
    network = make_network(make_description(**now)["network"], make_generator(1))
    save_agent(tmp_path, network, make_description(**old))
    observations = torch.randn(5, 1, 4, generator=make_generator(2))
    output, expected = load_agent(tmp_path).network(observations), network(observations)
    torch.testing.assert_close(output.q_values, expected.q_values)
    assert (output.quantiles is None) == (expected.quantiles is None)


def test_a_run_of_before_goes_on_under_its_heads_old_name(tmp_path: Path) -> None:
    config = compose_config("train", "game=Pong", "network=dueling", "network.head=quantile", "error_function=huber")
    old = OmegaConf.create(OmegaConf.to_container(config, resolve=False))
    old.network = {
        "torso": "nature", "head": "dueling_quantile", "num_quantiles": 32, "hidden_units": 512, "stack_size": 4,
        "center_pixels": False,
    }  # fmt: skip
    (tmp_path / CONFIG_FILE).write_text(OmegaConf.to_yaml(old))
    assert select_fixed_settings(load_configuration(tmp_path)) == select_fixed_settings(config)


@pytest.mark.parametrize(
    "sizes", [{"num_acting_taus": 10**12}, {"num_atoms": "many"}, {"v_min": 11.0}, {"num_taus": 0}]
)
def test_an_agent_whose_head_cannot_be_is_refused_in_one_line(tmp_path: Path, sizes: dict[str, Any]) -> None:
    network = make_network(make_description(head="implicit_quantile")["network"], make_generator(1))
    save_agent(tmp_path, network, make_description(head="implicit_quantile", **sizes))
    with pytest.raises(ConfigurationError, match=rf"cannot be read: network\.{next(iter(sizes))}=") as refusal:
        load_agent(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("head", HEADS)
def test_a_saved_agent_has_neither_noise_nor_normalizer(tmp_path: Path, head: str) -> None:
    network = make_network(make_description(normalizer="weight_norm", **HEADS[head])["network"], make_generator(1))
    resample_noise_(make_generator(2), network)
    save_agent(tmp_path, network, make_description(normalizer="weight_norm", **HEADS[head]))
    names = load_agent(tmp_path).network.state_dict().keys()
    observation = ObservationSpec((4,), "float32")
    plain = make_q_network(
        torso="mlp", **{**HEADS[head], "noisy": False}, normalizer="none", num_actions=2, stack_size=1,
        observation=observation, hidden_units=6, generator=None,
    )  # fmt: skip
    assert names == plain.state_dict().keys()

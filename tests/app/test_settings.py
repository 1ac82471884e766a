"""Fields and configs/ agree; no value that a setting may be given ends in a traceback; an algorithm brings its own."""

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from tests.app.test_configuration import StandInEnvironments, compose_training, list_leaves
from wn_rl.acting.collector import Collector
from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.app import build
from wn_rl.app.build import AlgorithmEntry, find_kinds, parse_settings
from wn_rl.app.configuration import (
    load_configuration,
    resolve_configuration,
    resume_configuration,
    save_configuration,
    select_fixed_settings,
)
from wn_rl.app.configured import CONFIG_DIRECTORY
from wn_rl.app.hydra_version import VERSION_BASE
from wn_rl.app.run_settings import RunSettings
from wn_rl.errors import ConfigurationError, show_value
from wn_rl.learning.settings import DQNSettings, LearnerSettings
from wn_rl.replay.sequence_settings import DEFAULT_SEQUENCE
from wn_rl.system.fields import get_rules, list_changeable, parse, setting, whole

WRONG_VALUES = [None, [1], "word", float("nan"), -1]
FREE = ("optimizer", "logger", "protocol")  # what they hold is checked by whom it is for
LATER = {
    "algorithm": "dqn", "advantage_learning": 0.0, "munchausen": False, "munchausen_scale": 0.9,
    "munchausen_temperature": 0.03, "munchausen_floor": -1.0, "exploration.max_repeats": 1,
    "network.memory": None, "network.memory_units": 128,
    "network.center_pixels": False, "network.impala_widths": [16, 32, 32], "network.impala_pooled_size": None,
    "replay.sampler": "uniform", "replay.priority_exponent": 0.5, "replay.importance_exponent": 0.5,
    "network.dueling": False, "network.noisy": False, "network.num_atoms": 51, "network.v_min": -10.0,
    "network.v_max": 10.0, "network.num_taus": 64, "network.num_target_taus": 64, "network.num_acting_taus": 32,
    "network.num_cosines": 64,
    "replay.final_importance_exponent": None, "replay.importance_exponent_agent_steps": 0, "replay.final_gamma": None,
    "replay.gamma_agent_steps": 0, "learning_rate_schedule": "constant", "final_learning_rate": 0.0,
    "learning_rate_decay_agent_steps": 0, "value_rescaling": False, "sequence": DEFAULT_SEQUENCE,
}  # fmt: skip


def list_fields(*kinds: type, path: str = "") -> list[str]:
    keys = []
    for kind in kinds:
        for name, rule in get_rules(kind).items():
            key = f"{path}{name}"
            keys += [key] if rule.section is None else list_fields(rule.section, path=f"{key}.")
    return keys


def list_settings(config: DictConfig) -> list[str]:
    leaves = [key if key.partition(".")[0] not in FREE else key.partition(".")[0] for key in list_leaves(config)]
    return list(dict.fromkeys([*leaves, "env.kwargs"]))  # which is empty


@pytest.mark.parametrize("algorithm", sorted(build.ALGORITHMS))
def test_every_field_has_its_default_in_configs_and_every_default_its_field(algorithm: str) -> None:
    config = compose_training(f"algorithm={algorithm}")
    fields = list_fields(*find_kinds(config))
    assert len(set(fields)) == len(fields) > 45  # no two dataclasses claim a key
    assert sorted(fields) == sorted([*list_settings(config), "preset", "experiment"])  # written when a run starts
    assert config.algorithm == algorithm


@pytest.fixture(scope="module")
def given() -> DictConfig:
    words = ("num_envs=8", "num_threads=1", "num_env_threads=1", "replay.storage=ram", "accelerator=cpu")
    return compose_training(*words)


@pytest.fixture
def saved_run(given: DictConfig, tmp_path: Path) -> Path:
    save_configuration(resolve_configuration(given), tmp_path)
    return tmp_path


def change(config: DictConfig, key: str, value: Any) -> DictConfig:
    changed = OmegaConf.create(OmegaConf.to_container(config, resolve=False))
    OmegaConf.update(changed, key, value, merge=False)
    return changed


def list_keys(config: DictConfig) -> list[str]:
    leaves = list_leaves(config)
    return [*leaves, *dict.fromkeys(key.partition(".")[0] for key in leaves if "." in key)]


@pytest.mark.parametrize("value", WRONG_VALUES, ids=str)
def test_no_value_of_any_setting_ends_in_a_traceback(given: DictConfig, value: Any) -> None:
    refusals = {}
    for key in list_keys(given):
        try:
            resolved = resolve_configuration(change(given, key, value))
            if key.startswith(("optimizer", "logger")):  # others are none of its business, and it takes its time
                build.check_targets(resolved)
        except ConfigurationError as error:
            refusals[key] = str(error)
    assert not any("\n" in text for text in refusals.values())
    assert all(key.partition(".")[0] in text for key, text in refusals.items())
    assert {"replay", "evaluation", "learning_rate", "network.torso", "protocol"} <= refusals.keys()


@pytest.mark.parametrize("value", [None, [1]], ids=str)
def test_no_value_in_a_saved_configuration_ends_in_a_traceback(given: DictConfig, saved_run: Path, value: Any) -> None:
    saved = load_configuration(saved_run)
    refusals = []
    for key in list_keys(saved):
        save_configuration(change(saved, key, value), saved_run)
        try:
            build.check_targets(resume_configuration(given, [], saved_run))
        except ConfigurationError as error:
            refusals.append(str(error))
    assert not any("\n" in text for text in refusals)
    assert len(refusals) > 50


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("batch_size", None, "batch_size=None: needs a number of at least 1"),
        ("evaluation", None, "evaluation=None: is a section, with settings of its own: episodes, epsilon"),
        ("replay", 3, "replay=3: is a section"),
        ("exploration.final_epsilon", "abc", "exploration.final_epsilon=abc: needs a number of at least 0"),
        ("num_envs", [1], r"num_envs=\[1\]: needs a number of at least 1"),
        ("network.torso", "natur", "network.torso=natur: unknown; known: .*; did you mean nature?"),
        ("deterministic", "yes", "deterministic=yes: needs true or false"),
        ("name", None, "name=None: needs a word"),
        ("batch_sise", 32, "batch_sise: there is no such setting; did you mean batch_size?"),
        ("replay.zzz", 1, "replay.zzz: there is no such setting; remove it"),
    ],
)
def test_wrong_kinds_are_told_by_their_key(
    given: DictConfig, saved_run: Path, key: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        resolve_configuration(change(given, key, value))
    save_configuration(change(load_configuration(saved_run), key, value), saved_run)
    with pytest.raises(ConfigurationError, match=message):
        resume_configuration(given, [], saved_run)


def test_a_run_of_before_goes_on_with_what_it_did(given: DictConfig, saved_run: Path) -> None:
    """Whatever the defaults, or the command line's own words, are now."""
    whole_run = load_configuration(saved_run)
    values: Any = OmegaConf.to_container(whole_run)
    for key in LATER:
        group, _, name = key.rpartition(".")
        del (values[group] if group else values)[name]
    values["initial_q_deviation"] = values.pop("initial_q_std") * 0.5
    values["logger"]["_target_"] = "wn_rl.callbacks.tensorboard.RunTensorBoard"
    save_configuration(OmegaConf.create(values), saved_run)
    words = ("replay.sampler=prioritized", "advantage_learning=0.5", "network.center_pixels=true", "munchausen=true",
             "learning_rate_schedule=linear", "network.impala_widths=[8]", "value_rescaling=true",
             "sequence.burn_in=7")  # fmt: skip
    resumed = resume_configuration(compose_training(*words), [], saved_run)
    assert {key: OmegaConf.select(resumed, key) for key in LATER} == LATER
    assert resumed.initial_q_std == 0.5
    build.check_targets(resumed)
    # its checkpoint, written before, holds the same settings
    assert select_fixed_settings(values) == select_fixed_settings(resumed)
    assert select_fixed_settings({**values, "batch_size": 33}) != select_fixed_settings(resumed)
    assert select_fixed_settings({**values, "progress": False}) == select_fixed_settings(resumed)


@pytest.mark.parametrize("key", ["batch_size", "evaluation.epsilon", "replay", "game"])
def test_a_saved_setting_that_is_missing_is_named(given: DictConfig, saved_run: Path, key: str) -> None:
    values: Any = OmegaConf.to_container(load_configuration(saved_run))
    group, _, name = key.rpartition(".")
    del (values[group] if group else values)[name]
    save_configuration(OmegaConf.create(values), saved_run)
    with pytest.raises(ConfigurationError, match=rf"config.yaml lacks {key}; put it back, or start a new run"):
        resume_configuration(given, [], saved_run)


def test_a_run_of_pqn_of_before_goes_on_with_its_falling_learning_rate(tmp_path: Path) -> None:
    words = ("algorithm=pqn", "num_threads=1", "num_env_threads=1", "accelerator=cpu")
    save_configuration(resolve_configuration(compose_training(*words)), tmp_path)
    values: Any = OmegaConf.to_container(load_configuration(tmp_path))
    assert values.pop("learning_rate_schedule") == "linear"
    save_configuration(OmegaConf.create(values), tmp_path)
    resumed = resume_configuration(compose_training(*words), [], tmp_path)
    assert (resumed.learning_rate_schedule, resumed.final_learning_rate) == ("linear", 0.0)
    assert resumed.learning_rate_decay_agent_steps == resumed.total_agent_steps


def test_what_may_change_on_resume_is_what_a_run_of_the_same_numbers_may_differ_in() -> None:
    assert set(list_changeable(RunSettings, DQNSettings)) == {
        "total_agent_steps", "logger", "video", "checkpoint", "weight_statistics", "progress", "num_threads",
        "num_env_threads", "minibatch_parts", "replay.storage", "deterministic", "compile", "evaluation", "max_minutes",
        "plugins", "callbacks",
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RolloutSettings(LearnerSettings):
    rollout_agent_steps: int = setting(whole(1))


class Rollouts(Algorithm):
    """An algorithm without replay, target network or warm-up."""

    def __init__(self, settings: RolloutSettings, environments: Any) -> None:
        generator = torch.Generator()
        super().__init__(
            run_length=settings.run_length, generator=generator,
            collector=Collector(environments=environments, generator=generator),
        )  # fmt: skip
        self.settings = settings


def make_rollouts(config: DictConfig, settings: RolloutSettings, environments: Any, folder: Path) -> Rollouts:
    return Rollouts(settings, environments)


def compose_rollouts(folder: Path, *words: str) -> DictConfig:
    """Of a folder that holds the YAML of the new algorithm, as configs/ does."""
    path = folder / "algorithm" / "rollouts.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text("# @package _global_\nalgorithm: rollouts\nrollout_agent_steps: 128\n")
    with initialize_config_dir(str(CONFIG_DIRECTORY), **VERSION_BASE):
        words = ("game=Pong", f"hydra.searchpath=[file://{folder}]", "algorithm=rollouts", "num_envs=8", *words)
        return compose("train", overrides=list(words))


def test_a_new_algorithm_brings_settings_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"algorithm='rollouts' is unknown; .*known: dqn"):
        resolve_configuration(compose_rollouts(tmp_path))
    monkeypatch.setitem(build.ALGORITHMS, "rollouts", AlgorithmEntry(RolloutSettings, make_rollouts))
    config = resolve_configuration(compose_rollouts(tmp_path, "rollout_agent_steps=64"))
    assert "replay" not in config
    made = build.make_algorithm(config, StandInEnvironments(num_envs=8), tmp_path)
    assert isinstance(made, Rollouts)
    assert (made.settings.rollout_agent_steps, made.settings.exploration.max_repeats) == (64, 1)
    with pytest.raises(ConfigurationError, match="rollout_agent_steps=0: needs a number of at least 1"):
        resolve_configuration(compose_rollouts(tmp_path, "rollout_agent_steps=0"))
    save_configuration(config, tmp_path)
    assert resume_configuration(compose_training("total_agent_steps=1000"), [], tmp_path) == {
        **config, "preset": None, "experiment": None,
    }  # fmt: skip


def test_settings_are_those_of_the_configuration() -> None:
    run, learner = parse_settings(resolve_configuration(compose_training("preset=quick", "seed=3")))
    assert isinstance(learner, DQNSettings)
    assert (learner.batch_size, learner.replay.n_step, learner.seed, learner.epsilon.initial) == (256, 3, 3, 1.0)
    assert (learner.epsilon.begin_agent_steps, learner.run_length.total_agent_steps) == (10_000, 1_000_000)
    assert (run.network.torso, run.protocol.name, run.evaluation.episodes) == ("small", "machado", 5)


# --- numbers

LARGE = [2**31, 2**63, 10**30, 10**400, 10**5000, 1e308, float("inf")]
NUMBERS = [0, -1, -(2**63), -0.5, float("nan"), float("-inf"), *LARGE]
MAY_BE_NEGATIVE = {"network.v_min", "network.v_max", "munchausen_floor"}
GREATEST_USABLE = {  # what is not refused beyond 2**31 counts, seeds, or bounds what is there anyway
    "seed", "evaluation.seed", "total_agent_steps", "iteration_agent_steps", "chunk_agent_steps",
    "exploration.decay_agent_steps", "video.period_iterations", "video.max_seconds", "checkpoint.keep_last",
    "checkpoint.keep_best", "weight_statistics.period_agent_steps", "weight_statistics.dormant_threshold",
    "max_gradient_norm", "replay.reward_clip", "rollout.reward_clip", "target_period_updates", "replay.capacity",
    "learning_rate_decay_agent_steps", "optimizer.lr", "optimizer.eps",
}  # fmt: skip


def list_numbers(config: DictConfig) -> list[str]:
    """Settings that hold a number, or may."""
    automatic = {"num_envs", "num_threads", "num_env_threads", "minibatch_parts", "learning_rate_decay_agent_steps"}
    may_hold = {"max_gradient_norm", "replay.reward_clip", "rollout.reward_clip", *automatic}
    values = {key: OmegaConf.select(config, key) for key in list_leaves(config)}
    return [key for key, value in values.items() if key in may_hold or type(value) in (int, float)]


def check_one(resolved: dict[str, Any], key: str, value: Any) -> None:
    """What is checked of one setting when a run begins."""
    values = copy.deepcopy(resolved)
    group, _, name = key.rpartition(".")
    (values[group] if group else values)[name] = value
    if group == "optimizer":
        build.check_targets(OmegaConf.create({"optimizer": values["optimizer"], "logger": None}))
        return
    run, learner = parse(values, *find_kinds(values))
    learner.check(network=run.network, normalizer=run.normalizer, accelerator="cpu")


@pytest.mark.parametrize("algorithm", sorted(build.ALGORITHMS))
def test_every_number_is_usable_or_refused_in_a_line_that_names_its_setting(algorithm: str) -> None:
    words = ["algorithm=pqn"] if algorithm == "pqn" else ["replay.storage=ram"]
    given = compose_training("num_envs=8", "accelerator=cpu", *words)
    resolved = build.as_dict(resolve_configuration(given))
    accepted, refusals = set(), {}
    for key in list_numbers(given):
        for value in NUMBERS:
            try:
                check_one(resolved, key, value)
            except ConfigurationError as error:
                refusals[key, show_value(value)] = str(error)
                continue
            assert value >= 0 or key in MAY_BE_NEGATIVE
            assert value <= 1e30, key
            if value >= 2**31:
                accepted.add(key)
    assert len(refusals) > 400
    assert all(key.partition(".")[0] in text for (key, _), text in refusals.items())
    assert not any("\n" in text or len(text) > 400 for text in refusals.values())
    assert accepted <= GREATEST_USABLE


def test_threads_of_a_larger_machine_are_lowered_to_the_cores_of_this_one_and_typed_ones_refused(
    given: DictConfig, saved_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    saved = load_configuration(saved_run)
    saved.num_threads, saved.num_env_threads, saved.minibatch_parts = 64, 63, 1
    save_configuration(saved, saved_run)
    assert resume_configuration(given, [], saved_run).num_threads == 64
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    resumed = resume_configuration(given, [], saved_run)
    assert (resumed.num_threads, resumed.num_env_threads, resumed.minibatch_parts) == (2, 2, 1)
    told = [f"{key} is lowered to 2, the cores of this machine\n" for key in ("num_threads=64", "num_env_threads=63")]
    assert capsys.readouterr().out == "".join(told)
    with pytest.raises(ConfigurationError, match="num_threads=3: needs auto or a whole number from 1 to 2, the cores"):
        resume_configuration(compose_training("num_threads=3"), ["num_threads=3"], saved_run)

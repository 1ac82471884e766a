"""What a user may write, what is refused in one line, and that no setting is ignored."""

import os
import runpy
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, OmegaConf

from tests.helpers.counting import CountingEnvironments, make_random_outcomes
from wn_rl.app import build, machine
from wn_rl.app import training as run
from wn_rl.app.configuration import (
    load_configuration,
    resolve_configuration,
    resume_configuration,
    save_configuration,
    select_fixed_settings,
)
from wn_rl.app.configured import CONFIG_DIRECTORY
from wn_rl.app.hydra_version import VERSION_BASE
from wn_rl.app.resume import check_length, check_settings
from wn_rl.callbacks.evaluation import Evaluation
from wn_rl.callbacks.video_recording import Videos
from wn_rl.callbacks.weight_statistics import WeightStatistics
from wn_rl.envs import selection
from wn_rl.errors import ConfigurationError
from wn_rl.networks.distributions import HeadSizes
from wn_rl.replay.storage import STORAGE_NAMES
from wn_rl.runs.folder import lock_run_folder
from wn_rl.system import seeding


def compose_training(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIG_DIRECTORY), **VERSION_BASE):
        return compose("train", overrides=["game=Pong", *overrides])


class StandInEnvironments(CountingEnvironments):
    """Takes the place of the games, whose ROMs take a quarter of a second each, and remembers what was asked."""

    asked: dict[str, Any]

    def __init__(self, **asked: Any) -> None:
        outcomes = make_random_outcomes(
            seed=0, num_rounds=10, num_envs=asked["num_envs"], termination_probability=0.1,
            truncation_probability=0.1, life_loss_probability=0.1,
        )  # fmt: skip
        super().__init__(outcomes=outcomes, num_actions=6, frame_shape=(84, 84))
        self.asked = asked


def describe_environments(environments: Any) -> str:
    """What was asked for; frames that flicker come from others within."""
    return str(getattr(environments, "_environments", environments).asked)


def describe_run(config: DictConfig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Everything that a configuration decides, as text."""
    monkeypatch.setattr(selection, "AtariEnvironments", StandInEnvironments)
    num_threads = torch.get_num_threads()
    environments, module = run._make_algorithm(config, folder)
    run.make_run_folder(folder)
    made = run._make_run(config, folder, environments, module, lock_run_folder(folder), checkpoint=None)
    trainer = made.trainer
    description = {
        "environments": describe_environments(module.collector.environments),
        "evaluation_environments": describe_environments(find_evaluation(trainer)._make_environments()),
        "settings": str(module.settings),
        "max_repeats": module.collector.exploration._max_repeats,
        "replay": module.replay.state_dict()["settings"],
        "storage": type(module.replay._storage).__name__,
        "sampler": (type(module.replay._sampler).__name__, describe_numbers(module.replay._sampler)),
        "optimizer": str(module.configure_optimizers()),
        "network": str(module.network),
        "weights": [float(p.detach().double().sum()) for p in module.network.parameters()],
        "streams": [g.initial_seed() for g in (module.generator, module.collector.exploration.generator)],
        "trainer": str((trainer.max_epochs, trainer.precision, type(trainer.accelerator).__name__)),
        "loggers": [type(logger).__name__ for logger in trainer.loggers],
        "callbacks": [describe_callback(callback) for callback in trainer.callbacks],
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "kept": (made.saving._folder._keep_last, made.saving._folder._keep_best),
    }
    torch.set_num_threads(num_threads)
    torch.use_deterministic_algorithms(False)
    return description


def describe_numbers(thing: object) -> dict[str, float]:
    return {name: value for name, value in vars(thing).items() if isinstance(value, float)}


def find_evaluation(trainer: Trainer) -> Evaluation:
    return next(callback for callback in trainer.callbacks if isinstance(callback, Evaluation))


def describe_callback(callback: Callback) -> dict[str, str]:
    """Its kind, and the attributes of those that are configured (others hold clocks, or the whole configuration)."""
    attributes = vars(callback) if isinstance(callback, Evaluation | Videos | WeightStatistics) else {}
    return {"kind": type(callback).__name__, **{k: str(v) for k, v in attributes.items() if "0x" not in str(v)}}


OTHER_WORDS = {
    "game": "Breakout", "normalizer": "weight_norm", "error_function": "huber", "initialization": "random",
    "precision": "32-true", "protocol.name": "other", "network.torso": "mlp", "network.head": "quantile",
    "max_gradient_norm": 10.0, "max_minutes": 5.0, "optimizer._target_": "torch.optim.AdamW",
    "replay.storage": "compressed",
    "replay.sampler": "uniform", "learning_rate_schedule": "cosine", "sequence.start": "zeros",
}  # fmt: skip
OTHER_NUMBERS = {
    "replay.gamma": 0.9, "exploration.initial_epsilon": 0.9, "exploration.final_epsilon": 0.2,
    "evaluation.epsilon": 0.2, "evaluation.num_envs": 5, "protocol.repeat_action_probability": 0.1,
    "protocol.flicker_probability": 0.5,
    "protocol.frame_skip": 2,
    "optimizer.betas": [0.5, 0.9], "advantage_learning": 0.5, "munchausen_scale": 0.5,
    "replay.priority_exponent": 0.7, "replay.importance_exponent": 0.7,
    "replay.final_importance_exponent": 0.8, "replay.final_gamma": 0.95, "sequence.max_priority_share": 0.5,
}  # fmt: skip
COUNTS_OF_CORES = {"num_threads", "num_env_threads", "minibatch_parts"}
# They say where and how results are written, and how the process is started: they have tests of their own.
ELSEWHERE = {
    "algorithm", "resume", "run_dir", "sweep", "name", "initial_agent", "plugins", "callbacks", "accelerator",
    "devices", "num_nodes", "strategy",
    "optimizer._partial_", "env.name", "env.id", "network.impala_widths", "network.impala_pooled_size",
    "network.memory", "network.memory_units", *(f"network.{entry.name}" for entry in fields(HeadSizes)),
}  # fmt: skip


def list_leaves(config: DictConfig, prefix: str = "") -> list[str]:
    leaves = []
    for key in config:
        path = f"{prefix}{key}"
        value = OmegaConf.select(config, path) if not prefix else config[key]
        is_branch = isinstance(value, DictConfig)
        leaves += list_leaves(value, f"{path}.") if is_branch else [path]
    return leaves


def find_other_value(key: str, value: Any) -> Any:
    if key in OTHER_WORDS:
        return OTHER_WORDS[key]
    if key in COUNTS_OF_CORES:
        return 1 if value > 1 else 2
    if key in OTHER_NUMBERS:
        return OTHER_NUMBERS[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 2 if value else 1
    raise AssertionError(f"say in this test what {key}={value} may become")


SETTINGS = sorted(
    key for key in list_leaves(compose_training()) if key not in ELSEWHERE and not key.startswith(("hydra", "logger."))
)


@pytest.fixture(scope="module")
def base_configuration() -> DictConfig:
    # a plain network: weight decay touches no other; a small one, since it is made again for every setting
    words = ("precision=bf16-mixed", "num_envs=8", "num_threads=2", "normalizer=none", "replay.storage=ram",
             "replay.sampler=prioritized", "network.torso=small", "network.hidden_units=8")  # fmt: skip
    return resolve_configuration(compose_training(*words))


@pytest.fixture(scope="module")
def base_description(base_configuration: DictConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = tmp_path_factory.mktemp("base")
        OmegaConf.update(base_configuration, "run_dir", str(folder))
        return describe_run(base_configuration, folder, monkeypatch)


def test_every_setting_of_training_is_read(
    base_configuration: DictConfig,
    base_description: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len(SETTINGS) > 45
    again = describe_run(base_configuration, tmp_path / "again", monkeypatch)
    again["callbacks"] = str(again["callbacks"]).replace(str(tmp_path / "again"), base_configuration.run_dir)
    assert again == {**base_description, "callbacks": str(base_description["callbacks"])}  # nothing differs by itself
    ignored = []
    for key in SETTINGS:
        config = OmegaConf.create(OmegaConf.to_container(base_configuration, resolve=False))
        OmegaConf.update(config, key, find_other_value(key, OmegaConf.select(config, key)))
        description = describe_run(config, tmp_path / key, monkeypatch)
        description["callbacks"] = str(description["callbacks"]).replace(str(tmp_path / key), config.run_dir)
        if description == {**base_description, "callbacks": str(base_description["callbacks"])}:
            ignored.append(key)
    assert ignored == []


def test_the_streams_of_a_run_are_apart_and_follow_from_its_seed() -> None:
    seeds = {seeding.make_stream(seed, name).initial_seed() for seed in (0, 1, 2) for name in seeding.STREAMS}
    assert len(seeds) == 9
    assert seeding.make_stream(1, "sampling").initial_seed() == seeding.make_stream(1, "sampling").initial_seed()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["replay.capacity=10"], "replay.capacity=10 is less than batch_size=32; raise replay.capacity"),
        (["warmup_agent_steps=2000000"], "warmup_agent_steps=2000000 is more than replay.capacity=1000000"),
        (["warmup_agent_steps=300000"], "does not end within the first iteration"),
        (
            ["warmup_agent_steps=65", "num_envs=64", "iteration_agent_steps=128"],
            "warmup_agent_steps=65, in rounds of num_envs=64, does not end within the first iteration",
        ),
        (["normalizer=mean_only_batch_norm", "batch_size=1"], "raise batch_size to at least 2, or take another"),
        (["normalizer=batch_norm", "algorithm=pqn", "batch_size=1"], "raise batch_size to at least 2, or take another"),
        (["normalizer=batch_norm", "algorithm=pqn", "num_envs=1", "batch_size=8"], "raise num_envs to at least 2"),
        (["normalizer=layer_norm", "network.hidden_units=1"], "raise network.hidden_units to at least 2"),
        (["target_period_updates=0"], "target_period_updates=0: needs a number of at least 1"),
        (["learning_rate=-1e-3"], "learning_rate=-0.001: needs a number above 0"),
        (["exploration.max_repeats=0"], "exploration.max_repeats=0: needs a number of at least 1"),
        (["learning_rate=0"], "learning_rate=0: needs a number above 0"),
        (["learning_rate=fast"], "learning_rate=fast: needs a number"),
        (["num_envs=2.5"], "num_envs=2.5: needs a whole number"),
        (["num_envs=-1"], "num_envs=-1: needs a number of at least 1"),
        (
            ["network.center_pixels=true", "initialization=random"],
            "say initialization=data_dependent, or",
        ),
        (["network.center_pixels=1"], "network.center_pixels=1: needs true or false"),
        (["replay.sampler=rank"], "replay.sampler=rank: unknown; known: uniform, prioritized"),
        (["replay.priority_exponent=2"], "replay.priority_exponent=2: needs a number between 0 and 1"),
        (["advantage_learning=1"], "advantage_learning=1: needs a number of at most 0.99"),
        (["advantage_learning=-0.5"], "advantage_learning=-0.5: needs a number of at least 0"),
        (["replay.final_importance_exponent=2"], "final_importance_exponent=2: needs a number between 0 and 1"),
        (["replay.final_gamma=1.5"], "replay.final_gamma=1.5: needs a number between 0 and 1"),
        (["learning_rate_schedule=step"], "learning_rate_schedule=step: unknown; known: constant, linear, cosine"),
        (["network.impala_widths=[]"], "network.impala_widths=[]: needs a list of 1 to 6 whole numbers"),
        (["network.impala_widths=[16, wide]"], "network.impala_widths=wide: needs a number of at least 1"),
        (["network.impala_pooled_size=0"], "network.impala_pooled_size=0: needs a number of at least 1"),
        (["replay.gamma=1.5"], "replay.gamma=1.5: needs a number between 0 and 1"),
        (["evaluation.epsilon=2"], "evaluation.epsilon=2: needs a number between 0 and 1"),
        (["accelerator=tpu"], "accelerator=tpu: unknown; known: auto, cpu, gpu, mps"),
        (["precision=16"], "precision=16: unknown"),
        (["initialization=xavier"], "known: data_dependent, random"),
        (["error_function=l1"], "known: mse, huber, cross_entropy"),
        (["network.head=quantile"], "does not learn by error_function=mse; say error_function=huber"),
        (["network=implicit_quantile"], "does not learn by error_function=mse; say error_function=huber"),
        (["network=categorical", "error_function=huber"], "by error_function=huber; say error_function=cross_entropy"),
        (["error_function=cross_entropy"], "by error_function=cross_entropy; say error_function=mse or huber"),
        (["network.v_min=3", "network.v_max=3"], "network.v_min=3 is not below network.v_max=3; lower it, or raise"),
        (["network.num_atoms=1"], "network.num_atoms=1: needs a number of at least 2"),
        (["network.num_taus=0"], "network.num_taus=0: needs a number of at least 1"),
        (["network.dueling=yess"], "network.dueling=yess: needs true or false"),
        (["munchausen=true", "double=true"], "which double=true has no place in; say double=false, or"),
        (
            ["munchausen=true", "advantage_learning=0.5"],
            "advantage_learning=0.5 has no place in; say advantage_learning=0",
        ),
        (
            ["munchausen=true", "network=categorical", "error_function=cross_entropy"],
            "and network.head=categorical has a distribution; say another head, or munchausen=false",
        ),
        (["munchausen=true", "munchausen_temperature=0"], "munchausen_temperature=0: needs a number of at least 1e-06"),
        (["munchausen=true", "munchausen_floor=1"], "munchausen_floor=1: needs a number of at most 0"),
        (["value_rescaling=true", "munchausen=true"], "on a scale of their own, which munchausen=true would add to"),
        (["value_rescaling=true", "advantage_learning=0.5"], "which advantage_learning=0.5 would add to rewards"),
        (["network.memory=gru"], "batch_size=32 is no multiple of sequence.length=80, and a network with a memory"),
        (["network.memory=gru", "sequence.overlap=80"], "sequence.overlap=80 leaves nothing new in a sequence of"),
        (["network.memory=gru", "sequence.start=zero"], "sequence.start=zero: unknown; known: stored, zeros"),
        (
            ["network.memory=gru", "network=implicit_quantile", "error_function=huber"],
            "network.head=implicit_quantile is asked for probabilities of each transition, and network.memory=gru",
        ),
        (
            ["network.memory=gru", "batch_size=80", "num_envs=8", "warmup_agent_steps=400", "replay.capacity=1000"],
            "replay.capacity=1000 is less than num_envs *",
        ),
        (["network.memory=gru", "batch_size=80", "num_envs=8", "warmup_agent_steps=400"], "raise it to at least 960"),
        (["network.memory=gru", "batch_size=80", "compile=true"], "which compile=true cannot take; say compile=false"),
        (["network.memory=lstm", "batch_size=80", "normalizer=spectral_norm"], "has nothing for recurrent layers"),
        (["total_agent_steps=nan"], "total_agent_steps=nan: needs"),
        (["replay.storage=disk"], "replay.storage=disk: unknown; known: auto, ram, compressed, device"),
        (
            ["replay.storage=device", "accelerator=cpu"],
            "replay.storage=device needs accelerator=gpu, not cpu",
        ),
        (["samples_per_agent_step=inf"], "samples_per_agent_step=inf: needs"),
        (["learning_rate=inf"], "learning_rate=inf: needs"),
        (["replay.capacity=39", "num_envs=8", "warmup_agent_steps=32"], "raise replay.capacity to at least"),
        (
            ["num_envs=64", "replay.capacity=300", "warmup_agent_steps=300"],
            "network.stack_size + replay.n_step + 2) = 448",
        ),
        (["warmup_agent_steps=20", "num_envs=8", "replay.n_step=3"], "raise it to at least 24"),
        (["num_envs=100000"], "num_envs=100000: needs a number of at most 4096"),
        (["iteration_agent_steps=70", "warmup_agent_steps=30", "num_envs=64"], "warmup_agent_steps=30 is less than"),
        (["replay.n_step=300"], "replay.n_step=300: needs a number of at most 255"),
        (["double=maybe"], "double=maybe: needs true or false"),
        (["progress=1"], "progress=1: needs true or false"),
        (["max_gradient_norm=-1"], "max_gradient_norm=-1: needs a number above 0, or null"),
        (["replay.reward_clip=0"], "replay.reward_clip=0: needs a number above 0, or null"),
        (["normalizer=weigt_norm"], "weight_norm"),
        (["network.torso=natur"], "nature"),
        (["network.head=categorial"], "did you mean categorical?"),
        (["protocol.frame_skip=0"], "protocol.frame_skip=0 is invalid"),
        (["protocol.noop_max=many"], "protocol.noop_max='many' has the wrong type"),
        (["name=a/b"], "name=a/b: needs a word without /"),
        (["run_dir=5"], "run_dir=5: needs a word"),
        (["checkpoint.keep_last=0"], "checkpoint.keep_last=0: needs a number of at least 1"),
        (["optimizer.betas=[2,2]"], "optimizer cannot be made of its settings"),
        (["optimizer._target_=torch.nn.Linear"], "optimizer._target_='torch.nn.Linear' is none of"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        build.check_targets(resolve_configuration(compose_training(*overrides)))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_was_found_by_itself_is_written_as_if_given(tmp_path: Path) -> None:
    resolved = resolve_configuration(compose_training())
    save_configuration(resolved, tmp_path)
    loaded = load_configuration(tmp_path)
    assert "auto" not in OmegaConf.to_yaml(loaded).split()
    assert loaded == resolved
    assert loaded.num_envs >= 8
    assert resolve_configuration(loaded) == loaded


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("wn_paper", {"optimizer._target_": "torch.optim.Adamax", "optimizer.betas": [0.5, 0.999], "batch_size": 64,
                      "learning_rate": 3e-4, "protocol.name": "nature", "initialization": "data_dependent"}),
        ("nature", {"optimizer._target_": "torch.optim.RMSprop", "batch_size": 32, "samples_per_agent_step": 8,
                    "target_period_updates": 10_000, "exploration.final_epsilon": 0.1, "protocol.name": "nature"}),
        ("quick", {"replay.n_step": 3, "optimizer._target_": "torch.optim.Adam", "protocol.name": "machado"}),
        ("dopamine", {"learning_rate": 6.25e-5, "replay.n_step": 1, "normalizer": "weight_norm"}),
        ("iqn", {"network.num_taus": 64, "network.num_acting_taus": 32, "optimizer.eps": 3.125e-4, "replay.n_step": 3}),
        ("rainbow", {"network.num_atoms": 51, "network.noisy": True, "replay.final_importance_exponent": 1.0}),
        ("r2d2", {"sequence.burn_in": 40, "batch_size": 5120, "replay.n_step": 5, "network.memory_units": 512,
                  "value_rescaling": True, "replay.reward_clip": None, "replay.priority_exponent": 0.9}),
        ("btr", {"network.impala_widths": [32, 64, 64], "batch_size": 256, "replay.gamma": 0.997}),
        ("strong", {"network.torso": "impala_small", "munchausen": True, "final_learning_rate": 6e-5}),
        ("pqn", {"normalizer": "layer_norm", "learning_rate": 2.5e-4, "rollout.trace_decay": 0.65}),
        ("pqn_quick", {"normalizer": "weight_norm", "learning_rate": 1e-3, "network.torso": "small"}),
        ("pqn_strong", {"normalizer": "weight_norm", "learning_rate": 1e-3, "network.torso": "nature"}),
    ],
)  # fmt: skip
def test_presets_hold_the_numbers_that_they_are_named_after(preset: str, expected: dict[str, Any]) -> None:
    config = compose_training(f"preset={preset}")
    build.parse_settings(resolve_configuration(config))
    assert {key: OmegaConf.select(config, key) for key in expected} == expected


def test_a_preset_gives_way_to_the_command_line() -> None:
    config = compose_training("preset=wn_paper", "protocol=machado", "learning_rate=1e-4", "optimizer=adam")
    assert (config.protocol.name, config.learning_rate, config.optimizer.lr) == ("machado", 1e-4, 1e-4)
    assert config.optimizer._target_ == "torch.optim.Adam"


@pytest.fixture
def saved_run(tmp_path: Path) -> Path:
    save_configuration(resolve_configuration(compose_training("num_envs=8")), tmp_path)
    return tmp_path


def test_a_resumed_run_may_become_longer(saved_run: Path) -> None:
    given = compose_training("total_agent_steps=20000000", "batch_size=32")
    resumed = resume_configuration(given, ["total_agent_steps=20000000", "batch_size=32", "game=pong"], saved_run)
    assert resumed.total_agent_steps == 20_000_000
    assert resumed.num_envs == 8


def test_a_resumed_run_may_keep_its_replay_elsewhere(saved_run: Path) -> None:
    """It may have moved to a machine with less memory; other settings of the replay may not change."""
    given = compose_training("replay.storage=compressed")
    assert resume_configuration(given, ["replay.storage=compressed"], saved_run).replay.storage == "compressed"
    resumed = resume_configuration(compose_training(), ["replay.storage=auto"], saved_run)
    assert resumed.replay.storage in STORAGE_NAMES


def test_a_run_of_before_there_was_a_choice_goes_on(saved_run: Path) -> None:
    path = saved_run / "config.yaml"
    whole = path.read_text()
    later = ("compile:", "deterministic:", "minibatch_parts:", "  max_repeats:")
    before = "\n".join(line for line in whole.splitlines() if not line.startswith(later))
    path.write_text(before)
    resumed = resume_configuration(compose_training("exploration.max_repeats=9"), [], saved_run)
    assert (resumed.compile, resumed.deterministic, resumed.exploration.max_repeats) == (False, False, 1)
    assert resumed.minibatch_parts in (1, 2)
    # the same settings, as its checkpoint has them and as the folder has them now
    assert select_fixed_settings(OmegaConf.create(before)) == select_fixed_settings(OmegaConf.create(whole))


@pytest.mark.parametrize("override", ["learning_rate=1e-3", "protocol=nature", "normalizer=none", "game=Breakout"])
def test_another_run_is_no_resumption(saved_run: Path, override: str) -> None:
    given = compose_training(override)
    with pytest.raises(ConfigurationError, match=r"when this run began and cannot become .* on resume"):
        resume_configuration(given, [override], saved_run)


@pytest.mark.parametrize(
    ("overrides", "changed"),
    [
        (["num_threads=auto"], {}),
        (["checkpoint.keep_last=5", "logger=none"], {"checkpoint.keep_last": 5, "logger": {}}),
        (["preset=dopamine"], {}),
        (
            ["compile=true", "deterministic=true", "minibatch_parts=1"],
            {"compile": True, "deterministic": True, "minibatch_parts": 1},
        ),
    ],
)
def test_what_may_change_on_resume_does(saved_run: Path, overrides: list[str], changed: dict[str, Any]) -> None:
    saved = load_configuration(saved_run)
    saved.preset, saved.experiment = "dopamine", None
    save_configuration(saved, saved_run)
    resumed = resume_configuration(compose_training(*overrides), overrides, saved_run)
    for key, value in changed.items():
        assert OmegaConf.select(resumed, key) == value
        OmegaConf.update(resumed, key, OmegaConf.select(saved, key))
    assert resumed == saved


@pytest.mark.parametrize(
    ("words", "num_cores", "num_parts"),
    [
        ([], 2, 2), ([], 64, 2), ([], 1, 1), (["normalizer=none"], 2, 2), (["normalizer=layer_norm"], 2, 2),
        (["normalizer=batch_norm"], 2, 1),
        (["compile=true"], 2, 1), (["minibatch_parts=1"], 2, 1),
    ],
)  # fmt: skip
def test_minibatches_are_taken_apart_where_that_is_possible(
    words: list[str], num_cores: int, num_parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "count_cores", lambda: num_cores)
    monkeypatch.setattr(os, "cpu_count", lambda: num_cores)
    assert resolve_configuration(compose_training("accelerator=cpu", *words)).minibatch_parts == num_parts


@pytest.mark.parametrize("word", ["accelerator=gpu", "compile=true", "normalizer=batch_norm"])
def test_minibatches_that_cannot_be_taken_apart_are_not(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
    with pytest.raises(ConfigurationError, match=f"not {word}; say minibatch_parts=1, or auto$"):
        resolve_configuration(compose_training("accelerator=cpu", word, "minibatch_parts=2"))


def test_a_run_on_a_gpu_is_told_that_this_machine_has_none(saved_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    saved = load_configuration(saved_run)
    saved.accelerator, saved.minibatch_parts = "gpu", 1
    save_configuration(saved, saved_run)
    with pytest.raises(ConfigurationError, match="PyTorch sees no CUDA device"):
        resume_configuration(compose_training(), [], saved_run)


@pytest.mark.parametrize("key", ["learning_rate", "protocol.noop_max", "optimizer.eps", "seed"])
def test_an_edited_config_yaml_is_told_with_both_values(saved_run: Path, key: str) -> None:
    saved = load_configuration(saved_run)
    checkpoint = {"agent": {"agent_steps": 1000, "config": OmegaConf.to_container(saved, resolve=True)}}
    check_settings(checkpoint, saved, saved_run)
    old = OmegaConf.select(saved, key)
    OmegaConf.update(saved, key, old + 1)
    with pytest.raises(ConfigurationError, match=r"config\.yaml says .*, but this run began with .*; put that back"):
        check_settings(checkpoint, saved, saved_run)


def test_a_run_cannot_become_shorter_than_it_is(saved_run: Path) -> None:
    saved = load_configuration(saved_run)
    checkpoint = {"agent": {"agent_steps": 1000, "config": OmegaConf.to_container(saved, resolve=True)}}
    saved.total_agent_steps = 999
    with pytest.raises(ConfigurationError, match="total_agent_steps=999 is less than the 1000 that this run has done"):
        check_length(checkpoint, saved)


def test_a_folder_without_a_run_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no run folder"):
        load_configuration(tmp_path)
    (tmp_path / "config.yaml").write_text("{ a: [")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_configuration(tmp_path)


PONG = Path(__file__).resolve().parents[2] / "checkpoints" / "Pong"


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("train", [], "game is missing"),
        ("train", ["game=Pong", "lerning_rate=1"], "lerning_rate"),
        ("train", ["game=Pong", "initial_q_deviation=0.1"], "say initial_q_std=0.1"),
        ("train", ["game=[1]"], "unknown game '[1]'"),
        ("train", ["resume=[1]"], "[1] is no run folder"),
        ("train", ["resume=A", "run_dir=B"], "run_dir=B: a run goes on in its own folder"),
        ("train", ["game=Pong", "rollout.gamma=0.5"], "rollout.gamma: there is no such setting under these words"),
        (
            "train",
            ["game=Pong", "logger=null", "samples_per_agent_step=0"],
            "step=0: needs a number above 0",
        ),
        ("evaluate", ["no such {place", "protocol=null"], "agent=no such {place: no agent there"),
        ("watch", ["runs/", "open=maybe"], "open=maybe: needs true or false"),
        ("train", ["game=Pong", "algorithm=dqm"], "dqn"),
        ("train", ["game=Pong", "preset=quik"], "quick"),
        ("train", ["game=Pong", "normalizer=weigt_norm"], "weight_norm"),
        ("evaluate", ["agent=/nowhere"], "no agent there"),
        ("evaluate", [], "agent is missing"),
        ("evaluate", [f"agent='{PONG}'", "num_threads=x"], "num_threads=x: needs auto or a whole number"),
        ("evaluate", [f"agent='{PONG}'", "num_env_threads=0"], "num_env_threads=0: needs auto or a whole number"),
        ("watch", ["agent=/nowhere"], "no agent there"),
    ],
)
def test_mistakes_end_in_one_line_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    command: str, words: list[str], message: str,
) -> None:  # fmt: skip
    """Of ``python -m``, in this process, which has PyTorch already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [command, *words])
    monkeypatch.delitem(sys.modules, f"wn_rl.{command}", raising=False)
    # runpy would keep code with the tests' checks in it as if it were the command's own, which then finds no checks
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"wn_rl.{command}", run_name="__main__", alter_sys=True)
    output, errors = capfd.readouterr()
    assert ended.value.code == 2
    assert errors.startswith("error: ")
    assert len(errors.splitlines()) == 1
    assert message in errors
    assert output == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("word", "message"), [("game=Braekout", "Breakout"), ("resume=/nowhere", "no run folder")])
def test_a_process_says_nothing_else_and_exits_with_2(tmp_path: Path, word: str, message: str) -> None:
    """Neither before PyTorch and Lightning are loaded nor after."""
    result = subprocess.run(
        [sys.executable, "-m", "wn_rl.train", word], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("buffering", ["", "1"])
def test_a_reader_who_has_enough_is_no_error(buffering: str) -> None:
    """As in ``python -m wn_rl.train --help | head -1``."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "wn_rl.train", "--help"]
    surroundings = {**os.environ, "PYTHONUNBUFFERED": buffering}
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, env=surroundings, timeout=60)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_an_unknown_game_is_told_before_pytorch_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['train', 'game=Braekout']\n"
        "from wn_rl.app.command_line import run_command\n"
        "from wn_rl.train import main\n"
        "try: run_command('train', main)\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    began = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "False"
    assert time.perf_counter() - began < 30


def test_help_shows_how_and_what(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "wn_rl.train", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0
    for word in (
        "python -m wn_rl.train game=Breakout",
        "resume=",
        "preset: btr, cartpole, dopamine, iqn, nature, pqn, pqn_lstm, pqn_quick, pqn_strong, quick, r2d2, rainbow,"
        " strong, wn_paper",
        "replay:",
    ):
        assert word in result.stdout


def test_a_logger_that_does_not_start_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, **settings: Any) -> None:
        raise ModuleNotFoundError("a package is missing;\n install it")

    monkeypatch.setattr("lightning.pytorch.loggers.CSVLogger.__init__", fail)
    config = OmegaConf.create({"logger": {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "x"}})
    with pytest.raises(ConfigurationError, match="logger cannot be made: a package is missing; install it; mend that"):
        build.make_logger(config, keep_until_agent_steps=None)

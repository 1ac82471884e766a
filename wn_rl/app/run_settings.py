"""What every run is told, whatever learns: the settings of configs/train.yaml that are not a learner's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wn_rl.acting.evaluator import MAX_EPISODES
from wn_rl.app.plugins import callback_entries, module_names
from wn_rl.envs.protocols import AnyProtocol, load_protocol
from wn_rl.errors import ConfigurationError, show_value
from wn_rl.networks.network_settings import NetworkSettings
from wn_rl.nn.normalizers import NORMALIZERS
from wn_rl.system.cpu import thread_count
from wn_rl.system.fields import (
    file_of_configs,
    limit,
    number,
    one_of,
    section,
    setting,
    share,
    switch,
    text,
    text_or_null,
    whole,
)


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """The section ``evaluation``."""

    episodes: int = setting(whole(0, MAX_EPISODES))
    epsilon: float = setting(share)
    num_envs: int = setting(whole(1, 4096))
    seed: int = setting(whole(0))


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """The section ``video``."""

    period_iterations: int = setting(whole(0))
    max_seconds: int = setting(whole(1))
    scale: int = setting(whole(1, 20))


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """The section ``checkpoint``."""

    keep_last: int = setting(whole(1))
    keep_best: int = setting(whole(0))


@dataclass(frozen=True, kw_only=True)
class WeightStatisticsSettings:
    """The section ``weight_statistics``."""

    period_agent_steps: int = setting(whole(0))
    num_states: int = setting(whole(1, 65_536))  # as initialization_batch_size
    dormant_threshold: float = setting(number(0))
    rank_threshold: float = setting(share)


@dataclass(frozen=True, kw_only=True)
class EnvironmentSettings:
    """The section ``env``."""

    name: str = setting(one_of(("atari", "gymnasium")))
    id: str | None = setting(text_or_null)
    kwargs: dict[str, Any] = setting(file_of_configs)


def _protocol(key: str, value: Any) -> AnyProtocol:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{key}={show_value(value)}: needs a file of configs/{key}, as in {key}=machado")
    return load_protocol({str(name): entry for name, entry in value.items()})


def _folder_word(key: str, value: Any) -> str:
    if "/" in text(key, value) or len(value) > 100 or not value.isprintable():
        raise ConfigurationError(
            f"{key}={show_value(value)}: needs a word without / of 100 letters at most; it names a folder"
        )
    return str(value)


def _logger(key: str, value: Any) -> Any:
    return value if value is None else file_of_configs(key, value)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The settings of a run that are none of its learner's."""

    algorithm: str = setting(text, before="dqn")
    preset: str | None = setting(text_or_null, before=None)  # these two are written when a run starts
    experiment: str | None = setting(text_or_null, before=None)
    game: str = setting(text)
    env: EnvironmentSettings = section(EnvironmentSettings, before={"name": "atari", "id": None, "kwargs": {}})
    protocol: AnyProtocol = setting(_protocol)
    normalizer: str = setting(one_of(NORMALIZERS))
    network: NetworkSettings = section(NetworkSettings)
    optimizer: dict[str, Any] = setting(file_of_configs)
    name: str = setting(_folder_word)
    initial_agent: str | None = setting(text_or_null, before=None)
    run_dir: str | None = setting(text_or_null)
    resume: str | None = setting(text_or_null)
    sweep: str | None = setting(text_or_null, before=None)
    plugins: tuple[str, ...] = setting(module_names, changeable=True, before=[])
    callbacks: tuple[dict[str, Any], ...] = setting(callback_entries, changeable=True, before=[])
    max_minutes: float | None = setting(limit, changeable=True, before=None)
    evaluation: EvaluationSettings = section(EvaluationSettings, changeable=True)
    video: VideoSettings = section(VideoSettings, changeable=True)
    checkpoint: CheckpointSettings = section(CheckpointSettings, changeable=True)
    weight_statistics: WeightStatisticsSettings = section(WeightStatisticsSettings, changeable=True)
    logger: dict[str, Any] | None = setting(_logger, changeable=True)
    accelerator: str = setting(one_of(("auto", "cpu", "gpu", "mps")))
    strategy: str = setting(one_of(("ddp",)), before="ddp")
    deterministic: bool = setting(switch, changeable=True)
    num_threads: int = setting(thread_count, changeable=True)
    num_env_threads: int = setting(thread_count, changeable=True)
    progress: bool = setting(switch, changeable=True)

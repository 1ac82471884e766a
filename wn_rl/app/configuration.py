"""A run's configuration: found by itself where it says auto, checked, written, and compared on resume."""

from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, OmegaConf

from wn_rl.app.configuration_checks import check_configuration
from wn_rl.envs.atari import FRAME_SHAPE
from wn_rl.envs.games import resolve_game
from wn_rl.errors import ConfigurationError
from wn_rl.nn.normalizers import AFFINE_NORMALIZERS
from wn_rl.replay.storage_choice import choose_storage
from wn_rl.runs.layout import CONFIG_FILE
from wn_rl.system.cpu import count_cores
from wn_rl.system.files import read_limited, write_whole

MAX_CONFIG_BYTES = 2**15
MAX_CONFIG_BRACKETS = 200  # PyYAML takes time that grows with the square of the depth

_MISSING = object()

CHANGEABLE_ON_RESUME = (
    "total_agent_steps", "logger", "video", "checkpoint", "weight_statistics", "progress", "num_threads",
    "num_env_threads", "minibatch_parts", "replay.storage", "deterministic", "compile",
)  # fmt: skip
"""What a resumed run may be told anew: its length, what is shown and kept, how many threads work, where the replay
lies, and by which of the ways that do the same an update is computed."""

ADDED_SETTINGS = {
    "algorithm": "dqn",
    "advantage_learning": 0.0, "exploration.max_repeats": 1, "network.center_pixels": False,
    "replay.sampler": "uniform", "replay.priority_exponent": 0.5, "replay.importance_exponent": 0.5,
}  # fmt: skip
"""What came after the first runs were saved, with what those did: runs of before go on with it."""


RENAMED_TARGETS = {"wn_rl.callbacks.tensorboard.RunTensorBoard": "wn_rl.viewing.tensorboard.RunTensorBoard"}
"""Classes that saved runs name, and where they are now."""


def resolve_configuration(config: DictConfig) -> DictConfig:
    """A copy without any ``auto``, with the game's canonical name, checked.

    Raises:
        ConfigurationError: a value or a combination that cannot work, in one line that says what to do.
    """
    resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=False))
    assert isinstance(resolved, DictConfig)
    if config.game is None:
        raise ConfigurationError("game is missing; name one, as in game=Breakout")
    resolved.game = resolve_game(config.game)
    resolved.accelerator = resolve_accelerator(config.accelerator)
    resolved.precision = _resolve_precision(str(config.precision), resolved.accelerator)
    if resolved.num_envs == "auto":
        resolved.num_envs = max(8, min(2 * count_cores(), 64))
    _resolve_threads(resolved)
    check_configuration(resolved)
    _resolve_storage(resolved)
    return resolved


def _resolve_threads(config: DictConfig) -> None:
    """Give the cores that nobody has asked for to the learner and the environments."""
    found = dict(zip(("num_threads", "num_env_threads"), share_cores(), strict=True))
    for key, value in {**found, "minibatch_parts": _choose_minibatch_parts(config)}.items():
        if config[key] == "auto":
            config[key] = value


def _choose_minibatch_parts(config: DictConfig) -> int:
    """Two where that is possible and there are cores for it: more have to add up more gradients."""
    is_possible = config.accelerator == "cpu" and not config.compile and config.normalizer in AFFINE_NORMALIZERS
    return 2 if is_possible and count_cores() > 1 else 1


def share_cores() -> tuple[int, int]:
    """Threads for the network and for the environments: half of the cores each, and at least one.

    A network's threads wait for each other hundreds of times in an update: where two of them share cores with anything
    else, or are two halves of one core, a run is two to three times as slow as with one (docs/performance.md).
    """
    num_network_threads = max(1, count_cores() // 2)
    return num_network_threads, max(1, count_cores() - num_network_threads)


def resolve_accelerator(accelerator: str) -> str:
    has_gpu = torch.cuda.is_available()
    if accelerator == "auto":
        return "gpu" if has_gpu else "cpu"
    if accelerator == "gpu" and not has_gpu:
        raise ConfigurationError("accelerator=gpu, but PyTorch sees no CUDA device; use accelerator=cpu")
    if accelerator not in ("cpu", "gpu"):
        raise ConfigurationError(f"accelerator={accelerator}: unknown; known: auto, cpu, gpu")
    return accelerator


def _resolve_precision(precision: str, accelerator: str) -> str:
    if precision == "auto":
        has_bfloat16 = _cpu_has_bfloat16() if accelerator == "cpu" else torch.cuda.is_bf16_supported(False)
        return "bf16-mixed" if has_bfloat16 else "32-true"
    if precision not in ("bf16-mixed", "32-true"):
        raise ConfigurationError(f"precision={precision}: unknown; known: auto, bf16-mixed, 32-true")
    return precision


def _resolve_storage(config: DictConfig) -> None:
    """Replace ``replay.storage=auto`` by what fits into the memory that is free now."""
    if config.replay.storage == "auto":
        device = torch.device("cuda" if config.accelerator == "gpu" else "cpu")
        config.replay.storage = choose_storage(num_rows=config.replay.capacity, frame_shape=FRAME_SHAPE, device=device)


def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself (AMX or AVX-512 BF16); emulation is slower than float32."""
    cpu_info = Path("/proc/cpuinfo")
    if not cpu_info.is_file():
        return False
    flags = cpu_info.read_text()
    return "amx_bf16" in flags or "avx512_bf16" in flags


def save_configuration(config: DictConfig, run_dir: Path) -> None:
    """Write ``config.yaml`` into the run folder, whole or not at all."""
    write_whole(run_dir / CONFIG_FILE, OmegaConf.to_yaml(config).encode())


def load_configuration(run_dir: Path) -> DictConfig:
    """The configuration that a run was started with.

    Raises:
        ConfigurationError: no such folder, or none that training wrote.
    """
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        raise ConfigurationError(f"{run_dir} is no run folder: it has no {CONFIG_FILE}; name one under runs/")
    try:
        text = read_limited(path, MAX_CONFIG_BYTES).decode()
        if text.count("[") + text.count("{") > MAX_CONFIG_BRACKETS:
            raise ValueError("it nests too deep for settings")
        if any(isinstance(token, yaml.AnchorToken | yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("it has references, which could unfold to more memory than there is")
        config = OmegaConf.create(text)
        OmegaConf.to_container(config, resolve=True)
    except Exception as error:  # whatever PyYAML and OmegaConf make of a damaged file, assertions included
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigurationError(f"{path} cannot be read: {reason}") from error
    if not isinstance(config, DictConfig):
        raise ConfigurationError(f"{path} cannot be read: it holds no settings")
    target = OmegaConf.select(config, "logger._target_")
    if target in RENAMED_TARGETS:
        config.logger._target_ = RENAMED_TARGETS[target]
    return config


def resume_configuration(given: DictConfig, overrides: list[str], run_dir: Path) -> DictConfig:
    """The saved configuration of a run, with what the command line changes where a change is allowed.

    Args:
        given: the configuration composed from the command line.
        overrides: the words of the command line, as ``key=value``.

    Raises:
        ConfigurationError: a setting differs that would make it another run; the message shows both values.
    """
    saved = load_configuration(run_dir)
    _complete(saved, given, run_dir)
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key in ("resume", "run_dir"):
            continue
        new, old = (_as_plain(OmegaConf.select(config, key)) for config in (given, saved))
        if key == "game":
            new = resolve_game(str(new))
        if key == "preset":  # a choice of settings, and none itself
            new = override.partition("=")[2]
        if new == old:
            continue
        if not {key, key.partition(".")[0]} & set(CHANGEABLE_ON_RESUME):
            raise ConfigurationError(
                f"{key} was {old} when this run began and cannot become {new} on resume;"
                f" leave it out, or start a new run (may change: {', '.join(CHANGEABLE_ON_RESUME)})"
            )
        OmegaConf.update(saved, key, new, merge=False)
    _resolve_threads(saved)
    check_configuration(saved)
    if resolve_game(str(saved.game)) != saved.game:
        raise ConfigurationError(f"{run_dir / CONFIG_FILE} says game={saved.game}: that is no game's name")
    resolve_accelerator(saved.accelerator)
    _resolve_precision(str(saved.precision), saved.accelerator)
    _resolve_storage(saved)
    return saved


def _complete(saved: DictConfig, given: DictConfig, run_dir: Path) -> None:
    """Make sure that a saved configuration has the settings of this version; take those that may change from it.

    Raises:
        ConfigurationError: another setting is missing: the file was cut or edited, or is another version's.
    """
    _add_missing(saved, {key: OmegaConf.select(given, key) for key in CHANGEABLE_ON_RESUME} | ADDED_SETTINGS)
    missing = _find_missing(OmegaConf.to_container(given, resolve=False), OmegaConf.to_container(saved, resolve=False))
    if missing is not None:
        raise ConfigurationError(f"{run_dir / CONFIG_FILE} lacks {missing}; put it back, or start a new run")


def select_fixed_settings(values: DictConfig | dict[str, Any]) -> dict[str, Any]:
    """The settings of a run that no resumption may change, as plain values."""
    resolved: Any = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    config = OmegaConf.create(dict(resolved))
    _add_missing(config, ADDED_SETTINGS)
    fixed: Any = OmegaConf.to_container(config)
    for key in (*CHANGEABLE_ON_RESUME, "run_dir", "resume"):
        group, _, name = key.rpartition(".")
        (fixed.get(group, {}) if group else fixed).pop(name, None)
    return dict(fixed)


def _add_missing(config: DictConfig, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if OmegaConf.select(config, key, default=_MISSING) is _MISSING:
            OmegaConf.update(config, key, value, force_add=True)


def _find_missing(given: Any, saved: Any, prefix: str = "") -> str | None:
    """A setting that ``saved`` lacks, if any; what an optimizer or a logger is told depends on which one it is."""
    for key, value in given.items():
        if not isinstance(saved, dict) or key not in saved:
            return f"{prefix}{key}"
        if isinstance(value, dict) and key not in ("optimizer", "logger"):
            missing = _find_missing(value, saved[key], f"{prefix}{key}.")
            if missing is not None:
                return missing
    return None


def _as_plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=False) if OmegaConf.is_config(value) else value

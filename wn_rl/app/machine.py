"""What is found by itself where a configuration says ``auto``: device, precision, threads, environments."""

import os
from collections.abc import Collection
from pathlib import Path

import torch
from omegaconf import DictConfig

from wn_rl.errors import ConfigurationError, show_value
from wn_rl.nn.normalizers import PER_EXAMPLE_NORMALIZERS
from wn_rl.system.cpu import count_cores
from wn_rl.types import ObservationSpec


def share_cores() -> tuple[int, int]:
    """Threads for the network and for the environments: half of the cores each, and at least one.

    A network's threads wait for each other hundreds of times in an update: where two of them share cores with anything
    else, or are two halves of one core, a run is two to three times as slow as with one (docs/performance.md).
    """
    num_network_threads = max(1, count_cores() // 2)
    return num_network_threads, max(1, count_cores() - num_network_threads)


def resolve_threads(config: DictConfig, *, learns_while_playing: bool) -> None:
    """Give the cores that nobody has asked for to the learner and the environments.

    Environments have all of them where the learner waits meanwhile.
    """
    num_threads, num_env_threads = share_cores()
    found = {
        "num_threads": num_threads, "num_env_threads": num_env_threads if learns_while_playing else count_cores(),
        "minibatch_parts": _choose_minibatch_parts(config),
    }  # fmt: skip
    for key, value in found.items():
        if config[key] == "auto":
            config[key] = value


def fit_threads(config: DictConfig, *, typed: Collection[str]) -> None:
    """Lower what a saved run had on a machine of more cores, and say so; what the user types is left to be refused."""
    num_cores = os.cpu_count() or 1
    for key in ("num_threads", "num_env_threads", "minibatch_parts"):
        if key not in typed and type(config[key]) is int and config[key] > num_cores:
            print(f"{key}={show_value(config[key])} is lowered to {num_cores}, the cores of this machine")
            config[key] = num_cores


def _choose_minibatch_parts(config: DictConfig) -> int:
    """Two where that is possible and there are cores for it: more have to add up more gradients."""
    is_possible = config.accelerator == "cpu" and not config.compile and config.normalizer in PER_EXAMPLE_NORMALIZERS
    network = config.network
    is_possible &= not isinstance(network, DictConfig) or network.get("memory") is None  # what is no section is refused
    return 2 if is_possible and count_cores() > 1 else 1


def choose_num_envs() -> int:
    """Environments that step together: two for each core, from 8 to 64."""
    return max(8, min(2 * count_cores(), 64))


DEVICES = {"cpu": "cpu", "gpu": "cuda", "mps": "mps"}
"""PyTorch's names of the accelerators; ``mps`` is Apple's GPU, on which nobody has run this yet."""


def make_device(accelerator: str) -> torch.device:
    """The device of an accelerator that ``resolve_accelerator`` has returned."""
    return torch.device(DEVICES[accelerator])


def resolve_accelerator(accelerator: str) -> str:
    """``auto`` is the GPU where CUDA has one; Apple's is taken where it is asked for.

    Raises:
        ConfigurationError: there is no such accelerator here, or none of that name.
    """
    has_gpu = torch.cuda.is_available()
    if accelerator == "auto":
        return "gpu" if has_gpu else "cpu"
    if accelerator not in DEVICES:
        raise ConfigurationError(f"accelerator={accelerator}: unknown; known: auto, {', '.join(DEVICES)}")
    if accelerator == "gpu" and not has_gpu:
        raise ConfigurationError("accelerator=gpu, but PyTorch sees no CUDA device; use accelerator=cpu")
    if accelerator == "mps" and not torch.backends.mps.is_available():
        raise ConfigurationError("accelerator=mps, but PyTorch sees no GPU of Apple's; use accelerator=cpu")
    return accelerator


def resolve_precision(precision: str, accelerator: str, observation: ObservationSpec) -> str:
    """``auto`` is bf16 where the hardware computes in it, for images: 8 bits of a number of a vector are too few.

    Raises:
        ConfigurationError: mixed precision on Apple's GPU, which Lightning would take for CUDA's.
    """
    if accelerator == "mps" and precision not in ("auto", "32-true"):
        raise ConfigurationError(f"accelerator=mps computes in float32 here; say precision=32-true, not {precision}")
    if precision != "auto":
        return precision
    if accelerator == "mps" or not observation.is_image:
        return "32-true"
    has_bfloat16 = _cpu_has_bfloat16() if accelerator == "cpu" else torch.cuda.is_bf16_supported(False)
    return "bf16-mixed" if has_bfloat16 else "32-true"


def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself (AMX or AVX-512 BF16); emulation is slower than float32."""
    cpu_info = Path("/proc/cpuinfo")
    if not cpu_info.is_file():
        return False
    flags = cpu_info.read_text()
    return "amx_bf16" in flags or "avx512_bf16" in flags

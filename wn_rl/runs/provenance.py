"""Where a result comes from: versions, hardware and commit, as plain values."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = (
    "wn_rl",
    "torch",
    "lightning",
    "ale-py",
    "gymnasium",
    "numpy",
    "opencv-python-headless",
    "safetensors",
)


def describe_provenance() -> dict[str, Any]:
    """Versions of what computes, the processor and GPU that computed, and the commit of a working copy."""
    return {
        "versions": {"python": platform.python_version(), **_find_versions()},
        "hardware": {
            "processor": _find_processor(),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "system": f"{platform.system()} {platform.machine()}",
        },
        "commit": _find_commit(),
    }


def _find_versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a working copy that was never installed
            versions[package] = "not installed"
    return versions


def _find_processor() -> str:
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.is_file():
        for line in cpu_info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


@cache  # what was imported is what runs, whatever is committed meanwhile
def _find_commit() -> str | None:
    """The commit of the working copy that this file lies in; None for an installed package."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None

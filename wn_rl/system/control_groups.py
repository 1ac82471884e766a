"""The control groups (cgroups) of this process, by which a container or a cluster limits what it may use."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class ControlGroup(NamedTuple):
    """The folder of one group, and the version (1 or 2) of the files in it."""

    folder: Path
    version: int


def list_control_groups(controller: str, *, root: Path = Path("/")) -> Iterator[ControlGroup]:
    """The groups of a controller (``memory``, ``cpu``), innermost first up to the root of each hierarchy.

    ``root`` is where /proc and /sys lie.
    """
    for line in read_text(root / "proc/self/cgroup").splitlines():
        fields = line.split(":", 2)  # "0::/user.slice" (v2) or "5:memory:/docker/ab12" (v1)
        if len(fields) != 3:
            continue
        _, controllers, group = fields
        if controllers == "":
            mount, version = root / "sys/fs/cgroup", 2
        elif controller in controllers.split(","):
            mount, version = root / "sys/fs/cgroup" / controller, 1
        else:
            continue
        # Inside a container the path may be the host's and not exist here; the mount's own root then binds.
        folder = mount / group.lstrip("/")
        while folder != mount.parent:
            yield ControlGroup(folder, version)
            folder = folder.parent


def read_text(path: Path) -> str:
    """The file's text, empty where there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""

"""Original files from where they are published, known by their checksums."""

import hashlib
import http.client
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from wn_rl.errors import ConfigurationError
from wn_rl.system.files import write_whole

SECONDS = 20
"""After which a mirror that says nothing is left."""


class Published(NamedTuple):
    """A file: its name, its MD5 as it is widely known, and its bytes."""

    name: str
    md5: str
    num_bytes: int


def download(files: Sequence[Published], mirrors: Sequence[str], folder: Path) -> None:
    """Write the files into a folder, each whole or not at all; one that is there already is left.

    Args:
        files: what to fetch.
        mirrors: addresses that end in /, tried in their order.
        folder: is made where it is not there.

    Raises:
        ConfigurationError: a file cannot be had from any of them, or is not the one that is known.
    """
    for file in files:
        if not (folder / file.name).exists():
            print(f"fetching {file.name}, {file.num_bytes / 1e6:.0f} MB", flush=True)
            content = _fetch(file, mirrors)
            folder.mkdir(parents=True, exist_ok=True)  # not before there is something to keep
            write_whole(folder / file.name, content)


def _fetch(file: Published, mirrors: Sequence[str]) -> bytes:
    reasons = []
    for mirror in mirrors:
        try:
            with urlopen(mirror + file.name, timeout=SECONDS) as answer:
                content = answer.read(file.num_bytes + 1)
        except (URLError, OSError, http.client.HTTPException, ValueError) as error:
            reasons.append(f"{mirror}: {getattr(error, 'reason', error)}")
            continue
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == file.md5:
            return content
        reasons.append(f"{mirror}: another file, by its checksum")
    raise ConfigurationError(f"{file.name} cannot be had ({'; '.join(reasons)})")

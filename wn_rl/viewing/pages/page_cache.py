"""What a server answers with: each page made anew when a file has changed, and not before."""

import gzip
import hashlib
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

from wn_rl.viewing.pages.gallery import find_run_folders, render_gallery
from wn_rl.viewing.pages.run_page import render_run_page
from wn_rl.viewing.pages.run_reader import identify, is_run_folder

MAX_PAGES = 16
"""That are kept: of a gallery and of the runs that somebody looks at."""
COMPRESSION = 4
"""Of gzip, which at 9 takes four times as long for a twentieth less."""


class ServedPage(NamedTuple):
    """A page in bytes, plain and compressed, and the tag by which a browser asks whether it is still the same."""

    plain: bytes
    compressed: bytes
    tag: str


class PageCache:
    """The pages of a run or of many, for several requests at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # so that two who ask for the same page do not both make it
        self._pages: OrderedDict[Path, tuple[Any, ServedPage]] = OrderedDict()

    def get(self, folder: Path) -> ServedPage:
        """The page of a run folder, or the gallery of the runs below."""
        with self._lock:
            is_run = is_run_folder(folder)
            state = [(path, identify(path)) for path in ([folder] if is_run else find_run_folders(folder))]
            kept = self._pages.pop(folder, None)
            if kept is None or kept[0] != state:
                kept = (
                    state,
                    _make_page(render_run_page(folder, live=True) if is_run else render_gallery(folder, live=True)),
                )
            self._pages[folder] = kept
            while len(self._pages) > MAX_PAGES:
                self._pages.popitem(last=False)
            return kept[1]


def _make_page(text: str) -> ServedPage:
    plain = text.encode("utf-8", "replace")
    return ServedPage(plain, gzip.compress(plain, COMPRESSION, mtime=0), hashlib.sha256(plain).hexdigest()[:32])

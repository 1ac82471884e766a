"""What ``wn_rl.watch run=...`` does: pages of one run or of many, in their folders, in a browser, or served."""

import os
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig
from rich.progress import SpinnerColumn, TextColumn

from wn_rl.errors import ConfigurationError, show_text
from wn_rl.runs.folder import check_links
from wn_rl.runs.layout import EPISODES_FOLDER
from wn_rl.system.fields import switch, text
from wn_rl.system.terminals import make_progress_bar
from wn_rl.viewing.pages.gallery import find_linked_folders, write_gallery
from wn_rl.viewing.pages.run_page import write_run_page
from wn_rl.viewing.pages.run_reader import is_run_folder, read_run_folder
from wn_rl.viewing.pages.server import LOCAL_HOSTS, make_page_server
from wn_rl.viewing.sweep_table import is_sweep_folder, print_sweep, read_sweep

DEFAULT_MAX_SECONDS = 60
"""Of game time in a video, where the run's settings are lost."""

BROWSER_SECONDS = 2.0
"""After which a browser that has not given up is taken to show the page."""


def show_pages(config: DictConfig) -> Path:
    """Write the page of a run folder, or the gallery of a folder of runs; open and serve it where asked to.

    What came of the runs of a sweep is printed, too.

    Returns:
        the page; after Ctrl-C where it is served.

    Raises:
        ConfigurationError: there is no run, a page cannot be written, or the port is taken.
    """
    folder = Path(str(config.run))
    if not folder.is_dir():
        raise ConfigurationError(f"run={folder}: no such folder; name a run folder, or a folder of runs such as runs/")
    is_run = is_run_folder(folder)
    if is_run and config.record:
        _record_missing_videos(folder, scale=config.scale)
    for link in [] if is_run else find_linked_folders(folder):
        print(show_text(f"warning: {link} is a link, which no gallery follows; move the run here"), file=sys.stderr)
    page = write_run_page(folder) if is_run else _write_gallery(folder, with_pages=switch("pages", config.pages))
    if not is_run and is_sweep_folder(folder):
        print_sweep(folder, read_sweep(folder))
    if config.serve:
        _serve(folder, host=text("host", config.host), port=config.port, opens=config.open)
    elif config.open:
        _open_or_tell(page.resolve().as_uri())
    return page


def _write_gallery(folder: Path, *, with_pages: bool) -> Path:
    """The gallery, and where asked for the page of each run; says how far it has come, and then what was found."""
    with make_progress_bar(SpinnerColumn(), TextColumn("{task.description}", markup=False), transient=True) as progress:
        task = progress.add_task("", total=None)
        page, num_runs, num_without_page = write_gallery(
            folder, with_pages=with_pages, tell=lambda text: progress.update(task, description=text)
        )
    hint = (
        f"; {num_without_page:,} of them without a page of their own: pages=true writes it" if num_without_page else ""
    )
    print(f"{folder}: {num_runs:,} run{'' if num_runs == 1 else 's'}{hint}", file=sys.stderr)
    return page


def open_in_browser(address: str) -> bool:
    """Ask the user's browser for a page; False where there is none, or where what stands for one gives up.

    Browsers and ``xdg-open`` write pages of their own troubles to the terminal: those are dropped.
    """
    with _without_stderr():
        is_open = webbrowser.open(address)
    return is_open and not _has_child_failed(BROWSER_SECONDS)


def _open_or_tell(address: str) -> None:
    if not open_in_browser(address):
        print(f"no browser could be started on this machine; open {address} yourself", file=sys.stderr)


@contextmanager
def _without_stderr() -> Iterator[None]:
    """For this process and what it starts meanwhile."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _has_child_failed(seconds: float) -> bool:
    """Whether a process that was started and left alone ends badly within that time: ``xdg-open`` where it finds none.

    ``webbrowser`` tells of a program that was started, not of what came of it.
    """
    if sys.platform == "win32":
        return False
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False  # it was waited for
        if process:
            return status != 0
        time.sleep(0.05)
    return False


def _record_missing_videos(folder: Path, *, scale: int) -> None:
    """Videos of stored evaluation games; a page without them is better than none."""
    if not any((folder / EPISODES_FOLDER).glob("[0-9]*")):
        return
    from wn_rl.viewing.evaluation_videos import record_missing_videos

    max_seconds = read_run_folder(folder).settings.get("video.max_seconds")
    if not isinstance(max_seconds, int) or max_seconds < 1:
        max_seconds = DEFAULT_MAX_SECONDS
    try:
        check_links(folder, "no video is written")
        with make_progress_bar(SpinnerColumn(), TextColumn("{task.description}"), transient=True) as progress:
            task = progress.add_task("looking for games without a video", total=None)
            record_missing_videos(
                folder, max_seconds=max_seconds, scale=scale,
                on_game=lambda done, total: progress.update(
                    task, description=f"encoding game {done + 1} of {total}"
                ),
            )  # fmt: skip
    except ConfigurationError as error:
        print(f"videos are missing: {error}", file=sys.stderr)


def _serve(folder: Path, *, host: str, port: int, opens: bool) -> None:
    """Serve until Ctrl-C."""
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigurationError(f"port={port}: needs a whole number from 0 to 65535; 0 takes a free one")
    server, address = make_page_server(folder, host, port)
    if host not in LOCAL_HOSTS:
        print(
            f"warning: host={host}: whoever learns the address sees the runs, from other machines too", file=sys.stderr
        )
    print(f"{address} shows {folder} and refreshes itself; Ctrl-C ends it", flush=True)
    if opens:  # beside the server: a browser in the terminal holds up who has started it
        threading.Thread(target=_open_or_tell, args=(address,), daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()

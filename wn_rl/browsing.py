"""What ``wn_rl.watch run=...`` does: pages of one run or of many, in their folders, in a browser, or served."""

import sys
import webbrowser
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from wn_rl.errors import ConfigurationError
from wn_rl.pages.gallery import write_gallery
from wn_rl.pages.run_folder import is_run_folder, read_run_folder
from wn_rl.pages.run_page import write_run_page
from wn_rl.pages.server import HOST, make_page_server

DEFAULT_MAX_SECONDS = 60
"""Of game time in a video, where the run's settings are lost."""


def show_pages(config: DictConfig) -> Path:
    """Write the page of a run folder, or the gallery of a folder of runs; open and serve it where asked to.

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
    page = write_run_page(folder) if is_run else write_gallery(folder)
    if config.serve:
        _serve(folder, port=config.port, opens=config.open)
    elif config.open and not webbrowser.open(page.resolve().as_uri()):
        print("no browser was found on this machine; open the file yourself", file=sys.stderr)
    return page


def _record_missing_videos(folder: Path, *, scale: int) -> None:
    """Videos of stored evaluation games; a page without them is better than none."""
    if not any((folder / "episodes").glob("[0-9]*")):
        return
    from wn_rl.acting.evaluation_videos import record_missing_videos

    max_seconds = read_run_folder(folder).settings.get("video.max_seconds")
    if not isinstance(max_seconds, int) or max_seconds < 1:
        max_seconds = DEFAULT_MAX_SECONDS
    console = Console(stderr=True)
    try:
        with console.status("looking for games without a video") as status:
            record_missing_videos(
                folder, max_seconds=max_seconds, scale=scale,
                on_game=lambda done, total: status.update(f"encoding game {done + 1} of {total}"),
            )  # fmt: skip
    except ConfigurationError as error:
        print(f"videos are missing: {error}", file=sys.stderr)


def _serve(folder: Path, *, port: int, opens: bool) -> None:
    """Serve until Ctrl-C."""
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigurationError(f"port={port}: needs a whole number from 0 to 65535; 0 takes a free one")
    server = make_page_server(folder, port)
    address = f"http://{HOST}:{server.server_port}/"
    print(f"{address} shows {folder} and refreshes itself; Ctrl-C ends it", flush=True)
    if opens:
        webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()

"""Pages while a run goes on: made anew from its files on every request, served to this machine alone."""

import contextlib
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.security import safe_join
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.utils import redirect, send_file
from werkzeug.wrappers import Request, Response

from wn_rl.errors import ConfigurationError
from wn_rl.runs.layout import PAGE_FILE
from wn_rl.viewing.pages.gallery import render_gallery
from wn_rl.viewing.pages.run_page import render_run_page
from wn_rl.viewing.pages.run_reader import is_run_folder

HOST = "127.0.0.1"
SERVED = (".mp4", ".png")
"""Besides pages; no checkpoint and no replay."""


def make_page_server(folder: Path, port: int) -> BaseWSGIServer:
    """A server of the pages of ``folder`` (a run, or many) on 127.0.0.1; port 0 takes a free one.

    Raises:
        ConfigurationError: the port is taken.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # werkzeug says the same in three lines of its own
            return make_server(HOST, port, PageApplication(folder), threaded=True, request_handler=_QuietHandler)
    except (OSError, SystemExit) as error:
        raise ConfigurationError(f"port={port} is taken on {HOST}; name another, or port=0 for a free one") from error


class PageApplication:
    """Answers requests: pages for folders, videos in the parts that a browser asks for, nothing else.

    Requests under another host's name are refused, so that no web page elsewhere can read through a browser.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        request.trusted_hosts = [HOST, "localhost"]
        try:
            _ = request.host  # raises for any other
            return self._answer(request)(environ, start_response)
        except HTTPException as error:
            return error(environ, start_response)

    def _answer(self, request: Request) -> Response:
        joined = safe_join(str(self._folder), request.path.strip("/"))
        if joined is None:
            raise NotFound
        path = Path(joined)
        if path.name == PAGE_FILE:
            path = path.parent
        if path.is_dir():
            if not request.path.endswith(("/", PAGE_FILE)):
                return redirect(f"./{quote(path.name)}/")  # what the page names lies below it
            return self._send_page(path)
        if path.suffix not in SERVED or not path.is_file():
            raise NotFound
        return send_file(path, request.environ, conditional=True)

    def _send_page(self, folder: Path) -> Response:
        if is_run_folder(folder):
            page = render_run_page(folder, live=True)
        elif folder == self._folder:
            page = render_gallery(folder, live=True)
        else:
            raise NotFound
        response = Response(page, mimetype="text/html")
        response.headers["Cache-Control"] = "no-store"
        return response


class _QuietHandler(WSGIRequestHandler):
    """A page that refreshes itself would fill the terminal."""

    def log(self, type: str, message: str, *args: object) -> None:
        pass

"""Pages while a run goes on: made anew when its files change, served to who has the address."""

import contextlib
import hmac
import io
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.security import safe_join
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.utils import redirect, send_file
from werkzeug.wrappers import Request, Response

from wn_rl.errors import ConfigurationError
from wn_rl.runs.layout import PAGE_FILE
from wn_rl.viewing.pages.page_cache import PageCache
from wn_rl.viewing.pages.run_reader import is_run_folder

LOCAL_HOSTS = ["127.0.0.1", "localhost"]
SERVED = (".mp4", ".png")
"""Besides pages; no checkpoint and no replay."""


def make_page_server(folder: Path, host: str, port: int) -> tuple[BaseWSGIServer, str]:
    """A server of the pages of ``folder`` (a run, or many) and its address; port 0 takes a free one.

    The address holds a secret, as Jupyter's does: on a machine of several users anybody can ask.

    Raises:
        ConfigurationError: the port is taken, or this machine has no such host.
    """
    secret = secrets.token_urlsafe(16)
    application = PageApplication(folder, secret, trusted_hosts=LOCAL_HOSTS if host in LOCAL_HOSTS else None)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # werkzeug says the same in three lines of its own
            server = make_server(host, port, application, threaded=True, request_handler=_QuietHandler)
    except (OSError, SystemExit) as error:
        raise ConfigurationError(
            f"port={port} is taken on host={host}, or there is no such host; name others, or port=0 for a free one"
        ) from error
    name = f"[{host}]" if ":" in host else host
    return server, f"http://{name}:{server.server_port}/{secret}/"


class PageApplication:
    """Answers requests: pages for folders, videos in the parts that a browser asks for, nothing else.

    Args:
        folder: what is served; nothing that lies elsewhere, and is linked here, is.
        secret: with which every path begins.
        trusted_hosts: requests under another host's name are refused, so that no web page elsewhere can read through
            a browser; None: the secret alone keeps them out.
    """

    def __init__(self, folder: Path, secret: str, *, trusted_hosts: list[str] | None) -> None:
        self._folder, self._secret, self._trusted_hosts = folder.resolve(), secret, trusted_hosts
        self._pages = PageCache()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        request.trusted_hosts = self._trusted_hosts
        try:
            _ = request.host  # raises for any other
            if request.method not in ("GET", "HEAD"):
                raise MethodNotAllowed(["GET", "HEAD"])
            return self._answer(request)(environ, start_response)
        except HTTPException as error:
            return error(environ, start_response)

    def _answer(self, request: Request) -> Response:
        path = self._find(request.path)
        if path.is_dir():
            if not request.path.endswith(("/", PAGE_FILE)):
                return redirect(f"./{quote(request.path.rpartition('/')[2])}/")  # what the page names lies below it
            return self._send_page(path, request)
        if path.suffix not in SERVED or not path.is_file():
            raise NotFound
        return send_file(path, request.environ, conditional=True)

    def _find(self, asked: str) -> Path:
        """What is asked for, wherever links lead; NotFound where that is not ours to show."""
        secret, _, rest = asked.removeprefix("/").partition("/")
        joined = safe_join(str(self._folder), rest.strip("/"))
        if joined is None or not hmac.compare_digest(secret.encode(), self._secret.encode()):
            raise NotFound
        path = Path(joined)
        if path.name == PAGE_FILE:
            path = path.parent
        try:
            is_ours = path.resolve(strict=True).is_relative_to(self._folder)
        except (OSError, RuntimeError, ValueError):  # it is not there, is too long, or is a circle of links
            is_ours = False
        if not is_ours:
            raise NotFound
        return path

    def _send_page(self, folder: Path, request: Request) -> Response:
        if not is_run_folder(folder) and folder != self._folder:
            raise NotFound
        try:
            page = self._pages.get(folder)
        except ConfigurationError as error:  # its last run was moved away
            raise NotFound from error
        is_compressed = request.accept_encodings.quality("gzip") > 0
        response = Response(page.compressed if is_compressed else page.plain, mimetype="text/html")
        if is_compressed:
            response.content_encoding = "gzip"
        response.vary.add("Accept-Encoding")
        response.headers["Cache-Control"] = "private, no-cache"  # kept by the browser alone, which asks each time
        response.set_etag(page.tag, weak=True)  # one for both encodings
        return response.make_conditional(request)


class _QuietHandler(WSGIRequestHandler):
    """A page that refreshes itself would fill the terminal."""

    def log(self, type: str, message: str, *args: object) -> None:
        pass

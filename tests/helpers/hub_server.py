"""As much of the Hugging Face Hub as its own client asks for when a repository is written and read."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

SHA = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories by name, each with its files by name; what was asked for."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.asked: list[str] = []
        self.sizes: dict[str, int] = {}
        self.address = ""


@contextmanager
def serve_hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = self.begin()
            if parts == ["api", "repos", "create"]:
                told = json.loads(body)
                name = f"{told['organization']}/{told['name']}"
                hub.repositories.setdefault(name, {})
                hub.private |= {name} if told.get("private") or told.get("visibility") == "private" else set()
                self.answer({"url": f"{hub.address}/{name}", "name": name, "id": name})
            elif parts == ["api", "validate-yaml"]:
                self.answer({"errors": [], "warnings": []})
            elif parts[4:5] == ["preupload"]:
                paths = [entry["path"] for entry in json.loads(body)["files"]]
                modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]
                self.answer({"files": modes, "commitOid": SHA})
            else:
                name = "/".join(parts[2:4])
                files = hub.repositories[name]
                for line in body.splitlines():
                    entry = json.loads(line)
                    if entry["key"] == "file":
                        files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                self.answer(
                    {
                        "commitUrl": f"{hub.address}/{name}/commit/{SHA}",
                        "commitOid": SHA,
                        "success": True,
                    }
                )

        def do_GET(self) -> None:
            parts = self.begin()
            is_info = parts[:2] == ["api", "models"]
            name = "/".join(parts[2:4] if is_info else parts[:2])
            files = hub.repositories.get(name)
            if files is None:
                self.answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            elif is_info:
                siblings = [
                    {"rfilename": path, "size": hub.sizes.get(path, len(content)), "blobId": "0"}
                    for path, content in files.items()
                ]
                self.answer({"id": name, "sha": SHA, "siblings": siblings, "tags": [], "private": False})
            else:
                self.send("/".join(parts[4:]), files)

        do_HEAD = do_GET  # noqa: N815

        def begin(self) -> list[str]:
            hub.asked.append(f"{self.command} {self.path}")
            return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

        def send(self, path: str, files: dict[str, bytes]) -> None:
            content = files[path]
            digest = hashlib.sha256(content).hexdigest()
            self.write(content, 200, {"ETag": f'"{digest}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"})

        def answer(self, thing: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
            self.write(json.dumps(thing).encode(), status, {"Content-Type": "application/json", **(headers or {})})

        def write(self, content: bytes, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

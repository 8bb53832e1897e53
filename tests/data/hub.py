"""A Hugging Face hub on loopback: one repository with real weights, and every way in which a hub can fail."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40
BLOCK = 1 << 15


class Hub:
    """Serves ``content`` as the weights of ``repository``. Its attributes can be changed while it runs.

    ``pause`` is slept after each block; ``cut`` bytes are sent, then the connection breaks; ``damaged`` sends other
    bytes than it promises, ``surplus`` so many bytes more; ``status`` and ``code`` are an answer to everything;
    ``ranges`` says whether it knows them.
    """

    def __init__(self, repository: str, content: bytes) -> None:
        self.repository, self.content = repository, content
        self.pause = 0.0
        self.cut = 0
        self.damaged = False
        self.surplus = 0
        self.ranges = True
        self.status, self.code = 200, ""
        self.asked: list[tuple[str, str, str]] = []
        self.sent = 0

    @property
    def etag(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        hub = self.hub
        hub.asked.append((self.command, self.path, self.headers.get("Range", "")))
        if hub.status != 200:
            self._head(hub.status, 0, {"X-Error-Code": hub.code} if hub.code else {})
        elif self.path.startswith(f"/api/models/{hub.repository}"):
            body = json.dumps({"id": hub.repository, "sha": COMMIT, "siblings": [{"rfilename": "model.safetensors"}]})
            self._head(200, len(body), {"Content-Type": "application/json"})
            self.wfile.write(body.encode())
        elif not self.path.startswith(f"/{hub.repository}/resolve/"):
            self._head(404, 0, {"X-Error-Code": "RepoNotFound"})
        elif not self.path.endswith("/model.safetensors"):
            self._head(404, 0, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            self._file(with_body)

    def _file(self, with_body: bool) -> None:
        hub, wanted = self.hub, self.headers.get("Range", "")
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and hub.ranges else 0
        body = hub.content[first:] + bytes(hub.surplus if with_body else 0)
        extra = {"Content-Range": f"bytes {first}-{len(hub.content) - 1}/{len(hub.content)}"} if first else {}
        self._head(206 if first else 200, len(body), {"ETag": f'"{hub.etag}"', "X-Repo-Commit": COMMIT, **extra})
        if with_body:
            self._send(bytes(255 - b for b in body) if hub.damaged else body)

    def _send(self, body: bytes) -> None:
        for start in range(0, len(body), BLOCK):
            if self.hub.cut and self.hub.sent >= self.hub.cut:
                self.close_connection = True
                return
            block = body[start : start + BLOCK]
            try:
                self.wfile.write(block)
                self.wfile.flush()
            except OSError:  # the other side has gone
                self.close_connection = True
                return
            self.hub.sent += len(block)
            time.sleep(self.hub.pause)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def serve(hub: Hub) -> Iterator[str]:
    """Run the hub; yield its address."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

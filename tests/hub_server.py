"""A hub for tests: real HTTP on loopback, the part of the protocol that `huggingface_hub` uses, and faults on demand.

Small files are kept in git (their ETag is git's SHA-1), safetensors in LFS: a redirect with `X-Linked-*` leads to them.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Faults:
    """What goes wrong."""

    break_after: dict[str, list[int]] = field(default_factory=dict)
    """File -> after how many bytes each of its next answers ends."""
    status: dict[str, list[int]] = field(default_factory=dict)
    """`api`, or a file -> the status of each of its next answers."""
    listed: list[str] = field(default_factory=list)
    """Names that are listed besides the files that there are."""
    longer: dict[str, int] = field(default_factory=dict)
    """File -> so many bytes more arrive than were announced."""
    sizes: dict[str, int] = field(default_factory=dict)
    """File -> the size that is announced."""
    changed: set[str] = field(default_factory=set)
    """Files whose last byte arrives as another one."""
    sha: str | None = None
    """The commit that is told in the place of the one that was asked for."""
    no_ranges: bool = False
    garbage: bool = False
    """Whether a page for people is told in the place of the listing, as a proxy would."""


class HubServer:
    """Serves the folders `<root>/<owner>/<name>` as models with one commit."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults = Faults()
        self.asked: Counter[str] = Counter()
        """`GET config.json` -> how often."""
        self.sent: Counter[str] = Counter()
        """File -> bytes of its content that went out."""
        self.agents: set[str] = set()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        hub = self

        class Handler(_Handler):
            server_of = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Handler(BaseHTTPRequestHandler):
    server_of: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Silent."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub = self.server_of
        hub.agents.add(self.headers.get("User-Agent", "").partition("/")[0])
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._list(parts[2:])
        elif parts[0] == "cdn":
            self._send(hub.root.joinpath(*parts[1:]), body)
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._resolve(parts, body)
        else:
            self._refuse(404, "RepoNotFound")

    def _list(self, parts: list[str]) -> None:
        hub = self.server_of
        hub.asked["api"] += 1
        if self._fault("api"):
            return
        folder = hub.root.joinpath(*parts[:2])
        if hub.faults.garbage:
            self._json(200, {}, content=b"<html>sign in</html>")
        elif not folder.is_dir():
            self._refuse(401, "RepoNotFound")
        elif parts[2:] != ["revision", COMMIT]:
            self._refuse(404, "RevisionNotFound")
        else:
            names = [path.name for path in sorted(folder.iterdir())] + hub.faults.listed
            told = {
                "id": "/".join(parts[:2]),
                "sha": hub.faults.sha or COMMIT,
                "siblings": [{"rfilename": name} for name in names],
            }
            self._json(200, told)

    def _resolve(self, parts: list[str], body: bool) -> None:
        hub = self.server_of
        owner, name, _, revision, file = parts
        path = hub.root / owner / name / file
        hub.asked[f"{self.command} {file}"] += 1
        if self._fault(file):
            return
        if revision != COMMIT or not path.is_file():
            self._refuse(404, "EntryNotFound")
        elif file.endswith(".safetensors"):
            self.send_response(302)
            self.send_header("Location", f"/cdn/{owner}/{name}/{file}")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Size", str(hub.faults.sizes.get(file, path.stat().st_size)))
            self.send_header("X-Linked-ETag", f'"{hashlib.sha256(path.read_bytes()).hexdigest()}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(path, body)

    def _send(self, path: Path, body: bool) -> None:
        hub, content = self.server_of, path.read_bytes()
        etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        size = hub.faults.sizes.get(path.name, len(content))
        if path.name in hub.faults.changed:
            content = content[:-1] + bytes([content[-1] ^ 1])
        content += b"x" * hub.faults.longer.get(path.name, 0)
        begin, ranges = 0, self.headers.get("Range")
        if ranges and not hub.faults.no_ranges:
            begin = int(ranges.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if begin else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", COMMIT)
        announced = len(content) if body else size
        self.send_header("Content-Length", str(announced - begin))
        self.end_headers()
        if not body:
            return
        breaks = hub.faults.break_after.get(path.name)
        end = begin + breaks.pop(0) if breaks else len(content)
        hub.sent[path.name] += len(content[begin:end])
        self.wfile.write(content[begin:end])
        self.wfile.flush()
        if end < len(content):
            self.close_connection = True

    def _fault(self, what: str) -> bool:
        statuses = self.server_of.faults.status.get(what)
        if statuses:
            self._refuse(statuses.pop(0), None)
        return bool(statuses is not None and self.close_connection)

    def _refuse(self, status: int, code: str | None) -> None:
        self.close_connection = True
        self._json(status, {"error": "refused"}, {} if code is None else {"X-Error-Code": code})

    def _json(
        self, status: int, told: dict[str, Any], headers: dict[str, str] | None = None, content: bytes | None = None
    ) -> None:
        content = json.dumps(told).encode() if content is None else content
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

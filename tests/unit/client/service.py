"""A small service over real HTTP that keeps the contract, and breaks it on request: the client's tests run against it.

`replies` are handed out first, one per matching request; then the contract's own answers. `cuts` says after how many
bytes each connection of the event stream is cut off (`None`: not at all).
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

JOB_ID = "job_01"


def job(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    """A job object."""
    terminal = status in ("succeeded", "failed", "cancelled")
    return {
        "id": JOB_ID,
        "object": "job",
        "name": "digits",
        "project": "default",
        "status": status,
        "is_terminal": terminal,
        "status_reason": None,
        "phase": None if terminal else "training",
        "attempt": 1,
        "progress": None,
        "queue_position": None,
        "spec": {"blending": {"strategy": "online"}},
        "spec_fingerprint": "sha256:aa",
        "dataset_fingerprint": None,
        "environment": None,
        "seed": 0,
        "result": None,
        "error": None,
        "metadata": {},
        "warnings": [],
        "transitions": [{"status": "queued", "at": "2026-01-02T03:04:05.678901Z", "reason": None}],
        "created_at": "2026-01-02T03:04:05.678901Z",
        "started_at": None,
        "finished_at": None,
        **more,
    }


def event(seq: int, type: str = "run.note", message: str = "", **data: Any) -> dict[str, Any]:
    """An event object."""
    return {
        "id": f"evt_{seq}",
        "seq": seq,
        "object": "job.event",
        "job_id": JOB_ID,
        "attempt": 1,
        "type": type,
        "level": "info",
        "created_at": "2026-01-02T03:04:05.678901Z",
        "message": message or f"event number {seq}: größer \N{SNOWMAN}",
        "data": data,
    }


def problem(status: int, code: str, **more: Any) -> Reply:
    """A problem+json answer."""
    body = {"type": f"urn:gblend:problem:{code}", "title": "Wrong", "status": status, "detail": f"it is {code}"}
    headers = {"content-type": "application/problem+json", **more.pop("headers", {})}
    return Reply(status, {**body, "code": code, "request_id": "req_1", **more}, headers)


def sse(events: list[dict[str, Any]], last_seq: int | None = None) -> bytes:
    """The events as a stream; with `last_seq` it ends with `done`."""
    blocks = [": ping\n\n", *(f"data: {json.dumps(e, ensure_ascii=False)}\nid: {e['seq']}\n\n" for e in events)]
    if last_seq is not None:
        blocks.append(f'event: done\ndata: {{"object": "job.stream_end", "last_seq": {last_seq}}}\n\n')
    return ("retry: 1\n\n" + "".join(blocks)).encode()


@dataclass
class Reply:
    """A scripted answer. `cut`: break the connection after so many bytes of the body; 0 breaks before the head."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


@dataclass
class Recorded:
    """A request that came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


class Service:
    """What the handler serves, and what it saw."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self.replies: dict[str, list[Reply]] = {}
        self.job: dict[str, Any] = job()
        self.jobs: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.streamed: list[dict[str, Any]] | None = None
        """What the stream sends, where that is not what the log holds."""
        self.super_epochs: list[dict[str, Any]] = []
        self.metrics: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.cuts: list[int | None] = []
        self.hold_stream = threading.Event()
        """Set: the stream ends with `done`. Clear: it stays open after the events."""
        self.hold_stream.set()
        self.stream_idle = threading.Event()
        """A stream has sent everything and is held open."""
        self.url = ""

    def script(self, route: str, *replies: Reply) -> None:
        """Answer the next requests to `"GET /path"` so."""
        self.replies.setdefault(route, []).extend(replies)

    def seen(self, route: str) -> list[Recorded]:
        """The requests to `"GET /path"`."""
        return [request for request in self.requests if f"{request.method} {request.path}" == route]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service: Service

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Recorded(self.command, unquote(parts.path), parse_qs(parts.query), headers, body)
        self.service.requests.append(request)
        scripted = self.service.replies.get(f"{request.method} {request.path}")
        try:
            self._send(scripted.pop(0)) if scripted else self._contract(request)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _contract(self, request: Recorded) -> None:
        service, base = self.service, f"/v1/jobs/{JOB_ID}"
        after = request.query.get("after", ["0"])[0]
        match request.method, request.path.removeprefix(base):
            case "POST", "/v1/jobs" if request.query.get("validate_only") == ["true"]:
                self._send(Reply(200, {"object": "job.validation", "valid": True, "errors": [], "warnings": []}))
            case "POST", "/v1/jobs":
                self._send(Reply(201, service.job))
            case "GET", "/v1/jobs":
                self._list(service.jobs, request, after)
            case "GET", "":
                self._send(Reply(200, service.job))
            case "POST", "/cancel":
                self._send(Reply(202, {**service.job, "status": "cancelling", "is_terminal": False}))
            case "POST", "/pause" | "/resume" as action:
                status = {"/pause": "pausing", "/resume": "queued"}[action]
                self._send(Reply(202, {**service.job, "status": status, "is_terminal": False}))
            case "POST", "/retry":
                self._send(Reply(201, {**service.job, "id": "job_02", "retry_of": JOB_ID, "status": "queued"}))
            case "DELETE", "":
                self._send(Reply(204, b""))
            case "GET", "/events":
                kinds = request.query.get("type")
                self._list([e for e in service.events if not kinds or e["type"] in kinds], request, after, "seq")
            case "GET", "/events/stream":
                self._stream(request)
            case "GET", "/super-epochs":
                self._list(service.super_epochs, request, after)
            case "GET", "/metrics":
                self._list(service.metrics, request, after)
            case "GET", "/artifacts":
                self._list([self._artifact(name) for name in service.files], request, after)
            case "GET", rest if rest.startswith("/artifacts/"):
                self._file(request, service.files.get(rest.removeprefix("/artifacts/")))
            case _:
                self._send(problem(404, "job.not_found"))

    def _list(self, rows: list[dict[str, Any]], request: Recorded, after: str, cursor: str | None = None) -> None:
        """Pages of at most two rows; the cursor is the row's place, or a field of it."""
        limit = min(2, int(request.query.get("limit", ["2"])[0]))
        place = {str(row[cursor]) if cursor else str(index + 1): index + 1 for index, row in enumerate(rows)}
        first = place.get(after, 0)
        shown = rows[first : first + limit]
        last = str(shown[-1][cursor]) if shown and cursor else str(first + len(shown))
        more = first + len(shown) < len(rows)
        listed = {"object": "list", "data": shown, "has_more": more, "next_after": last if shown else None}
        self._send(Reply(200, listed))

    def _artifact(self, name: str) -> dict[str, Any]:
        content = self.service.files[name]
        sha256 = hashlib.sha256(content).hexdigest()
        return {"id": "art_1", "name": name, "kind": "model", "bytes": len(content), "sha256": sha256}

    def _file(self, request: Recorded, content: bytes | None) -> None:
        if content is None:
            self._send(problem(404, "artifact.not_found"))
            return
        cut = self.service.cuts.pop(0) if self.service.cuts else None
        asked = request.headers.get("range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        headers = {"content-type": "application/octet-stream"}
        if asked:
            headers["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(Reply(206 if asked else 200, content[start:], headers, cut))

    def _stream(self, request: Recorded) -> None:
        service = self.service
        last = int(request.headers.get("last-event-id", "0"))
        events = service.events if service.streamed is None else service.streamed
        finished = service.hold_stream.is_set()
        body = sse([e for e in events if e["seq"] > last], len(service.events) if finished else None)
        cut = service.cuts.pop(0) if service.cuts else None
        self._head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        body = body if cut is None else body[:cut]
        if body:
            self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        if cut is not None:
            self._break()
            return
        if not finished:
            service.stream_idle.set()
            service.hold_stream.wait(30)
            body = sse([], len(service.events))
            self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, reply: Reply) -> None:
        if reply.cut == 0:
            self._break()
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self._head(
            reply.status, {"content-type": "application/json", "content-length": str(len(body)), **reply.headers}
        )
        self.wfile.write(body if reply.cut is None else body[: reply.cut])
        if reply.cut is not None:
            self._break()

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _break(self) -> None:
        self.wfile.flush()
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up on purpose here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving() -> Iterator[Service]:
    """A service on a free loopback port."""
    service = Service()
    handler = type("Handler", (_Handler,), {"service": service})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        service.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield service
        finally:
            service.hold_stream.set()
            server.shutdown()
            thread.join()

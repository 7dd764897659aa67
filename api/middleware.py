"""What happens around every request: its id, its access line, its size, and the 500 that tells nothing.

Plain ASGI rather than Starlette's `BaseHTTPMiddleware`, which copies bodies through a queue and so blunts the
back-pressure that streams rely on.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from contextvars import ContextVar

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem

access = logging.getLogger("gblend.access")
log = logging.getLogger(__name__)

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request at hand: `api.logs` puts it on every line, whoever writes it."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}")
_CLIENT_GONE = 499
"""What the metrics call a request whose client did not wait for the answer."""
_QUIET_PATHS = ("/healthz", "/readyz", "/assets/")
"""Probes come every few seconds, and a page has dozens of files; only what goes wrong with them is worth a line."""


class RequestContextMiddleware:
    """Gives a request its id (the client's `X-Request-ID` if it is a sane one) and answers what nothing else caught."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _accepted_id(headers.get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        token = REQUEST_ID.set(request_id)
        try:
            await self._serve(scope, receive, send, headers, request_id)
        finally:
            REQUEST_ID.reset(token)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, headers: Headers, request_id: str) -> None:
        began = time.monotonic()
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = request_id
                answer["x-content-type-options"] = "nosniff"
            await send(message)

        connection = HTTPConnection(scope)
        try:
            if _declared_length(headers) > self._max_body_bytes:
                response = problem(
                    connection,
                    413,
                    code="request.too_large",
                    detail=f"the request body is larger than {self._max_body_bytes} bytes",
                )
                await response(scope, receive, send_with_id)
            else:
                await self._app(scope, receive, send_with_id)
        except Exception:  # whatever it is, the client learns the id and the log learns the rest
            log.exception("request failed", extra={"method": scope["method"], "path": scope["path"]})
            if status is not None:
                raise  # too late for another answer: the server cuts the connection
            response = problem(
                connection,
                500,
                code="internal",
                detail="the server failed; the operator finds the reason in its log, under this request_id",
            )
            await response(scope, receive, send_with_id)
        finally:
            _measure(scope, status, time.monotonic() - began)
            if not scope["path"].startswith(_QUIET_PATHS) or status not in (200, 304):
                # The path only: a query may one day hold a stream ticket.
                access.info(
                    "request",
                    extra={
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": status,
                        "milliseconds": round((time.monotonic() - began) * 1000, 1),
                        "client": scope["client"][0] if scope.get("client") else None,
                    },
                )


class SendTimeoutMiddleware:
    """Drops an event stream whose client stopped reading: a send that blocks for `seconds` ends the response. One whose
    client hung up ends without a word."""

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        streaming = stalled = False

        async def send_in_time(message: Message) -> None:
            nonlocal streaming, stalled
            if message["type"] == "http.response.start":
                streaming = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
            if not streaming:
                await send(message)
                return
            try:
                with anyio.fail_after(self._seconds):
                    await send(message)
            except TimeoutError:
                stalled = True
                raise

        try:
            await self._app(scope, receive, send_in_time)
        except Exception as error:
            if streaming and _has_hung_up(error):
                return
            if not stalled:
                raise
            # What comes out is our timeout, in a group with what it tore down in the stream's own tasks.
            log.warning(
                "stream dropped: its client stopped reading", extra={"path": scope["path"], "seconds": self._seconds}
            )


def _has_hung_up(error: Exception) -> bool:
    """Whether all that went wrong is that nobody reads any more. FastAPI closes the reader's half of a stream's inner
    pipe before it cancels the writer, which then may find it broken."""
    if isinstance(error, ExceptionGroup):
        return error.split(anyio.BrokenResourceError)[1] is None
    return isinstance(error, anyio.BrokenResourceError)


def _measure(scope: Scope, status: int | None, seconds: float) -> None:
    """Counted by the route's template: paths are the client's, and there is no end to them."""
    services = getattr(scope["app"].state, "services", None)
    if services is not None:
        # A route of an included router knows its path without the prefix; FastAPI keeps the whole one beside it.
        route = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
        answered = status or _CLIENT_GONE
        services.metrics.request(getattr(route, "path", None), scope["method"], answered, seconds)


def _accepted_id(given: str | None) -> str:
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return f"req_{secrets.token_hex(12)}"


def _declared_length(headers: Headers) -> int:
    declared = headers.get("content-length", "0")
    return int(declared) if declared.isdecimal() else 0

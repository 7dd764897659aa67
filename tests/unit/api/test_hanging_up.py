"""A client that hangs up on a stream is no failure of the server; anything else that goes wrong in one is."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from api.middleware import SendTimeoutMiddleware

SCOPE: Scope = {"type": "http", "path": "/v1/jobs/j/events/stream"}


def _broken() -> Exception:
    return ExceptionGroup("unhandled errors in a TaskGroup", [anyio.BrokenResourceError()])


def _mixed() -> Exception:
    return ExceptionGroup("unhandled errors in a TaskGroup", [anyio.BrokenResourceError(), ValueError("a bug")])


def _run(media_type: bytes, error: Callable[[], Exception]) -> list[Message]:
    """What an answer of this type sends that ends so."""
    sent: list[Message] = []

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media_type)]})
        raise error()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def serve() -> None:
        await SendTimeoutMiddleware(app, seconds=5.0)(SCOPE, receive, send)

    anyio.run(serve)
    return sent


def test_a_stream_whose_reader_is_gone_just_ends() -> None:
    """As FastAPI ends it: the reader's half of its inner pipe is closed before the writer has heard of it."""
    assert [message["type"] for message in _run(b"text/event-stream; charset=utf-8", _broken)] == [
        "http.response.start"
    ]


def test_a_bug_beside_it_is_still_one() -> None:
    with pytest.raises(ExceptionGroup):
        _run(b"text/event-stream", _mixed)


def test_in_any_other_answer_it_is_a_failure() -> None:
    with pytest.raises(ExceptionGroup):
        _run(b"application/json", _broken)

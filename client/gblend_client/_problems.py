"""Answers that are no success, as errors."""

from __future__ import annotations

import json
from typing import Any

from gblend_client._decode import decode
from gblend_client._flow import Answer, Lost
from gblend_client._retry import retry_after
from gblend_client.errors import APIError, ConnectionFailed, ProblemItem, ProtocolError, class_for


def error_of(reply: Answer | Lost) -> APIError | ConnectionFailed:
    """The error that a failed reply means. Never raises: even a proxy's HTML page becomes an `APIError`."""
    if isinstance(reply, Lost):
        return ConnectionFailed(
            f"no answer from {reply.url}: {reply.reason}" if reply.url else f"the connection broke off: {reply.reason}",
            hint="is the service running there? Its address is `base_url`, --url or GBLEND_URL",
        )
    body = _problem(reply)
    detail = body.get("detail") or body.get("title") or f"the service answered {reply.status}"
    return class_for(reply.status)(
        str(detail),
        status=reply.status,
        code=str(body.get("code") or f"http.{reply.status}"),
        errors=_items(body.get("errors")),
        hint=_text(body.get("hint")),
        request_id=_text(body.get("request_id")) or reply.headers.get("x-request-id"),
        retry_after=retry_after(reply.headers),
    )


def _problem(answer: Answer) -> dict[str, Any]:
    if "json" not in answer.headers.get("content-type", ""):
        return {}
    try:
        body = json.loads(answer.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _items(raw: Any) -> tuple[ProblemItem, ...]:
    found = []
    for item in raw if isinstance(raw, list) else []:
        try:
            found.append(decode(ProblemItem, item))
        except ProtocolError:
            found.append(ProblemItem(detail=str(item)))
    return tuple(found)


def _text(raw: Any) -> str | None:
    return raw if isinstance(raw, str) else None

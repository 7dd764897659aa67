"""Polling made cheap: strong ETags, `If-None-Match`, `Retry-After`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.problems import RETRY_AFTER_SECONDS

_JSON = "application/json"


def answer(request: Request, model: BaseModel, *, settled: bool = True, status: int = 200) -> Response:
    """`model` as JSON with a strong ETag, or 304 where the client has that very answer already.

    The tag is a digest of the bytes themselves: a row's version would miss what other rows change (a queue position).
    `settled` False: the job still moves, and the client is told when to ask again.
    """
    return conditional(request, model.model_dump_json().encode(), _JSON, settled=settled, status=status)


def created(request: Request, model: BaseModel, location: str, *, replayed: bool, settled: bool = True) -> Response:
    """The answer that names something new at `location`, or (`replayed`) what an idempotency key made before."""
    response = answer(request, model, settled=settled, status=201)
    response.headers["location"] = location
    if replayed:
        response.headers["idempotency-replayed"] = "true"
    return response


def conditional(
    request: Request,
    content: bytes,
    media_type: str,
    *,
    settled: bool = True,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`content` with a strong ETag, or 304; see `answer`."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    all_headers = {"etag": tag, "cache-control": "no-cache", **(headers or {})}
    if not settled:
        all_headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    if request.method == "GET" and matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=all_headers)
    return Response(content, status_code=status, media_type=media_type, headers=all_headers)


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether the header names `tag`; compared weakly, as RFC 9110 has it for `If-None-Match`."""
    if if_none_match is None:
        return False
    named = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return "*" in named or tag in named

"""Building `application/problem+json` answers (RFC 9457): the only shape that an error has on the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.schemas.problem import MEDIA_TYPE, Problem, ProblemError

RETRY_AFTER_SECONDS = 1
"""What a client is told to wait before it asks again."""

_TITLES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "Range Not Satisfiable",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}


def title_of(status: int) -> str:
    """The status in RFC 9110's words (the standard library still has the older ones)."""
    try:
        known = HTTPStatus(status)
    except ValueError:
        return "Error"
    return _TITLES.get(known, known.phrase)


def request_id_of(connection: HTTPConnection) -> str:
    """The id that `api.middleware` gave this request."""
    return str(connection.scope.get("state", {}).get("request_id", "unknown"))


def problem(
    connection: HTTPConnection,
    status: int,
    *,
    code: str,
    detail: str,
    hint: str | None = None,
    errors: Sequence[ProblemError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One problem answer."""
    body = Problem(
        type=f"urn:gblend:problem:{code}",
        title=title_of(status),
        status=status,
        detail=detail,
        instance=connection.url.path,
        code=code,
        request_id=request_id_of(connection),
        hint=hint,
        errors=list(errors),
    )
    # ASCII only: a detail may quote a lone surrogate out of the request, which UTF-8 cannot encode.
    content = json.dumps(body.model_dump(exclude_none=True), ensure_ascii=True, allow_nan=False)
    all_headers = {"cache-control": "no-store", **(headers or {})}
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=all_headers)

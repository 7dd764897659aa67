"""Request bodies: `application/json`, RFC 8259 and nothing looser.

Python's parser takes `NaN`, `Infinity` and doubled keys; a job spec with any of them does not say what its author
meant, so the body is refused before pydantic sees it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.errors import RequestError


class StrictJsonRoute(APIRoute):
    """A route whose body, if it has one, must be JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler
        optional = not self.body_field.field_info.is_required()

        async def strict(request: Request) -> Response:
            checked = _StrictRequest(request.scope, request.receive)
            checked.may_be_empty = optional
            if not optional or await checked.body():
                _check_media_type(request.headers.get("content-type"))
                checked.value = await self.complete(checked, parse(await checked.body()))
            return await handler(checked)

        return strict

    async def complete(self, request: Request, value: Any) -> Any:
        """What the handler is given for the JSON `value` of the body: here the same. For routes whose bodies may name
        what the service knows."""
        return value


class _StrictRequest(Request):
    may_be_empty = False
    value: Any = None

    async def json(self) -> Any:
        return self.value

    async def body(self) -> bytes:
        body = await super().body()
        if not body.strip():
            if self.may_be_empty:
                return b""
            raise RequestError(400, "request.malformed_json", "the request body is empty; it must be a JSON object")
        return body


def parse(body: bytes) -> Any:
    """The JSON value that `body` is; `RequestError` (400, `request.malformed_json`) where it is none."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_doubled_keys)
        if b"\\u" in body:  # only an escape can smuggle them in
            _check_characters(value)
        return value
    except json.JSONDecodeError as error:
        detail = f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError as error:
        detail = f"the body is not UTF-8 at byte {error.start}"
    except RecursionError:
        detail = "the body is nested too deeply"
    except ValueError as error:  # our own refusals, and Python's limit on the digits of an integer
        detail = f"the body is not JSON: {error}"
    raise RequestError(400, "request.malformed_json", detail)


def _check_characters(value: Any) -> None:
    """Refuse U+0000, which PostgreSQL cannot store, and lone surrogates, which no UTF-8 can hold (RFC 7493)."""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError(f"the string {json.dumps(value)[:80]} has a character that no text may have")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_characters(key)
            _check_characters(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_characters(inner)


def _check_media_type(content_type: str | None) -> None:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise RequestError(
            415,
            "request.media_type",
            f"the body must be application/json, not {media_type or 'of an unnamed type'}",
            hint="send the header 'Content-Type: application/json'",
            headers={"accept": "application/json"},
        )


def _no_constant(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is no JSON number")


def _no_doubled_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        doubled = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {json.dumps(doubled)} appears twice in one object")
    return made

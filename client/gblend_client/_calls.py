"""The calls of the HTTP contract as flows: what is sent, what comes back, when it is tried again."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from gblend_client._decode import decode
from gblend_client._flow import Answer, Emit, Flow, Request, Sleep, send
from gblend_client._problems import error_of
from gblend_client._retry import Backoff
from gblend_client.errors import Conflict, InvalidInput, ProtocolError
from gblend_client.types import Artifact, Checkpoint, Event, Job, LogChunk, Metric, Page, SuperEpoch, ValidationReport

T = TypeVar("T")
Params = Sequence[tuple[str, object]]

JOBS = "/v1/jobs"
PAGE_SIZE = 200
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


def job_path(job_id: str, *rest: str) -> str:
    """`/v1/jobs/{id}/...`, with every part quoted: an id can never name another path."""
    return path_of(JOBS, "job", job_id, *rest)


def path_of(root: str, noun: str, name: str, *rest: str) -> str:
    """`{root}/{name}/...`, with every part quoted."""
    if name in ("", ".", ".."):
        raise InvalidInput(f"{name!r} is no {noun} id")
    return "/".join((root, *(quote(part, safe="") for part in (name, *rest))))


def call(request: Request, backoff: Backoff) -> Flow[Answer]:
    """The successful answer; retried where that may help, else the error it came to."""
    failures = 0
    while True:
        reply = yield from send(request)
        if isinstance(reply, Answer) and reply.ok:
            return reply
        failures += 1
        error = error_of(reply)
        pause = backoff.pause(failures, error)
        if pause is None:
            raise error
        yield Sleep(pause)


def get(path: str, params: Params, backoff: Backoff) -> Flow[Any]:
    """The JSON at a path. Parameters that are `None` are left out."""
    answer = yield from call(Request(method="GET", path=path, params=written(params)), backoff)
    return parse_json(answer.body)


def get_job(job_id: str, backoff: Backoff) -> Flow[Job]:
    """`GET /jobs/{id}`."""
    return decode(Job, (yield from get(job_path(job_id), (), backoff)))


def submit(spec: Mapping[str, Any], idempotency_key: str | None, backoff: Backoff) -> Flow[Job]:
    """`POST /jobs`."""
    return create(Job, JOBS, spec, idempotency_key, backoff)


def validate(spec: Mapping[str, Any], backoff: Backoff) -> Flow[ValidationReport]:
    """`POST /jobs?validate_only=true`."""
    return check(ValidationReport, JOBS, spec, backoff)


def cancel(job_id: str, backoff: Backoff) -> Flow[Job]:
    """`POST /jobs/{id}/cancel`."""
    return stop(Job, job_path(job_id), backoff)


def create(cls: type[T], path: str, spec: Mapping[str, Any], idempotency_key: str | None, backoff: Backoff) -> Flow[T]:
    """A POST that creates. The key makes a repeated request find what the first one created."""
    key = idempotency_key if idempotency_key is not None else uuid.uuid4().hex
    if not _KEY.fullmatch(key):
        raise InvalidInput("an idempotency key has 1 to 255 printable ASCII characters, without blanks around them")
    answer = yield from call(_post_spec(path, spec, {"idempotency-key": key}), backoff)
    return decode(cls, parse_json(answer.body))


def check(cls: type[T], path: str, spec: Mapping[str, Any], backoff: Backoff) -> Flow[T]:
    """A POST that would create, and is told only to check."""
    return look(cls, path, spec, backoff, (("validate_only", "true"),))


def look(cls: type[T], path: str, spec: Mapping[str, Any], backoff: Backoff, params: Params = ()) -> Flow[T]:
    """A POST that creates nothing."""
    answer = yield from call(_post_spec(path, spec, {}, params), backoff)
    return decode(cls, parse_json(answer.body))


def stop(cls: type[T], path: str, backoff: Backoff) -> Flow[T]:
    """`POST {path}/cancel`."""
    try:
        answer = yield from call(Request(method="POST", path=f"{path}/cancel"), backoff)
    except Conflict:
        # The answer to an earlier try may have been lost on the way, and it be cancelled since.
        body = yield from get(path, (), backoff)
        if isinstance(body, dict) and body.get("status") == "cancelled":
            return decode(cls, body)
        raise
    return decode(cls, parse_json(answer.body))


def page(cls: type[T], path: str, params: Params, backoff: Backoff) -> Flow[Page[T]]:
    """One page of a list."""
    body = yield from get(path, params, backoff)
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        raise ProtocolError(f"{path}: the service sent no list")
    next_after = body.get("next_after")
    return Page(
        data=tuple(decode(cls, item) for item in body["data"]),
        has_more=bool(body.get("has_more", False)),
        next_after=None if next_after is None else str(next_after),
    )


def items(
    cls: type[T],
    path: str,
    params: Params,
    backoff: Backoff,
    *,
    after: str | None = None,
    limit: int | None = None,
    page_size: int = PAGE_SIZE,
) -> Flow[None]:
    """Emits every item of a list, page by page; at most `limit` of them."""
    left = limit
    while left is None or left > 0:
        size = page_size if left is None else min(page_size, left)
        found = yield from page(cls, path, (*params, ("after", after), ("limit", size)), backoff)
        for item in found.data:
            yield Emit(item)
        left = None if left is None else left - len(found.data)
        if not found.has_more:
            return
        if found.next_after is None or found.next_after == after:
            raise ProtocolError(f"{path}: the service says that there is more, but not where")
        after = found.next_after


def all_items(cls: type[T], path: str, params: Params, backoff: Backoff) -> Flow[tuple[T, ...]]:
    """The whole list."""
    return (yield from collected(items(cls, path, params, backoff)))


def collected(flow: Flow[None]) -> Flow[tuple[Any, ...]]:
    """Everything that a flow emits, as a tuple."""
    found: list[Any] = []
    reply: Any = None
    while True:
        try:
            effect = flow.send(reply)
        except StopIteration:
            return tuple(found)
        if isinstance(effect, Emit):
            found.append(effect.item)
            reply = None
        else:
            reply = yield effect


def list_jobs(status: str | None, limit: int | None, backoff: Backoff) -> Flow[None]:
    """Emits the project's jobs, newest first."""
    return items(Job, JOBS, (("status", status),), backoff, limit=limit)


def job_page(status: str | None, after: str | None, limit: int, backoff: Backoff) -> Flow[Page[Job]]:
    """One page of jobs."""
    return page(Job, JOBS, (("status", status), ("after", after), ("limit", limit)), backoff)


def event_items(
    job_id: str, after: int, types: Sequence[str], backoff: Backoff, limit: int | None = None
) -> Flow[None]:
    """Emits the recorded events after `seq` `after`, then ends."""
    params = tuple(("type", name) for name in types)
    return items(Event, job_path(job_id, "events"), params, backoff, after=str(after), limit=limit)


def log_items(job_id: str, after: int, limit: int | None, backoff: Backoff) -> Flow[None]:
    """Emits the stored chunks of the log after `seq` `after`, then ends."""
    return items(LogChunk, job_path(job_id, "logs"), (), backoff, after=str(after), limit=limit)


def log_tail(job_id: str, lines: int, backoff: Backoff) -> Flow[tuple[LogChunk, ...]]:
    """The newest chunks, down to the last `lines` lines."""
    found = yield from page(LogChunk, job_path(job_id, "logs"), (("tail", lines),), backoff)
    return found.data


def super_epochs(job_id: str, backoff: Backoff) -> Flow[tuple[SuperEpoch, ...]]:
    """All super-epochs so far."""
    return all_items(SuperEpoch, job_path(job_id, "super-epochs"), (), backoff)


def metrics(job_id: str, wanted: Mapping[str, object], backoff: Backoff) -> Flow[tuple[Metric, ...]]:
    """All points of the metrics wanted."""
    return all_items(Metric, job_path(job_id, "metrics"), tuple(wanted.items()), backoff)


def artifacts(job_id: str, backoff: Backoff) -> Flow[tuple[Artifact, ...]]:
    """All artifacts."""
    return all_items(Artifact, job_path(job_id, "artifacts"), (), backoff)


def checkpoints(job_id: str, backoff: Backoff) -> Flow[tuple[Checkpoint, ...]]:
    """All shared checkpoints."""
    return all_items(Checkpoint, job_path(job_id, "checkpoints"), (), backoff)


def parse_json(body: bytes) -> Any:
    """The body as JSON, NaN and its like refused."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except ValueError:
        raise ProtocolError(
            "the service's answer is not JSON", hint="is the address that of a gblend service?"
        ) from None


def _post_spec(path: str, spec: Mapping[str, Any], headers: Mapping[str, str], params: Params = ()) -> Request:
    try:
        body = json.dumps(spec, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the spec cannot be written as JSON: {error}") from None
    return Request(
        method="POST",
        path=path,
        params=written(params),
        headers={"content-type": "application/json", **headers},
        body=body,
    )


def written(params: Params) -> tuple[tuple[str, str], ...]:
    """Parameters as text, those that are `None` left out."""
    return tuple((name, str(value)) for name, value in params if value is not None)


def _no_constant(name: str) -> None:
    raise ValueError(name)

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
from gblend_client.types import Artifact, Event, Job, Metric, Page, SuperEpoch, ValidationReport

T = TypeVar("T")
Params = Sequence[tuple[str, object]]

JOBS = "/v1/jobs"
PAGE_SIZE = 200
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


def job_path(job_id: str, *rest: str) -> str:
    """`/v1/jobs/{id}/...`, with every part quoted: an id can never name another path."""
    if job_id in ("", ".", ".."):
        raise InvalidInput(f"{job_id!r} is no job id")
    return "/".join((JOBS, *(quote(part, safe="") for part in (job_id, *rest))))


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
    answer = yield from call(Request(method="GET", path=path, params=_written(params)), backoff)
    return parse_json(answer.body)


def get_job(job_id: str, backoff: Backoff) -> Flow[Job]:
    """`GET /jobs/{id}`."""
    return decode(Job, (yield from get(job_path(job_id), (), backoff)))


def submit(spec: Mapping[str, Any], idempotency_key: str | None, backoff: Backoff) -> Flow[Job]:
    """`POST /jobs`. The key makes a repeated request find the job that the first one created."""
    key = idempotency_key if idempotency_key is not None else uuid.uuid4().hex
    if not _KEY.fullmatch(key):
        raise InvalidInput("an idempotency key has 1 to 255 printable ASCII characters, without blanks around them")
    answer = yield from call(_post_spec(spec, {"idempotency-key": key}), backoff)
    return decode(Job, parse_json(answer.body))


def validate(spec: Mapping[str, Any], backoff: Backoff) -> Flow[ValidationReport]:
    """`POST /jobs?validate_only=true`."""
    answer = yield from call(_post_spec(spec, {}, (("validate_only", "true"),)), backoff)
    return decode(ValidationReport, parse_json(answer.body))


def cancel(job_id: str, backoff: Backoff) -> Flow[Job]:
    """`POST /jobs/{id}/cancel`."""
    request = Request(method="POST", path=job_path(job_id, "cancel"))
    try:
        answer = yield from call(request, backoff)
    except Conflict:
        # The answer to an earlier try may have been lost on the way, with the job cancelled since.
        job = yield from get_job(job_id, backoff)
        if job.status == "cancelled":
            return job
        raise
    return decode(Job, parse_json(answer.body))


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
    cls: type[T], path: str, params: Params, backoff: Backoff, *, after: str | None = None, limit: int | None = None
) -> Flow[None]:
    """Emits every item of a list, page by page; at most `limit` of them."""
    left = limit
    while left is None or left > 0:
        size = PAGE_SIZE if left is None else min(PAGE_SIZE, left)
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


def super_epochs(job_id: str, backoff: Backoff) -> Flow[tuple[SuperEpoch, ...]]:
    """All super-epochs so far."""
    return all_items(SuperEpoch, job_path(job_id, "super-epochs"), (), backoff)


def metrics(job_id: str, wanted: Mapping[str, object], backoff: Backoff) -> Flow[tuple[Metric, ...]]:
    """All points of the metrics wanted."""
    return all_items(Metric, job_path(job_id, "metrics"), tuple(wanted.items()), backoff)


def artifacts(job_id: str, backoff: Backoff) -> Flow[tuple[Artifact, ...]]:
    """All artifacts."""
    return all_items(Artifact, job_path(job_id, "artifacts"), (), backoff)


def parse_json(body: bytes) -> Any:
    """The body as JSON, NaN and its like refused."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except ValueError:
        raise ProtocolError(
            "the service's answer is not JSON", hint="is the address that of a gblend service?"
        ) from None


def _post_spec(spec: Mapping[str, Any], headers: Mapping[str, str], params: Params = ()) -> Request:
    try:
        body = json.dumps(spec, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the spec cannot be written as JSON: {error}") from None
    return Request(
        method="POST",
        path=JOBS,
        params=_written(params),
        headers={"content-type": "application/json", **headers},
        body=body,
    )


def _written(params: Params) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in params if value is not None)


def _no_constant(name: str) -> None:
    raise ValueError(name)

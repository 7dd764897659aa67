"""The calls that change what a job does, beside `cancel`, as flows; see `_calls`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gblend_client._calls import call, create, job_path, parse_json
from gblend_client._decode import decode
from gblend_client._flow import Answer, Flow, Request, Sleep, send
from gblend_client._problems import error_of
from gblend_client._retry import Backoff
from gblend_client.errors import NotFound
from gblend_client.types import Job


def pause(job_id: str, backoff: Backoff) -> Flow[Job]:
    """`POST /jobs/{id}/pause`."""
    return _act(job_path(job_id, "pause"), backoff)


def resume(job_id: str, backoff: Backoff) -> Flow[Job]:
    """`POST /jobs/{id}/resume`."""
    return _act(job_path(job_id, "resume"), backoff)


def retry(
    job_id: str, scheduling: Mapping[str, Any] | None, idempotency_key: str | None, backoff: Backoff
) -> Flow[Job]:
    """`POST /jobs/{id}/retry`."""
    body = {} if scheduling is None else {"scheduling": dict(scheduling)}
    return create(Job, job_path(job_id, "retry"), body, idempotency_key, backoff)


def delete(path: str, backoff: Backoff) -> Flow[None]:
    """`DELETE {path}`. Where an earlier try got no answer, "not found" says that it did its work."""
    failures = 0
    while True:
        reply = yield from send(Request(method="DELETE", path=path))
        if isinstance(reply, Answer) and reply.ok:
            return
        error = error_of(reply)
        if isinstance(error, NotFound) and failures:
            return
        failures += 1
        pause = backoff.pause(failures, error)
        if pause is None:
            raise error
        yield Sleep(pause)


def _act(path: str, backoff: Backoff) -> Flow[Job]:
    """A POST that may be repeated: doing it twice is fine."""
    answer = yield from call(Request(method="POST", path=path), backoff)
    return decode(Job, parse_json(answer.body))

"""What a job's training printed: pages, the last lines, plain text, and a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from api.conditional import answer, conditional
from api.deps import LARGEST_SEQ, IfNoneMatch, JobIdDep, LimitDep, ProjectDep, ServicesDep
from api.openapi import NOT_MODIFIED, POLLED_HEADERS, Responses, problems
from api.routers.stream import ExistingJob, LastEventId, StreamAfter, StreamPlace, followed
from api.schemas import ListOut, LogChunkOut
from api.streaming.follow import log_of

if TYPE_CHECKING:
    from core.jobs.logs import LogChunk, LogReader

router = APIRouter(tags=["history"])

_PLAIN = "text/plain; charset=utf-8"
_LINE = "2026-01-02T03:04:05.100Z INFO    Epoch 1 is over; train loss fused 0.6931\n"
_STREAM_EXAMPLE = (
    "retry: 1000\n\n"
    'id: 1\ndata: {"object": "job.log", "seq": 1, "attempt": 1, "text": "the training process starts\\n"}\n\n'
    ": ping\n\n"
    'event: done\ndata: {"object": "job.stream_end", "status": "succeeded", "last_seq": 1}\n\n'
)
_TEXT_PAGE = 200
"""Chunks per read when a whole log is sent as text."""

_RESPONSES: Responses = {
    **problems(404, 422),
    **NOT_MODIFIED,
    200: {
        "headers": POLLED_HEADERS,
        "description": "A page of chunks; the text alone where `Accept` prefers `text/plain`",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": _LINE}},
    },
}
_STREAM_RESPONSES: dict[int | str, dict[str, Any]] = {
    **problems(404, 422, 429),
    200: {
        "description": "The stream; each event's data is a `LogChunkOut`",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _STREAM_EXAMPLE}},
    },
}


@router.get(
    "/jobs/{job_id}/logs",
    operation_id="list_logs",
    summary="Read what a job's training printed",
    response_model=ListOut[LogChunkOut],
    responses=_RESPONSES,
)
def list_logs(
    request: Request,
    job_id: JobIdDep,
    services: ServicesDep,
    project: ProjectDep,
    limit: LimitDep,
    if_none_match: IfNoneMatch = None,
    accept: Annotated[str | None, Header(description="`text/plain`: the text alone, not cut into pages.")] = None,
    after: Annotated[int, Query(ge=0, le=LARGEST_SEQ, description="Only chunks with a greater `seq`.")] = 0,
    tail: Annotated[
        int | None, Query(ge=1, le=100_000, description="Only the last so many lines; `limit` does not count then.")
    ] = None,
) -> Response:
    """Oldest first, over all attempts. A log that reaches the operator's limit says so and ends there."""
    settled = services.jobs.get(job_id, project=project).status.is_terminal
    vary = {"vary": "Accept"}
    if prefers_text(accept):
        chunks = _whole(services.logs, job_id, project, after, tail)
        content = "".join(chunk.text for chunk in chunks).encode()
        return conditional(request, content, _PLAIN, settled=settled, headers=vary)
    if tail is not None:
        shown: Sequence[LogChunk] = services.logs.tail(job_id, tail, project=project, after=after)
        has_more, next_after = False, str(shown[-1].seq) if shown else None
    else:
        page = services.logs.page(job_id, project=project, after=after, limit=limit)
        shown, has_more, next_after = page.data, page.has_more, page.next_after
    data = [LogChunkOut.of(chunk) for chunk in shown]
    listed = ListOut[LogChunkOut](data=data, has_more=has_more, next_after=next_after)
    response = answer(request, listed, settled=settled)
    response.headers.update(vary)
    return response


@router.get(
    "/jobs/{job_id}/logs/stream",
    operation_id="stream_logs",
    summary="Follow what a job's training prints",
    response_class=EventSourceResponse,
    responses=_STREAM_RESPONSES,
)
async def stream_logs(
    job: ExistingJob,
    waiter: StreamPlace,
    services: ServicesDep,
    project: ProjectDep,
    after: StreamAfter = 0,
    last_event_id: LastEventId = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events, as in the stream of events: every chunk has its `seq` as `id`, `event: done` is the last one
    and comes when the job has ended and its whole log was sent."""
    read = log_of(services.jobs, services.logs, job.id, project=project)
    async for event in followed(services, waiter, job, read, "logs", after, last_event_id):
        yield event


def prefers_text(accept: str | None) -> bool:
    """Whether an `Accept` header names `text/plain` and does not want JSON more."""
    weights = {"text/plain": 0.0, "application/json": 0.0}
    for part in (accept or "").lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name in weights:
            weights[name] = max(weights[name], _quality(parameters))
    return weights["text/plain"] > weights["application/json"]


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _whole(logs: LogReader, job_id: str, project: str, after: int, tail: int | None) -> Iterator[LogChunk]:
    if tail is not None:
        yield from logs.tail(job_id, tail, project=project, after=after)
        return
    while True:
        page = logs.page(job_id, project=project, after=after, limit=_TEXT_PAGE)
        yield from page.data
        if not page.has_more:
            return
        after = page.data[-1].seq

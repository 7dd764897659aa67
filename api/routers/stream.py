"""The event log as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.deps import JobIdDep, ProjectDep, ServicesDep
from api.openapi import problems
from api.streaming.follow import follow
from api.streaming.hub import Waiter
from core.jobs.views import JobView

router = APIRouter(tags=["history"])

_LARGEST = 2**53 - 1
_EXAMPLE = (
    "retry: 1000\n\n"
    'id: 1\ndata: {"seq": 1, "object": "job.event", "type": "job.created", "message": "The job waits for a worker"}\n\n'
    ": ping\n\n"
    'event: done\ndata: {"object": "job.stream_end", "status": "succeeded", "last_seq": 42}\n\n'
)
_RESPONSES: dict[int | str, dict[str, Any]] = {
    **problems(404, 422, 429),
    200: {
        "description": "The stream; each event's data is an `EventOut`",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    },
}


def existing_job(job_id: JobIdDep, services: ServicesDep, project: ProjectDep) -> JobView:
    """The job, so that an unknown one is a 404 and not an empty stream."""
    return services.jobs.get(job_id, project=project)


ExistingJob = Annotated[JobView, Depends(existing_job)]


async def stream_place(job: ExistingJob, services: ServicesDep) -> AsyncIterator[Waiter]:
    """One of the places for streams, held until the answer is over."""
    with services.streams.enter(job.id) as waiter:
        yield waiter


@router.get(
    "/jobs/{job_id}/events/stream",
    operation_id="stream_events",
    summary="Follow a job's event log",
    response_class=EventSourceResponse,
    responses=_RESPONSES,
)
async def stream_events(
    job: ExistingJob,
    waiter: Annotated[Waiter, Depends(stream_place)],
    services: ServicesDep,
    project: ProjectDep,
    after: Annotated[int, Query(ge=0, le=_LARGEST, description="Begin behind this `seq`.")] = 0,
    last_event_id: Annotated[
        int | None,
        Header(
            alias="Last-Event-ID", ge=0, le=_LARGEST, description="What a reconnecting client sends; wins over `after`."
        ),
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: what was logged already, then what comes. Every event of the log has its `seq` as `id`; a
    comment comes when nothing happens for a while; `event: done` is the last one. The end of a stream never means the
    end of a job: only `done` does."""
    settings = services.settings.api
    events = follow(
        services.jobs,
        services.streams,
        waiter,
        job.id,
        project=project,
        after=after if last_event_id is None else last_event_id,
        ping_seconds=settings.sse_ping_seconds,
        retry_ms=settings.sse_retry_ms,
    )
    async for event in events:
        yield event

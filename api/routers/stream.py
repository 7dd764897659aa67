"""The event log as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.deps import LARGEST_SEQ, JobIdDep, ProjectDep, ServicesDep
from api.openapi import problems
from api.services import Services
from api.streaming.follow import Read, events_of, follow
from api.streaming.hub import Waiter
from core.jobs.views import JobView

router = APIRouter(tags=["history"])

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
StreamAfter = Annotated[int, Query(ge=0, le=LARGEST_SEQ, description="Begin behind this `seq`.")]
LastEventId = Annotated[
    int | None,
    Header(
        alias="Last-Event-ID", ge=0, le=LARGEST_SEQ, description="What a reconnecting client sends; wins over `after`."
    ),
]


async def stream_place(job: ExistingJob, services: ServicesDep) -> AsyncIterator[Waiter]:
    """One of the places for streams, held until the answer is over."""
    with services.streams.enter(job.id) as waiter:
        yield waiter


StreamPlace = Annotated[Waiter, Depends(stream_place)]


@router.get(
    "/jobs/{job_id}/events/stream",
    operation_id="stream_events",
    summary="Follow a job's event log",
    response_class=EventSourceResponse,
    responses=_RESPONSES,
)
async def stream_events(
    job: ExistingJob,
    waiter: StreamPlace,
    services: ServicesDep,
    project: ProjectDep,
    after: StreamAfter = 0,
    last_event_id: LastEventId = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: what was logged already, then what comes. Every event of the log has its `seq` as `id`; a
    comment comes when nothing happens for a while; `event: done` is the last one. The end of a stream never means the
    end of a job: only `done` does."""
    read = events_of(services.jobs, job.id, project=project)
    async for event in followed(services, waiter, job, read, "events", after, last_event_id):
        yield event


async def followed(
    services: Services, waiter: Waiter, job: JobView, read: Read, stream: str, after: int, last_event_id: int | None
) -> AsyncIterator[ServerSentEvent]:
    """`follow` with the settings and metrics of this process. `stream`: its name in the metrics."""
    settings = services.settings.api
    async for event in follow(
        read,
        services.streams,
        waiter,
        job_id=job.id,
        after=after if last_event_id is None else last_event_id,
        ping_seconds=settings.sse_ping_seconds,
        retry_ms=settings.sse_retry_ms,
        delivered=lambda created_at: services.metrics.delivered(stream, created_at.timestamp()),
    ):
        yield event

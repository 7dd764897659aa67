"""Following one job: what was, then what comes, until the job has ended."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from api.schemas import EventOut
from api.schemas.event import StreamEnd
from api.streaming.hub import StreamHub, Waiter
from core.jobs.views import EventView, JobView, Page

if TYPE_CHECKING:
    from core.jobs.service import JobService

log = logging.getLogger(__name__)

_BATCH = 200
"""Events per read: what a stream holds in memory for a slow client."""


async def follow(
    jobs: JobService,
    hub: StreamHub,
    waiter: Waiter,
    job_id: str,
    *,
    project: str,
    after: int,
    ping_seconds: float,
    retry_ms: int,
) -> AsyncIterator[ServerSentEvent]:
    """The events above `after`, each with its `seq` as id; a comment when nothing happens; `done` at the job's end.

    No database session is held while it waits. It ends without `done` when the server stops or the database is gone:
    the client comes back with `Last-Event-ID` and misses nothing.
    """
    yield ServerSentEvent(retry=retry_ms)
    while not hub.closing:
        waiter.rearm()
        try:
            job, page = await run_in_threadpool(_read, jobs, job_id, project, after)
        except Exception:  # the database is gone, most likely; too late for a problem, and `done` would be a lie
            log.warning("stream ended: the log cannot be read", extra={"job_id": job_id}, exc_info=True)
            return
        for view in page.data:
            yield _durable(view)
            after = view.seq
        if page.has_more:
            continue
        if job.status.is_terminal and after >= job.last_seq:
            yield _done(job)
            return
        if not await waiter.wait(ping_seconds):
            yield ServerSentEvent(comment="ping")


def _read(jobs: JobService, job_id: str, project: str, after: int) -> tuple[JobView, Page[EventView]]:
    # The job first: if it had ended by then, its last_seq is final and the page after it cannot miss an event.
    job = jobs.get(job_id, project=project)
    return job, jobs.events(job_id, project=project, after=after, limit=_BATCH)


def _durable(view: EventView) -> ServerSentEvent:
    return ServerSentEvent(raw_data=EventOut.of(view).model_dump_json(), id=str(view.seq))


def _done(job: JobView) -> ServerSentEvent:
    end = StreamEnd(job_id=job.id, status=job.status, last_seq=job.last_seq)
    return ServerSentEvent(event="done", raw_data=end.model_dump_json())

"""Following one job: what was, then what comes, until the job has ended. Its events and its training's log alike."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from api.schemas import EventOut, LogChunkOut, WireModel
from api.schemas.event import StreamEnd
from api.streaming.hub import StreamHub, Waiter
from core.errors import NotFoundError
from core.jobs.views import JobPulse

if TYPE_CHECKING:
    from core.jobs.logs import LogReader
    from core.jobs.service import JobService

log = logging.getLogger(__name__)

_BATCH = 200
"""Events per read: what a stream holds in memory for a slow client."""
_LOG_BATCH = 20
"""Chunks of a log per read; each may have 64 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing to send; its number is the id that a client resumes from."""

    seq: int
    created_at: datetime
    body: WireModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look into the database found."""

    job: JobPulse
    entries: tuple[Entry, ...]
    has_more: bool
    last_seq: int
    """Of the newest entry there is; final if the job has ended."""


Read = Callable[[int], Look]
"""The entries above a number. Called in a thread."""


def events_of(jobs: JobService, job_id: str, *, project: str) -> Read:
    """Reads the event log."""

    def read(after: int) -> Look:
        # The job first: if it had ended by then, its last_seq is final and the page after it cannot miss an event.
        job, page = jobs.follow(job_id, project=project, after=after, limit=_BATCH)
        entries = tuple(Entry(seq=view.seq, created_at=view.created_at, body=EventOut.of(view)) for view in page.data)
        return Look(job=job, entries=entries, has_more=page.has_more, last_seq=job.last_seq)

    return read


def log_of(jobs: JobService, logs: LogReader, job_id: str, *, project: str) -> Read:
    """Reads what the training printed."""

    def read(after: int) -> Look:
        # The job first, as above: a worker stores the last of the log before it ends the job.
        job = jobs.pulse(job_id, project=project)
        last_seq = logs.last_seq(job_id, project=project)
        page = logs.page(job_id, project=project, after=after, limit=_LOG_BATCH)
        entries = tuple(
            Entry(seq=chunk.seq, created_at=chunk.created_at, body=LogChunkOut.of(chunk)) for chunk in page.data
        )
        return Look(job=job, entries=entries, has_more=page.has_more, last_seq=last_seq)

    return read


async def follow(
    read: Read,
    hub: StreamHub,
    waiter: Waiter,
    *,
    job_id: str,
    after: int,
    ping_seconds: float,
    retry_ms: int,
    delivered: Callable[[datetime], None],
) -> AsyncIterator[ServerSentEvent]:
    """The entries above `after`, each with its `seq` as id; a comment when nothing happens; `done` at the job's end.

    `delivered` hears of every entry that came while the stream was open, when it has been sent. No database session is
    held while it waits. It ends without `done` when the server stops or the database is gone: the client comes back
    with `Last-Event-ID` and misses nothing.
    """
    yield ServerSentEvent(retry=retry_ms)
    live = False
    while not hub.closing:
        waiter.rearm()
        try:
            look = await run_in_threadpool(read, after)
        except NotFoundError:  # it was deleted meanwhile; who comes back is told so
            return
        except Exception:  # the database is gone, most likely; too late for a problem, and `done` would be a lie
            log.warning("stream ended: the log cannot be read", extra={"job_id": job_id}, exc_info=True)
            return
        for entry in look.entries:
            yield ServerSentEvent(raw_data=entry.body.model_dump_json(), id=str(entry.seq))
            if live:
                delivered(entry.created_at)
            after = entry.seq
        if look.has_more:
            continue
        live = True
        if look.job.status.is_terminal and after >= look.last_seq:
            yield _done(look)
            return
        if not await waiter.wait(ping_seconds):
            yield ServerSentEvent(comment="ping")


def _done(look: Look) -> ServerSentEvent:
    end = StreamEnd(job_id=look.job.id, status=look.job.status, last_seq=look.last_seq)
    return ServerSentEvent(event="done", raw_data=end.model_dump_json())

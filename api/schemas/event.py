"""Events: the append-only log of a job."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from api.schemas.base import JsonObject, Timestamp, WireModel
from core.jobs.state import JobStatus
from core.jobs.views import EventView


class EventOut(WireModel):
    """One thing that happened to a job. `seq` has no gaps; it is the list cursor and the SSE id."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "evt_01KDXYZ3C5Q7R9S1T2V4W6X8Y0",
                    "seq": 2,
                    "object": "job.event",
                    "job_id": "job_01KDXYZ3C5Q7R9S1T2V4W6X8Y0",
                    "attempt": 1,
                    "type": "job.status",
                    "level": "info",
                    "created_at": "2026-01-02T03:04:05.678901Z",
                    "message": "the job is starting",
                    "data": {"status": "starting", "reason": None},
                }
            ]
        },
    )

    id: str
    seq: int
    object: Literal["job.event"] = "job.event"
    job_id: str
    attempt: int
    type: str
    """`job.created`, `job.status`, or what the training told: `run.started`, `super_epoch.weights`, ..."""
    level: str
    """`info`, `warning` or `error`."""
    created_at: Timestamp
    message: str
    """For people."""
    data: JsonObject
    """By type."""

    @classmethod
    def of(cls, view: EventView) -> EventOut:
        """The wire form of a recorded event."""
        return cls(
            id=view.id,
            seq=view.seq,
            job_id=view.job_id,
            attempt=view.attempt,
            type=view.type,
            level=view.level,
            created_at=view.created_at,
            message=view.message,
            data=view.data,
        )


class StreamEnd(WireModel):
    """The data of `event: done`: the job has ended and its whole log was sent."""

    object: Literal["job.stream_end"] = "job.stream_end"
    job_id: str
    status: JobStatus
    last_seq: int

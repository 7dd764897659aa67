"""What a job's training printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict

from api.schemas.base import Timestamp, WireModel

if TYPE_CHECKING:
    from core.jobs.logs import LogChunk


class LogChunkOut(WireModel):
    """A piece of the log, of at most 64 KiB: whole lines, but for a line that is longer. `seq` has no gaps; it is the
    list cursor and the SSE id."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "job.log",
                    "job_id": "job_01KDXYZ3C5Q7R9S1T2V4W6X8Y0",
                    "seq": 3,
                    "attempt": 1,
                    "created_at": "2026-01-02T03:04:05.678901Z",
                    "text": "2026-01-02T03:04:05.100Z INFO    Epoch 1 is over; train loss fused 0.6931\n",
                }
            ]
        },
    )

    object: Literal["job.log"] = "job.log"
    job_id: str
    seq: int
    attempt: int
    """Whose process printed it, counted from 1."""
    created_at: Timestamp
    """When it was stored."""
    text: str
    """Without control characters but for tabs and ends of lines."""

    @classmethod
    def of(cls, chunk: LogChunk) -> LogChunkOut:
        """The wire form of a stored piece."""
        return cls(
            job_id=chunk.job_id, seq=chunk.seq, attempt=chunk.attempt, created_at=chunk.created_at, text=chunk.text
        )

"""Checkpoints that workers share."""

from __future__ import annotations

from typing import Literal

from api.schemas.base import Timestamp, WireModel
from core.jobs.shared_checkpoint import SharedCheckpoint


class CheckpointOut(WireModel):
    """A checkpoint in the artifact store: another worker can go on from it, wherever it runs."""

    object: Literal["job.checkpoint"] = "job.checkpoint"
    job_id: str
    fence: int
    """The lease under which it was written; it grows with every attempt."""
    head: str | None
    """The head whose estimate it is of, where estimates are spread over workers; `null`: of the run itself."""
    name: str
    """Opaque; of one attempt's checkpoints the later one has the greater name."""
    bytes: int
    """Of all its files."""
    created_at: Timestamp
    """When it began to count."""

    @classmethod
    def of(cls, shared: SharedCheckpoint) -> CheckpointOut:
        """The wire form of a recorded checkpoint."""
        if shared.created_at is None:
            raise ValueError("not recorded yet")
        return cls(
            job_id=shared.job_id,
            fence=shared.fence,
            head=shared.head,
            name=shared.name,
            bytes=shared.bytes,
            created_at=shared.created_at,
        )

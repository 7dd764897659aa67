"""Files that a job left behind."""

from __future__ import annotations

from typing import Literal

from api.schemas.base import Timestamp, WireModel
from core.jobs.views import ArtifactView


class ArtifactOut(WireModel):
    """A file that the job left behind. Where it is stored is the server's own affair: download it from `href`."""

    object: Literal["job.artifact"] = "job.artifact"
    id: str
    job_id: str
    name: str
    kind: str
    """`model`, `metrics`, `history`, `predictions` or `card`."""
    bytes: int
    sha256: str
    """Hexadecimal; also the `ETag` and the `Repr-Digest` of the download."""
    href: str
    """Where to download it; Range requests are answered."""
    created_at: Timestamp

    @classmethod
    def of(cls, view: ArtifactView, *, href: str) -> ArtifactOut:
        """The wire form of an artifact."""
        return cls(
            id=view.id,
            job_id=view.job_id,
            name=view.name,
            kind=view.kind,
            bytes=view.bytes,
            sha256=view.sha256,
            href=href,
            created_at=view.created_at,
        )

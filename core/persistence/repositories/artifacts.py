"""Stored files of jobs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.persistence.orm import ArtifactRow


class ArtifactRepository:
    """Rows of `artifact`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, job_id: str) -> Sequence[ArtifactRow]:
        """By name."""
        return self._session.scalars(
            select(ArtifactRow).where(ArtifactRow.job_id == job_id).order_by(ArtifactRow.name)
        ).all()

    def get(self, job_id: str, name: str) -> ArtifactRow | None:
        """The artifact of that name."""
        return self._session.scalar(select(ArtifactRow).where(ArtifactRow.job_id == job_id, ArtifactRow.name == name))

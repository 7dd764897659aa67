"""Checkpoints that lie in the artifact store."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.persistence.orm import CheckpointRow


class CheckpointRepository:
    """Rows of `checkpoint`. Whoever writes them holds the lock of their job."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def newest_first(self, job_id: str, part: str | None) -> Sequence[CheckpointRow]:
        """The job's, of one of its units (`None`: of all, unit by unit). Those of a later lease come first: it went on
        from an earlier one's, or could not use them."""
        query = select(CheckpointRow).where(CheckpointRow.job_id == job_id)
        if part is not None:
            query = query.where(CheckpointRow.part == part)
        order = (CheckpointRow.part, CheckpointRow.fence.desc(), CheckpointRow.name.desc())
        return self._session.scalars(query.order_by(*order)).all()

    def put(self, row: CheckpointRow) -> None:
        """Insert it, or replace the one of that job, part, fence and name."""
        self._session.merge(row)
        self._session.flush()

    def remove(self, rows: Sequence[CheckpointRow]) -> None:
        """Forget these."""
        for row in rows:
            self._session.delete(row)
        self._session.flush()

    def remove_all(self, job_id: str) -> None:
        """Forget all of a job's."""
        self._session.execute(delete(CheckpointRow).where(CheckpointRow.job_id == job_id))

"""The append-only log of a job."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from core.persistence.orm import EventRow, JobRow

NOTIFY_CHANNEL = "gblend_events"


class EventRepository:
    """Rows of `event`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def append(
        self,
        job: JobRow,
        *,
        dedupe_key: str,
        type: str,
        level: str,
        message: str,
        data: dict[str, Any],
        moment: datetime,
    ) -> EventRow:
        """Number the event and add it. The caller holds the lock of `job`: that is why `seq` has no gaps."""
        job.last_seq += 1
        row = EventRow(
            job_id=job.id,
            seq=job.last_seq,
            dedupe_key=dedupe_key,
            attempt=job.attempt,
            type=type,
            level=level,
            message=message.replace("\x00", "\ufffd"),  # PostgreSQL's text holds no NUL
            data=data,
            created_at=moment,
        )
        self._session.add(row)
        return row

    def announce(self, job_id: str) -> None:
        """Wake listeners of this job when the transaction commits (PostgreSQL; on SQLite they poll `data_version`)."""
        if self._session.get_bind().dialect.name == "postgresql":
            self._session.execute(text("SELECT pg_notify(:channel, :job)"), {"channel": NOTIFY_CHANNEL, "job": job_id})

    def page(self, job_id: str, *, after: int, limit: int, types: Collection[str] | None) -> Sequence[EventRow]:
        """Ascending, with `seq` above `after`; one row more than `limit` where there are more."""
        query = select(EventRow).where(EventRow.job_id == job_id, EventRow.seq > after)
        if types is not None:
            query = query.where(EventRow.type.in_(types))
        return self._session.scalars(query.order_by(EventRow.seq).limit(limit + 1)).all()

"""Figures about the whole engine, for metrics: counted over rows that are at work, by index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from core.persistence.orm import JobRow, UnitRow, WorkerRow

_AT_WORK = ("ready", "leased", "paused", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFigure:
    """Units of one queue in one state."""

    queue: str
    state: str
    """`ready`, `backoff` (ready, but resting after a failure), `leased`, `paused` or `waiting` (for other units)."""
    count: int
    oldest: datetime
    """When the first of them may, or might, have been taken."""


class FigureRepository:
    """Counts over `unit`, `job` and `worker`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def units(self, moment: datetime) -> Sequence[UnitFigure]:
        """Units that have not ended."""
        resting = and_(UnitRow.state == "ready", UnitRow.run_after > moment)
        state = case((resting, "backoff"), else_=UnitRow.state).label("shown")
        query = (
            select(UnitRow.queue, state, func.count(), func.min(UnitRow.run_after))
            .where(UnitRow.state.in_(_AT_WORK))
            .group_by(UnitRow.queue, state)
        )
        return [
            UnitFigure(queue=queue, state=shown, count=count, oldest=oldest)
            for queue, shown, count, oldest in self._session.execute(query)
        ]

    def jobs(self) -> Mapping[str, int]:
        """Status -> jobs, deleted ones left out. Two counts, each over an index."""
        every = select(JobRow.status, func.count()).group_by(JobRow.status)
        found = {row.status: row[1] for row in self._session.execute(every)}
        for status, count in self._session.execute(every.where(JobRow.deleted_at.is_not(None))):
            found[status] -= count
        return found

    def workers(self, since: datetime) -> Sequence[WorkerRow]:
        """Workers that have not stopped and were heard of since then."""
        query = select(WorkerRow).where(WorkerRow.stopped_at.is_(None), WorkerRow.heartbeat_at >= since)
        return self._session.scalars(query.order_by(WorkerRow.id)).all()

    def held_by(self, workers: Sequence[WorkerRow]) -> int:
        """Slots that the units fill which these workers hold."""
        query = select(func.sum(UnitRow.devices)).where(UnitRow.state == "leased")
        return self._session.scalar(query.where(UnitRow.worker_id.in_([row.id for row in workers]))) or 0

    def overdue(self, moment: datetime) -> int:
        """Units whose lease ended before `moment` and that nobody has put back."""
        query = select(func.count()).select_from(UnitRow)
        return self._session.scalar(query.where(UnitRow.state == "leased", UnitRow.lease_until < moment)) or 0

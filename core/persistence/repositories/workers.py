"""The registry of workers: who is there, and what it holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from core.persistence.orm import JobRow, UnitRow, WorkerRow


class WorkerRepository:
    """Rows of `worker`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, row: WorkerRow) -> None:
        """Insert a worker."""
        self._session.add(row)
        self._session.flush()

    def beat(self, worker_id: str, moment: datetime) -> bool:
        """It is alive; false where there is no such worker (any more)."""
        touched = update(WorkerRow).where(WorkerRow.id == worker_id).values(heartbeat_at=moment, stopped_at=None)
        return self._session.scalar(touched.returning(WorkerRow.id)) is not None

    def stop(self, worker_id: str, moment: datetime) -> None:
        """It ended in good order."""
        self._session.execute(update(WorkerRow).where(WorkerRow.id == worker_id).values(stopped_at=moment))

    def get(self, worker_id: str) -> WorkerRow | None:
        """One worker."""
        return self._session.get(WorkerRow, worker_id)

    def page(self, *, after: str | None, limit: int) -> Sequence[WorkerRow]:
        """Newest first, one more than `limit` where there are more."""
        query = select(WorkerRow).order_by(WorkerRow.id.desc()).limit(limit + 1)
        if after is not None:
            query = query.where(WorkerRow.id < after)
        return self._session.scalars(query).all()

    def queues_of_living(self, since: datetime) -> dict[str, tuple[int, ...]]:
        """The queues of workers that have not stopped and were heard of since then -> the slots that each of these
        workers has, in no order."""
        living = (WorkerRow.stopped_at.is_(None), WorkerRow.heartbeat_at >= since)
        found: dict[str, list[int]] = {}
        for queues, slots in self._session.execute(select(WorkerRow.queues, WorkerRow.slots).where(*living)):
            for queue in queues:
                found.setdefault(queue, []).append(slots)
        return {queue: tuple(slots) for queue, slots in found.items()}

    def leased(self, worker_ids: Collection[str]) -> Sequence[tuple[str, str, str]]:
        """`(worker id, job id, project)` of every unit that these workers hold, in the order of the units."""
        query = (
            select(UnitRow.worker_id, JobRow.id, JobRow.project)
            .join(JobRow, JobRow.id == UnitRow.job_id)
            .where(UnitRow.state == "leased", UnitRow.worker_id.in_(worker_ids))
            .order_by(UnitRow.id)
        )
        return [(worker_id or "", job_id, project) for worker_id, job_id, project in self._session.execute(query)]

    def waiting(self) -> Sequence[tuple[str, int, int]]:
        """`(queue, devices, how many)` of the units that are ready."""
        query = select(UnitRow.queue, UnitRow.devices, func.count()).where(UnitRow.state == "ready")
        found = self._session.execute(query.group_by(UnitRow.queue, UnitRow.devices).order_by(UnitRow.queue))
        return [(queue, devices, count) for queue, devices, count in found]

    def forget(self, before: datetime) -> None:
        """Remove those not heard of since `before`."""
        self._session.execute(delete(WorkerRow).where(WorkerRow.heartbeat_at < before))

"""Jobs: by id and project, by idempotency key, by page; and the lock that every writing transaction takes first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.persistence.orm import JobRow, UnitRow


class JobRepository:
    """Rows of `job`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, job_id: str, *, project: str) -> JobRow | None:
        """The job, unless it is another project's."""
        return self._session.scalar(select(JobRow).where(JobRow.id == job_id, JobRow.project == project))

    def lock(self, job_id: str, *, project: str | None = None, skip_locked: bool = False) -> JobRow | None:
        """The job, locked until the transaction ends. `skip_locked`: `None` where another transaction holds it."""
        query = select(JobRow).where(JobRow.id == job_id).with_for_update(skip_locked=skip_locked)
        if project is not None:
            query = query.where(JobRow.project == project)
        return self._session.scalar(query)

    def lock_of_unit(self, unit_id: str) -> JobRow | None:
        """The job that a unit belongs to, locked until the transaction ends."""
        query = select(JobRow).join(UnitRow, UnitRow.job_id == JobRow.id).where(UnitRow.id == unit_id)
        return self._session.scalar(query.with_for_update(of=JobRow))

    def by_idempotency_key(self, key: str, *, project: str) -> JobRow | None:
        """The job that was created with this key."""
        query = select(JobRow).where(JobRow.project == project, JobRow.idempotency_key == key)
        return self._session.scalar(query)

    def page(self, *, project: str, after: str | None, limit: int, status: str | None) -> Sequence[JobRow]:
        """Newest first, from the one after `after` on; one row more than `limit` where there are more."""
        query = select(JobRow).where(JobRow.project == project).order_by(JobRow.id.desc()).limit(limit + 1)
        if after is not None:
            query = query.where(JobRow.id < after)
        if status is not None:
            query = query.where(JobRow.status == status)
        return self._session.scalars(query).all()

    def queue_positions(self, job_ids: Collection[str]) -> dict[str, int]:
        """Job id -> 1-based place among the units that wait; jobs that do not wait are left out."""
        if not job_ids:
            return {}
        place = func.row_number().over(order_by=UnitRow.id).label("place")
        waiting = select(UnitRow.job_id, place).where(UnitRow.state == "ready").subquery()
        rows = self._session.execute(select(waiting.c.job_id, waiting.c.place).where(waiting.c.job_id.in_(job_ids)))
        return {row.job_id: row.place for row in rows}

    def terminal_among(self, job_ids: Collection[str], terminal: Collection[str]) -> set[str]:
        """Those of `job_ids` that have ended, and those that do not exist (any more)."""
        alive = self._session.scalars(select(JobRow.id).where(JobRow.id.in_(job_ids), JobRow.status.not_in(terminal)))
        return set(job_ids) - set(alive)

    def add(self, job: JobRow, unit: UnitRow) -> None:
        """Insert both; raises `IntegrityError` at once where the idempotency key is taken."""
        self._session.add(job)
        self._session.flush()
        self._session.add(unit)
        self._session.flush()

"""Jobs: by id and project, by idempotency key, by page; and the lock that every writing transaction takes first.

What an owner asks for by project never shows a deleted job, whose row may still be there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from core.persistence.orm import ExperimentJobRow, JobRow, UnitRow
from core.persistence.repositories.units import claimable


class JobRepository:
    """Rows of `job`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, job_id: str, *, project: str) -> JobRow | None:
        """The job, unless it is another project's."""
        query = select(JobRow).where(JobRow.id == job_id, JobRow.project == project, JobRow.deleted_at.is_(None))
        return self._session.scalar(query)

    def pulse(self, job_id: str, *, project: str) -> tuple[str, int] | None:
        """Status and number of the newest event, without the rest of the row."""
        query = select(JobRow.status, JobRow.last_seq).where(JobRow.id == job_id, JobRow.project == project)
        found = self._session.execute(query.where(JobRow.deleted_at.is_(None))).first()
        return None if found is None else (found.status, found.last_seq)

    def lock(self, job_id: str, *, project: str | None = None, skip_locked: bool = False) -> JobRow | None:
        """The job, locked until the transaction ends. `skip_locked`: `None` where another transaction holds it."""
        query = select(JobRow).where(JobRow.id == job_id).with_for_update(skip_locked=skip_locked)
        if project is not None:
            query = query.where(JobRow.project == project, JobRow.deleted_at.is_(None))
        return self._session.scalar(query)

    def lock_next(
        self, queues: Collection[str], moment: datetime, devices: int | None = None
    ) -> tuple[JobRow, str] | None:
        """The job whose unit should be claimed next, locked, and the unit's id: of the ready ones of these queues (that
        need no more `devices`) the one with the highest priority, of equals the oldest.

        Jobs that another transaction holds are passed over. The unit may have been taken a moment ago: claim it under
        the lock, and look again where that fails.
        """
        query = (
            select(JobRow.id, UnitRow.id)
            .join(UnitRow, UnitRow.job_id == JobRow.id)
            .where(*claimable(queues, moment, devices))
            .order_by(UnitRow.priority.desc(), UnitRow.id)
            .limit(1)
            .with_for_update(of=JobRow, skip_locked=True)
        )
        found = self._session.execute(query).first()
        job = None if found is None else self.lock(found[0])
        return None if found is None or job is None else (job, found[1])

    def lock_next_estimate(
        self, queues: Collection[str], moment: datetime, devices: int | None = None
    ) -> tuple[JobRow, str] | None:
        """As `lock_next`, of the units of jobs that have several; waits for a job that another transaction holds.

        A lock on such a job does not mean that its unit is being taken: another unit's worker may be writing.
        """
        query = (
            select(JobRow.id, UnitRow.id)
            .join(UnitRow, UnitRow.job_id == JobRow.id)
            .where(UnitRow.kind != "run", *claimable(queues, moment, devices))
            .order_by(UnitRow.priority.desc(), UnitRow.id)
            .limit(1)
        )
        found = self._session.execute(query).first()
        job = None if found is None else self.lock(found[0])
        return None if found is None or job is None else (job, found[1])

    def lock_of_unit(self, unit_id: str) -> JobRow | None:
        """The job that a unit belongs to, locked until the transaction ends."""
        query = select(JobRow).join(UnitRow, UnitRow.job_id == JobRow.id).where(UnitRow.id == unit_id)
        return self._session.scalar(query.with_for_update(of=JobRow))

    def by_idempotency_key(self, key: str, *, project: str) -> JobRow | None:
        """The job that was created with this key."""
        query = select(JobRow).where(JobRow.project == project, JobRow.idempotency_key == key)
        return self._session.scalar(query)

    def ancestors(self, job: JobRow) -> Sequence[str]:
        """Ids of the jobs that this one is a retry of, the nearest first; what was deleted ends the line."""
        found: list[str] = []
        older = job.retry_of
        while older is not None and older not in found:
            row = self.get(older, project=job.project)
            if row is None:
                break
            found.append(row.id)
            older = row.retry_of
        return found

    def lock_submissions(self, project: str) -> None:
        """Let no other transaction that calls this for the project go on until this one ends.

        On SQLite writers queue anyhow.
        """
        if self._session.get_bind().dialect.name == "postgresql":
            self._session.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"gblend:submit:{project}"}
            )

    def count(self, *, project: str, statuses: Collection[str], at_most: int) -> int:
        """How many jobs of the project have one of these states; counting ends at `at_most`."""
        some = select(JobRow.id).where(JobRow.project == project, JobRow.status.in_(statuses)).limit(at_most)
        return self._session.scalar(select(func.count()).select_from(some.subquery())) or 0

    def page(self, *, project: str, after: str | None, limit: int, status: str | None) -> Sequence[JobRow]:
        """Newest first, from the one after `after` on; one row more than `limit` where there are more."""
        query = select(JobRow).where(JobRow.project == project, JobRow.deleted_at.is_(None))
        query = query.order_by(JobRow.id.desc()).limit(limit + 1)
        if after is not None:
            query = query.where(JobRow.id < after)
        if status is not None:
            query = query.where(JobRow.status == status)
        return self._session.scalars(query).all()

    def queue_positions(self, job_ids: Collection[str]) -> dict[str, int]:
        """Job id -> 1-based place among the units that wait in its queue; jobs that do not wait are left out."""
        if not job_ids:
            return {}
        order = (UnitRow.priority.desc(), UnitRow.id)
        place = func.row_number().over(partition_by=UnitRow.queue, order_by=order).label("place")
        waiting = select(UnitRow.job_id, place).where(UnitRow.state == "ready").subquery()
        first = select(waiting.c.job_id, func.min(waiting.c.place).label("place")).group_by(waiting.c.job_id)
        rows = self._session.execute(first.where(waiting.c.job_id.in_(job_ids)))
        return {row.job_id: row.place for row in rows}

    def terminal_among(self, job_ids: Collection[str], terminal: Collection[str]) -> set[str]:
        """Those of `job_ids` that have ended, and those that do not exist (any more)."""
        alive = self._session.scalars(select(JobRow.id).where(JobRow.id.in_(job_ids), JobRow.status.not_in(terminal)))
        return set(job_ids) - set(alive)

    def resumable_among(self, job_ids: Collection[str], done: Collection[str]) -> set[str]:
        """Those of `job_ids` that may still need what their attempts left: neither deleted nor in a `done` state."""
        query = select(JobRow.id).where(JobRow.id.in_(job_ids), JobRow.deleted_at.is_(None), JobRow.status.not_in(done))
        return set(self._session.scalars(query))

    def deleted(self, *, after: str, limit: int) -> Sequence[str]:
        """Ids of jobs that were deleted and whose rows are still there, above `after`, ascending."""
        query = select(JobRow.id).where(JobRow.deleted_at.is_not(None), JobRow.id > after)
        return self._session.scalars(query.order_by(JobRow.id).limit(limit)).all()

    def finished_before(self, moment: datetime, *, limit: int) -> Sequence[str]:
        """Ids of jobs of no experiment that ended before `moment`, oldest first; not those deleted already."""
        member = select(ExperimentJobRow.job_id).where(ExperimentJobRow.job_id == JobRow.id)
        query = select(JobRow.id).where(JobRow.finished_at < moment, JobRow.deleted_at.is_(None), ~member.exists())
        return self._session.scalars(query.order_by(JobRow.id).limit(limit)).all()

    def experiment_of(self, job_id: str) -> str | None:
        """The experiment that the job belongs to."""
        return self._session.scalar(select(ExperimentJobRow.experiment_id).where(ExperimentJobRow.job_id == job_id))

    def remove(self, job_id: str) -> None:
        """Delete the row, and with it (by cascade) everything that the database knows of the job."""
        self._session.execute(delete(JobRow).where(JobRow.id == job_id, JobRow.deleted_at.is_not(None)))

    def add(self, jobs: Sequence[JobRow], units: Sequence[UnitRow]) -> None:
        """Insert all of them; raises `IntegrityError` at once where an idempotency key is taken."""
        self._session.add_all(jobs)
        self._session.flush()
        self._session.add_all(units)
        self._session.flush()

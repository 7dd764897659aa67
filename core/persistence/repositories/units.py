"""Units of work: claimed, fenced, found when their lease ran out, picked for another wake-up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, SQLColumnExpression, and_, func, literal, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from core.persistence.orm import JobRow, UnitRow


def claimable(queues: Collection[str], moment: datetime, devices: int | None = None) -> list[ColumnElement[bool]]:
    """What holds for the rows of `unit` that a claim may take: ready in one of these queues, rested, in need of no more
    `devices`; and no run of several workers while another run of its queue gathers its own."""
    holds = [UnitRow.state == "ready", UnitRow.queue.in_(queues), UnitRow.run_after <= moment]
    if devices is not None:
        holds.append(UnitRow.devices <= devices)
    return [*holds, or_(~_needs_helpers(), ~_gathers(UnitRow.queue))]


def _needs_helpers() -> ColumnElement[bool]:
    """Whether the row is the run of a job on several workers."""
    helper = aliased(UnitRow)
    return and_(
        UnitRow.kind == "run",
        select(helper.id).where(helper.job_id == UnitRow.job_id, helper.kind == "node").exists(),
    )


def _gathers(queue: SQLColumnExpression[str]) -> ColumnElement[bool]:
    """Whether a run of the queue holds a worker and lacks some of its others."""
    run, helper = aliased(UnitRow), aliased(UnitRow)
    lacking = select(run.id).join(helper, helper.job_id == run.job_id)
    lacking = lacking.where(run.state == "leased", run.queue == queue, run.kind == "run")
    return lacking.where(helper.kind == "node", helper.state.in_(("waiting", "ready"))).exists()


class UnitRepository:
    """Rows of `unit`. Whoever changes a unit's state holds the lock of its job."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of_job(self, job_id: str) -> Sequence[UnitRow]:
        """The job's units, oldest first."""
        return self._session.scalars(select(UnitRow).where(UnitRow.job_id == job_id).order_by(UnitRow.id)).all()

    def get(self, unit_id: str) -> UnitRow | None:
        """The unit as it stands, locked until the transaction ends."""
        return self._session.scalar(select(UnitRow).where(UnitRow.id == unit_id).with_for_update())

    def logged(self, unit_id: str) -> int:
        """How many chunks of the job's log are this unit's."""
        return self._session.scalar(select(UnitRow.logged).where(UnitRow.id == unit_id)) or 0

    def claim(
        self, unit_id: str, *, owner: str, worker_id: str | None, moment: datetime, lease_until: datetime
    ) -> UnitRow | None:
        """Take the unit if it is ready and its back-off is over. Of many callers, one gets the row."""
        statement = (
            update(UnitRow)
            .where(UnitRow.id == unit_id, UnitRow.state == "ready", UnitRow.run_after <= moment)
            .values(
                state="leased",
                fence=UnitRow.fence + 1,
                attempt=UnitRow.attempt + 1,
                owner=owner,
                worker_id=worker_id,
                leased_at=moment,
                heartbeat_at=moment,
                lease_until=lease_until,
            )
            .returning(UnitRow)
            .execution_options(synchronize_session=False)
        )
        return self._session.scalar(statement)

    def may_gather(self, unit_id: str) -> bool:
        """Whether a claim may take the unit for all that other jobs hold: false for a run of several workers while
        another run of its queue gathers its own.

        Two claims at the same moment each see the other's run still `ready`. A queue has no row that both could lock,
        and their jobs are different ones; so on PostgreSQL both take an advisory lock with the queue's name, and the
        later one looks once the earlier has committed (each statement sees what was committed before it). Whoever waits
        for it holds its own job alone, and whoever has it waits for no other job: nothing can go round in a circle. On
        SQLite the one writer's lock, which `write()` begins with, does the same.
        """
        queue = self._session.scalar(select(UnitRow.queue).where(UnitRow.id == unit_id, _needs_helpers()))
        if queue is None:
            return True
        if self._session.get_bind().dialect.name == "postgresql":
            lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
            self._session.execute(lock, {"name": f"gblend:gather:{queue}"})
        return not self._session.scalar(select(_gathers(literal(queue))))

    def devices_of_next(self, queues: Collection[str], moment: datetime, at_most: int) -> int | None:
        """What the unit needs that would be claimed next of these queues, of those that need `at_most` so many devices;
        `None` where none is ready."""
        query = select(UnitRow.devices).where(*claimable(queues, moment, at_most))
        return self._session.scalar(query.order_by(UnitRow.priority.desc(), UnitRow.id).limit(1))

    def desired(self, unit_id: str, fence: int) -> str | None:
        """What the job's owner wants, if the unit is still leased under `fence`."""
        query = select(JobRow.desired).join(UnitRow, UnitRow.job_id == JobRow.id)
        return self._session.scalar(
            query.where(UnitRow.id == unit_id, UnitRow.fence == fence, UnitRow.state == "leased")
        )

    def expired(self, moment: datetime) -> Sequence[UnitRow]:
        """Units whose lease is over, oldest first, not locked: look again under the job's lock."""
        until = func.coalesce(UnitRow.lease_until, UnitRow.created_at)
        query = select(UnitRow).where(UnitRow.state == "leased", until < moment).order_by(UnitRow.id)
        return self._session.scalars(query).all()

    def next_due(self, moment: datetime) -> datetime | None:
        """The first moment after this one at which a lease will be over, or a rest after a failure."""
        over = select(func.min(UnitRow.lease_until)).where(UnitRow.state == "leased", UnitRow.lease_until > moment)
        rested = select(func.min(UnitRow.run_after)).where(UnitRow.state == "ready", UnitRow.run_after > moment)
        return min((due for due in map(self._session.scalar, (over, rested)) if due is not None), default=None)

    def poke(self, *, moment: datetime, poked_before: datetime, limit: int) -> Sequence[tuple[str, str]]:
        """Mark up to `limit` ready units as announced now, in the order of claims, and return their ids and queues.

        Due are those never announced, announced before `poked_before`, or whose back-off ended since. Two dispatchers
        at once pick different rows.
        """
        due = (
            select(UnitRow.id, UnitRow.queue)
            .where(
                UnitRow.state == "ready",
                UnitRow.run_after <= moment,
                or_(
                    UnitRow.poked_at.is_(None),
                    UnitRow.poked_at < poked_before,
                    UnitRow.poked_at < UnitRow.run_after,
                ),
            )
            .order_by(UnitRow.priority.desc(), UnitRow.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        found = [(unit_id, queue) for unit_id, queue in self._session.execute(due)]
        if found:
            ids = [unit_id for unit_id, _ in found]
            self._session.execute(update(UnitRow).where(UnitRow.id.in_(ids)).values(poked_at=moment))
        return found

    def ready_among(self, unit_ids: Collection[str]) -> Sequence[tuple[str, str]]:
        """Ids and queues of those that are ready."""
        query = select(UnitRow.id, UnitRow.queue).where(UnitRow.id.in_(unit_ids), UnitRow.state == "ready")
        return [(unit_id, queue) for unit_id, queue in self._session.execute(query)]

    def forget_pokes(self, unit_ids: Collection[str]) -> None:
        """The wake-ups could not be sent after all: the next pass of a dispatcher tries again."""
        self._session.execute(
            update(UnitRow).where(UnitRow.id.in_(unit_ids), UnitRow.state == "ready").values(poked_at=None)
        )

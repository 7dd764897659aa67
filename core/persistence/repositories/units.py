"""Units of work: claimed, fenced, found when their lease ran out, picked for another wake-up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from core.persistence.orm import JobRow, UnitRow


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

    def claim(self, unit_id: str, *, owner: str, moment: datetime, lease_until: datetime) -> UnitRow | None:
        """Take the unit if it is ready and its back-off is over. Of many callers, one gets the row."""
        statement = (
            update(UnitRow)
            .where(UnitRow.id == unit_id, UnitRow.state == "ready", UnitRow.run_after <= moment)
            .values(
                state="leased",
                fence=UnitRow.fence + 1,
                attempt=UnitRow.attempt + 1,
                owner=owner,
                heartbeat_at=moment,
                lease_until=lease_until,
            )
            .returning(UnitRow)
            .execution_options(synchronize_session=False)
        )
        return self._session.scalar(statement)

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

    def poke(self, *, moment: datetime, poked_before: datetime, limit: int) -> Sequence[str]:
        """Mark up to `limit` ready units as announced now, oldest first, and return their ids.

        Due are those never announced, announced before `poked_before`, or whose back-off ended since. Two dispatchers
        at once pick different rows.
        """
        due = (
            select(UnitRow.id)
            .where(
                UnitRow.state == "ready",
                UnitRow.run_after <= moment,
                or_(
                    UnitRow.poked_at.is_(None),
                    UnitRow.poked_at < poked_before,
                    UnitRow.poked_at < UnitRow.run_after,
                ),
            )
            .order_by(UnitRow.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        ids = self._session.scalars(due).all()
        if ids:
            self._session.execute(update(UnitRow).where(UnitRow.id.in_(ids)).values(poked_at=moment))
        return ids

    def forget_poke(self, unit_id: str) -> None:
        """The wake-up could not be sent after all: the next pass of a dispatcher tries again."""
        self._session.execute(
            update(UnitRow).where(UnitRow.id == unit_id, UnitRow.state == "ready").values(poked_at=None)
        )

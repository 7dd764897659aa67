"""Counters that only grow, whoever counts and whatever is deleted."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.persistence.orm import CounterRow

LEASES_EXPIRED = "leases_expired"
ATTEMPT_FAILURES = "attempt_failures"
RETRIES = "retries"


class CounterRepository:
    """Rows of `counter`. They are locked to the end of the transaction: count what is rare, and count it last."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, name: str, label: str = "", by: int = 1) -> None:
        """Count `by` more, exactly if and when this transaction commits."""
        from sqlalchemy.dialects import postgresql, sqlite  # 70 ms that a process that counts nothing need not wait for

        upsert = postgresql.insert if self._session.get_bind().dialect.name == "postgresql" else sqlite.insert
        statement = upsert(CounterRow).values(name=name, label=label[:64], value=by)
        key = [CounterRow.name, CounterRow.label]
        self._session.execute(
            statement.on_conflict_do_update(index_elements=key, set_={"value": CounterRow.value + by})
        )

    def all(self) -> dict[tuple[str, str], int]:
        """(name, label) -> value."""
        return {(row.name, row.label): row.value for row in self._session.scalars(select(CounterRow))}

"""Registered data sets: by id and project, by idempotency key, by page."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.persistence.orm import DatasetRow


class DatasetRepository:
    """Rows of `dataset`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, dataset_id: str, *, project: str) -> DatasetRow | None:
        """One data set of the project."""
        query = select(DatasetRow).where(DatasetRow.id == dataset_id, DatasetRow.project == project)
        return self._session.scalar(query)

    def by_idempotency_key(self, key: str, *, project: str) -> DatasetRow | None:
        """What this key registered."""
        query = select(DatasetRow).where(DatasetRow.project == project, DatasetRow.idempotency_key == key)
        return self._session.scalar(query)

    def page(self, *, project: str, after: str | None, limit: int) -> Sequence[DatasetRow]:
        """Newest first, from the one after `after` on; one row more than `limit` where there are more."""
        query = select(DatasetRow).where(DatasetRow.project == project)
        if after is not None:
            query = query.where(DatasetRow.id < after)
        return self._session.scalars(query.order_by(DatasetRow.id.desc()).limit(limit + 1)).all()

    def add(self, row: DatasetRow) -> None:
        """Insert it; raises `IntegrityError` at once where the idempotency key is taken."""
        self._session.add(row)
        self._session.flush()

    def delete(self, dataset_id: str, *, project: str) -> bool:
        """Whether there was one."""
        statement = delete(DatasetRow).where(DatasetRow.id == dataset_id, DatasetRow.project == project)
        return self._session.scalar(statement.returning(DatasetRow.id)) is not None

"""Registered data sets: specs that jobs can name. They never change, and no job depends on one: it has its own copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import Issue, NotFoundError
from core.jobs.dataset_views import DatasetView
from core.jobs.service import DEFAULT_PROJECT
from core.jobs.submission import check_key, check_same_body, digest_of, once
from core.jobs.views import Page
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.ids import new_id
from core.persistence.orm import DatasetRow
from core.persistence.repositories import DatasetRepository
from core.spec.registration import DatasetRegistration


class DatasetService:
    """Data sets as their owners see them. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(
        self,
        registration: DatasetRegistration,
        *,
        fingerprint: str,
        statistics: Mapping[str, Any],
        warnings: Sequence[Issue] = (),
        project: str = DEFAULT_PROJECT,
        idempotency_key: str | None = None,
    ) -> tuple[DatasetView, bool]:
        """Store it with what was found, or find what this key stored: `(it, is it new)`.

        Raises `IdempotencyError` where the key stored another one, `SpecError` (`idempotency.key`).
        """

        def create() -> DatasetView:
            with self._database.write() as session:
                moment = now(session)
                row = DatasetRow(
                    id=new_id("ds", moment),
                    project=project,
                    spec=registration.resolved(),
                    fingerprint=fingerprint,
                    statistics=dict(statistics),
                    warnings=[issue.to_json() for issue in warnings],
                    idempotency_key=idempotency_key,
                    body_digest=digest_of(registration.canonical()),
                    created_at=moment,
                )
                DatasetRepository(session).add(row)
                return _view(row)

        def replay(key: str) -> DatasetView | None:
            return self.replay(key, project=project, registration=registration)

        return once(idempotency_key, replay, create)

    def replay(
        self, idempotency_key: str, *, project: str = DEFAULT_PROJECT, registration: DatasetRegistration
    ) -> DatasetView | None:
        """What this key stored; `None` for a fresh key. Keys of jobs and experiments are others."""
        check_key(idempotency_key)
        with self._database.read() as session:
            row = DatasetRepository(session).by_idempotency_key(idempotency_key, project=project)
            if row is None:
                return None
            check_same_body(row, digest_of(registration.canonical()))
            return _view(row)

    def get(self, dataset_id: str, *, project: str = DEFAULT_PROJECT) -> DatasetView:
        """The data set; `NotFoundError` (`dataset.not_found`)."""
        with self._database.read() as session:
            row = DatasetRepository(session).get(dataset_id, project=project)
            if row is None:
                raise _not_found(dataset_id)
            return _view(row)

    def list_datasets(
        self, *, project: str = DEFAULT_PROJECT, after: str | None = None, limit: int = 50
    ) -> Page[DatasetView]:
        """Newest first; the cursor `after` is the id of the last one of the page before."""
        with self._database.read() as session:
            rows = DatasetRepository(session).page(project=project, after=after, limit=limit)
            data = tuple(_view(row) for row in rows[:limit])
        return Page(data=data, has_more=len(rows) > limit, next_after=data[-1].id if data else None)

    def delete(self, dataset_id: str, *, project: str = DEFAULT_PROJECT) -> None:
        """Forget it; jobs that named it keep what they have. The data stay where they are. `NotFoundError`."""
        with self._database.write() as session:
            if not DatasetRepository(session).delete(dataset_id, project=project):
                raise _not_found(dataset_id)


def _not_found(dataset_id: str) -> NotFoundError:
    return NotFoundError(f"there is no data set {dataset_id!r}", code="dataset.not_found")


def _view(row: DatasetRow) -> DatasetView:
    return DatasetView(
        id=row.id,
        project=row.project,
        name=row.spec["name"],
        metadata=row.spec["metadata"],
        spec=row.spec,
        fingerprint=row.fingerprint,
        statistics=row.statistics,
        warnings=tuple(row.warnings),
        created_at=row.created_at,
    )

"""Checkpoints that workers share through the artifact store: which there are, written under the lease.

A row is written after its files are in the store, whole and verified. Files without a row do not count, whoever left
them. What is kept on a worker's disk alone is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from core.errors import LeaseLostError, NotFoundError
from core.jobs.lease import Lease
from core.jobs.parts import head_of, part_name
from core.jobs.shared_checkpoint import SharedCheckpoint, StoredFile
from core.jobs.views import Page
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.orm import CheckpointRow
from core.persistence.repositories import CheckpointRepository, JobRepository, UnitRepository

KEPT = 2
"""How many a unit of a job has at most: the newest, and one to fall back to."""


class CheckpointService:
    """Shared checkpoints. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, lease: Lease, checkpoint: SharedCheckpoint) -> tuple[SharedCheckpoint, ...]:
        """Its files are in the store: let it count. Returns those that do not any more, whose files can go.

        Raises `LeaseLostError` where the lease does not hold; nothing is written then. The lease is not renewed: who
        uploads proves nothing about the training.
        """
        with self._database.write() as session:
            _check_fence(session, lease)
            checkpoints = CheckpointRepository(session)
            checkpoints.put(_row(checkpoint, now(session)))
            older = checkpoints.newest_first(lease.job_id, lease.part)[KEPT:]
            checkpoints.remove(older)
            return tuple(_view(row) for row in older)

    def forget(self, lease: Lease, checkpoint: SharedCheckpoint) -> None:
        """This checkpoint of the lease's own job was found damaged or gone. Raises `LeaseLostError`."""
        with self._database.write() as session:
            _check_fence(session, lease)
            checkpoints = CheckpointRepository(session)
            same = (checkpoint.fence, checkpoint.name)
            own = checkpoints.newest_first(lease.job_id, lease.part)
            checkpoints.remove([row for row in own if (row.fence, row.name) == same])

    def of_jobs(self, job_ids: Sequence[str], part: str | None = "") -> tuple[SharedCheckpoint, ...]:
        """What a run may go on from, the best first: job by job in this order, the newest of each first.

        `part`: `Lease.part` of the unit that is to go on; `None`: all there are, of whatever unit.
        """
        with self._database.read() as session:
            checkpoints = CheckpointRepository(session)
            return tuple(_view(row) for job_id in job_ids for row in checkpoints.newest_first(job_id, part))

    def page(self, job_id: str, *, project: str) -> Page[SharedCheckpoint]:
        """All of a job's, newest first; `NotFoundError` (`job.not_found`)."""
        with self._database.read() as session:
            job = JobRepository(session).get(job_id, project=project)
            if job is None:
                raise NotFoundError(f"there is no job {job_id!r}", code="job.not_found")
            rows = CheckpointRepository(session).newest_first(job_id, None)
            heads = {part_name(unit): head_of(unit) for unit in UnitRepository(session).of_job(job_id)}
            data = tuple(replace(_view(row), head=heads.get(row.part)) for row in rows)
        return Page(data=data, has_more=False, next_after=data[-1].name if data else None)


def _check_fence(session: Session, lease: Lease) -> None:
    """Lock the job, then see whether the unit is still leased under this fence."""
    job = JobRepository(session).lock(lease.job_id)
    unit = UnitRepository(session).get(lease.unit_id)
    if job is None or unit is None or unit.fence != lease.fence or unit.state != "leased":
        raise LeaseLostError(f"unit {lease.unit_id} is no longer leased under fence {lease.fence}")


def _row(checkpoint: SharedCheckpoint, moment: datetime) -> CheckpointRow:
    files: list[Any] = [{"name": f.name, "bytes": f.bytes, "sha256": f.sha256} for f in checkpoint.files]
    return CheckpointRow(
        job_id=checkpoint.job_id,
        part=checkpoint.part,
        fence=checkpoint.fence,
        name=checkpoint.name,
        bytes=checkpoint.bytes,
        uri=checkpoint.uri,
        files=files,
        created_at=moment,
    )


def _view(row: CheckpointRow) -> SharedCheckpoint:
    return SharedCheckpoint(
        job_id=row.job_id,
        part=row.part,
        fence=row.fence,
        name=row.name,
        uri=row.uri,
        files=tuple(StoredFile(**file) for file in row.files),
        created_at=row.created_at,
    )

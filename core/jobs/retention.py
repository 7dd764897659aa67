"""What makes deletion complete, and retention a habit: one small sweep, from every process that cares to run it.

Deleting has two phases. The owner's request marks the row: from then on nobody sees the job. The sweep removes its
files from the artifact store, and only then its rows. Whoever dies in between leaves a marked row, and the next sweep
does all of it again: removing what is gone already is fine. Run directories are each worker's own affair: what belongs
to no job any more goes in `worker.rundir.sweep`.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from core.artifacts import ArtifactStore
from core.errors import ArtifactError
from core.jobs.lifecycle import delete_locked
from core.jobs.state import JobStatus
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.repositories import ExperimentRepository, JobRepository

log = logging.getLogger(__name__)

PER_PASS = 100
"""So many jobs are expired, and so many removed, in one pass: a sweep must not hold up what else its thread does."""


class Retention:
    """Deletes jobs that ended too long ago, and removes what was deleted. Idempotent, safe from many processes."""

    def __init__(self, database: Database, artifacts: ArtifactStore, *, retention_days: float | None = None) -> None:
        """`retention_days`: how long a job stays after its end; `None`: for ever."""
        self._database = database
        self._artifacts = artifacts
        self._retention_days = retention_days

    def sweep(self) -> int:
        """One pass; returns how many jobs were removed for good."""
        if self._retention_days is not None:
            self._expire(timedelta(days=self._retention_days))
        return self._remove()

    def _expire(self, kept: timedelta) -> None:
        """Mark what ended longer ago than `kept`; an experiment only as a whole, when its last job did."""
        with self._database.read() as session:
            before = now(session) - kept
            jobs = JobRepository(session).finished_before(before, limit=PER_PASS)
            experiments = [row.id for row in ExperimentRepository(session).finished_before(before, limit=PER_PASS)]
        for job_id in jobs:
            with self._database.write() as session:
                row = JobRepository(session).lock(job_id, skip_locked=True)
                if row is not None and row.deleted_at is None and JobStatus(row.status).is_terminal:
                    delete_locked(row, now(session))
        for experiment_id in experiments:
            with self._database.write() as session:
                repository = ExperimentRepository(session)
                moment = now(session)
                for row in repository.lock_jobs(experiment_id):
                    delete_locked(row, moment)
                repository.mark_deleted(experiment_id, moment)
        if jobs or experiments:
            log.info("retention is over", extra={"jobs": len(jobs), "experiments": len(experiments)})

    def _remove(self) -> int:
        removed, last = 0, ""
        while removed < PER_PASS:
            with self._database.read() as session:
                found = JobRepository(session).deleted(after=last, limit=PER_PASS)
            if not found:
                break
            for job_id in found:  # one that cannot be removed now does not hold up the others
                removed += self._remove_one(job_id)
            last = found[-1]
        with self._database.write() as session:
            ExperimentRepository(session).remove_emptied()
        return removed

    def _remove_one(self, job_id: str) -> int:
        """Files first: a row without files is found again, files without a row are not."""
        folder = f"jobs/{job_id}"
        try:
            self._artifacts.delete_below(folder)
            if self._artifacts.children(folder):  # another sweep is at it, and may yet fail
                return 0
        except (ArtifactError, OSError):
            log.warning("artifacts of a deleted job not removed; trying again", extra={"job_id": job_id}, exc_info=True)
            return 0
        with self._database.write() as session:
            JobRepository(session).remove(job_id)
        log.info("job removed", extra={"job_id": job_id})
        return 1

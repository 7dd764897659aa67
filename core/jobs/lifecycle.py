"""What the owner of a job can do beside submitting and cancelling it: pause, resume, retry, delete.

Every method runs one transaction and commits before it returns; a wake-up is sent after the commit, never before.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from core.errors import ConflictError, Issue, SpecError
from core.jobs.broker import WakeUp
from core.jobs.ledger import Ledger
from core.jobs.service import DEFAULT_PROJECT, JobService, lock_existing, view_of
from core.jobs.state import PAUSE_REQUESTED, RESUME_REQUESTED, Action, JobStatus, next_status
from core.jobs.submission import WakeUps, digest_of
from core.jobs.views import JobView
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.orm import JobRow, UnitRow
from core.persistence.repositories import JobRepository, UnitRepository
from core.spec import JobSpec, canonical_json


class Lifecycle:
    """Pausing, resuming, retrying and deleting jobs. Thread-safe.

    `jobs` creates what a retry is; `wake_ups` tells workers of what was resumed.
    """

    def __init__(self, database: Database, jobs: JobService, wake_ups: WakeUps) -> None:
        self._database = database
        self._jobs = jobs
        self._wake_ups = wake_ups

    def pause(self, job_id: str, *, project: str = DEFAULT_PROJECT) -> JobView:
        """Ask the job to stop for now. One that waits is `paused` at once; one that runs is `pausing` until its process
        has written a checkpoint and is gone.

        Doing it twice is fine. Raises `ConflictError` (`job.state`) where the job is being cancelled or has ended,
        `NotFoundError`.
        """
        with self._database.write() as session:
            row = lock_existing(session, job_id, project)
            Ledger(session, row, now(session)).move(Action.PAUSE, reason=PAUSE_REQUESTED)
            _set_units(session, row, "ready", "paused")  # what is at work follows when it is given back
            row.desired = "pause"
            session.flush()
            return view_of(session, row)

    def resume(self, job_id: str, *, project: str = DEFAULT_PROJECT) -> JobView:
        """Let a paused job wait for a worker again; it goes on from its last checkpoint.

        One that is still `pausing` is `starting` again: its process goes on where it has not heard of the pause yet,
        and otherwise the job waits again as soon as the process is gone. One that is not paused at all stays as it is.
        Raises `ConflictError` (`job.state`) where the job is being cancelled or has ended, `NotFoundError`.
        """
        resumed: list[WakeUp] = []
        with self._database.write() as session:
            row = lock_existing(session, job_id, project)
            moment = now(session)
            Ledger(session, row, moment).move(Action.RESUME, reason=RESUME_REQUESTED)
            row.desired = "run"
            for unit in _set_units(session, row, "paused", "ready"):
                unit.run_after = moment
                unit.poked_at = moment if self._wake_ups.are_sent else None
                resumed.append(WakeUp(unit.id, unit.queue))
            session.flush()
            view = view_of(session, row)
        self._wake_ups.send(resumed)
        return view

    def retry(
        self,
        job_id: str,
        *,
        project: str = DEFAULT_PROJECT,
        scheduling: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> tuple[JobView, bool]:
        """A new job with the spec of one that failed or was cancelled, which goes on from its last checkpoint:
        `(job, whether it is new)`.

        `scheduling` has the fields of the spec's section of that name that are to be other ones; they decide when and
        where it runs, never the result, so that the checkpoint stays good. Raises as `JobService.submit` does,
        `ConflictError` (`job.state`) where the job has not ended badly, `NotFoundError`, and `SpecError` where the old
        spec with these fields is none (any more).
        """
        changes = dict(scheduling or {})
        digest = digest_of(canonical_json({"retry_of": job_id, "scheduling": changes}))
        if idempotency_key is not None:
            earlier = self._jobs.replay(idempotency_key, project=project, body_digest=digest)
            if earlier is not None:
                return earlier, False
        old = self._jobs.get(job_id, project=project)
        next_status(old.status, Action.RETRY)  # terminal states never change: no lock is needed
        raw = {**old.spec, "scheduling": {**old.spec.get("scheduling", {}), **changes}}
        try:
            spec = JobSpec.model_validate(raw)
        except ValidationError as error:
            if changes and _is_spec(old.spec):
                raise SpecError(
                    str(error.errors()[0]["msg"]).removeprefix("Value error, "),
                    hint="the spec of a retry stays as it is; leave that field of scheduling as it was",
                ) from error
            # It was good once: an older version took what this one does not.
            raise SpecError(
                f"the spec of {old.id} is none that this version takes: {error.error_count()} problems",
                hint="submit it again as a new job: the answer says what is wrong",
            ) from error
        return self._jobs.submit(
            spec,
            project=project,
            idempotency_key=idempotency_key,
            body_digest=digest,
            warnings=[Issue.from_json(raw) for raw in old.warnings],
            retry_of=old.id,
        )

    def delete(self, job_id: str, *, project: str = DEFAULT_PROJECT) -> None:
        """Hide a job that has ended; a sweep (`core.jobs.retention`) removes what it left behind.

        Raises `ConflictError` (`job.state`, or `job.of_experiment`: an experiment is deleted as a whole),
        `NotFoundError`, also for a job that was deleted before.
        """
        with self._database.write() as session:
            row = lock_existing(session, job_id, project)
            next_status(JobStatus(row.status), Action.DELETE)
            experiment = JobRepository(session).experiment_of(row.id)
            if experiment is not None:
                raise ConflictError(
                    f"the job belongs to the experiment {experiment}, whose comparison needs it",
                    code="job.of_experiment",
                    hint=f"delete the experiment {experiment} as a whole",
                )
            delete_locked(row, now(session))


def delete_locked(row: JobRow, moment: datetime) -> None:
    """Hide a job that the caller has locked and that has ended. Its idempotency key is free again."""
    row.deleted_at, row.idempotency_key = moment, None


def _is_spec(raw: Mapping[str, Any]) -> bool:
    try:
        JobSpec.model_validate(raw)
    except ValidationError:
        return False
    return True


def _set_units(session: Session, row: JobRow, state: str, following: str) -> list[UnitRow]:
    """Put the units that are in a state into the one that follows; returns them."""
    units = [unit for unit in UnitRepository(session).of_job(row.id) if unit.state == state]
    for unit in units:
        unit.state = following
    return units

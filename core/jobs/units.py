"""What a worker can do with a unit: claim, heartbeat, record, finish, give back; and what happens when it dies.

Every method is one transaction that first locks the job, then looks whether the lease still holds, then writes. Doing
any of them twice changes nothing the second time: a worker that lost the answer to a commit may simply try again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from core.errors import LeaseLostError
from core.events import JournalEntry, Progress, RunCompleted
from core.jobs.lease import Lease, StoredArtifact, backoff_seconds
from core.jobs.ledger import Ledger
from core.jobs.recording import record_entry
from core.jobs.state import TERMINAL, Action, JobStatus
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.ids import new_id
from core.persistence.orm import ArtifactRow, UnitRow
from core.persistence.repositories import JobRepository, UnitRepository
from core.settings import EngineSettings

log = logging.getLogger(__name__)

WORKER_LOST = "worker_lost"
CHILD_CRASHED = "child_crashed"
_POKES_PER_PASS = 100
"""The oldest units come first, so a long queue does not flood the broker with wake-ups nobody can act on."""


class UnitService:
    """Units as workers and reapers see them. Thread-safe."""

    def __init__(self, database: Database, engine: EngineSettings) -> None:
        self._database = database
        self._engine = engine

    # The life of a lease

    def claim(self, unit_id: str, owner: str) -> Lease | None:
        """Take the unit; `None` where it is not ready (any more): a late or doubled wake-up, or a faster worker."""
        with self._database.write() as session:
            job = JobRepository(session).lock_of_unit(unit_id)
            if job is None:
                return None
            moment = now(session)
            unit = UnitRepository(session).claim(
                unit_id, owner=owner, moment=moment, lease_until=self._lease_until(moment)
            )
            if unit is None:
                return None
            job.attempt = unit.attempt
            Ledger(session, job, moment).move(Action.CLAIM, message=f"A worker took the job (attempt {unit.attempt})")
            return Lease(
                unit_id=unit.id,
                job_id=job.id,
                fence=unit.fence,
                owner=owner,
                attempt=unit.attempt,
                recorded=unit.recorded,
                spec=job.spec,
            )

    def desired(self, lease: Lease) -> str:
        """What the owner wants, `run` or `cancel`, without renewing the lease. Raises `LeaseLostError`."""
        with self._database.read() as session:
            desired = UnitRepository(session).desired(lease.unit_id, lease.fence)
        if desired is None:
            raise _lost(lease)
        return desired

    def heartbeat(self, lease: Lease, progress: Progress | None = None) -> str:
        """Renew the lease and store where the run is; returns what the owner wants. Raises `LeaseLostError`."""
        with self._fenced(lease) as (ledger, unit, _):
            _note_progress(ledger, unit, progress)
            return ledger.job.desired

    def record(self, lease: Lease, entries: Sequence[JournalEntry], progress: Progress | None = None) -> str:
        """Store journal entries, each exactly once, and renew the lease; returns what the owner wants.

        Entries come in order; those recorded already (by this attempt or an earlier one) are skipped. Raises
        `LeaseLostError`, and `ValueError` where a number is missing: nothing is stored then.
        """
        with self._fenced(lease) as (ledger, unit, session):
            _record(session, ledger, unit, entries)
            _note_progress(ledger, unit, progress)
            return ledger.job.desired

    # The end of a lease

    def succeed(
        self,
        lease: Lease,
        completed: RunCompleted,
        artifacts: Sequence[StoredArtifact],
        progress: Progress | None = None,
    ) -> None:
        """The training is complete and all its entries are recorded: point at the files and end the job."""
        result = json.loads(completed.model_dump_json(exclude={"type", "artifacts"}))
        with self._database.write() as session:
            held = self._holding(session, lease, settled={"done"})
            if held is None:
                return
            ledger, unit = held
            _note_progress(ledger, unit, progress)
            session.add_all(_artifact_row(lease.job_id, artifact, ledger.moment) for artifact in artifacts)
            unit.state, unit.result = "done", result
            ledger.job.result = result
            ledger.move(Action.START)
            ledger.move(Action.SUCCEED)

    def fail(self, lease: Lease, error: dict[str, Any], *, reason: str) -> None:
        """Trying again would not help: end the job with `error` `{code, message, hint}`."""
        with self._database.write() as session:
            held = self._holding(session, lease, settled={"failed"})
            if held is not None:
                ledger, unit = held
                _fail(ledger, unit, error, reason)

    def release(self, lease: Lease, *, reason: str, error: dict[str, Any] | None = None) -> bool:
        """Give the unit back; returns whether it is ready at once for another worker.

        Without `error` the worker merely shuts down: the unit is ready at once and no failure is counted. With `error`
        the attempt failed: the unit rests for a while, or the job ends with that error if no attempt is left. A job
        that is being cancelled is cancelled now.
        """
        with self._database.write() as session:
            held = self._holding(session, lease, settled={"ready", "failed", "cancelled"})
            if held is None:
                return False
            ledger, unit = held
            self._put_back(ledger, unit, reason, error)
            return unit.state == "ready" and error is None

    # What needs no lease

    def reap(self) -> int:
        """Put back every unit whose lease is over; returns how many. Idempotent, safe from many processes at once."""
        with self._database.read() as session:
            suspects = [(unit.id, unit.job_id) for unit in UnitRepository(session).expired(now(session))]
        return sum(self._reap_one(unit_id, job_id) for unit_id, job_id in suspects)

    def take_due(self) -> Sequence[str]:
        """The ready units that somebody should be told of, oldest first; marked as told."""
        with self._database.write() as session:
            moment = now(session)
            before = moment - timedelta(seconds=self._engine.redispatch_seconds)
            return UnitRepository(session).poke(moment=moment, poked_before=before, limit=_POKES_PER_PASS)

    def not_told(self, unit_id: str) -> None:
        """The wake-up could not be sent: let the next pass try again."""
        with self._database.write() as session:
            UnitRepository(session).forget_poke(unit_id)

    def fence_of_result(self, job_id: str) -> int | None:
        """The fence under which the job succeeded: whose files count."""
        with self._database.read() as session:
            done = [unit.fence for unit in UnitRepository(session).of_job(job_id) if unit.state == "done"]
        return done[0] if done else None

    def ended(self, job_ids: Collection[str]) -> set[str]:
        """Those of `job_ids` that have ended or are gone: their run directories are of no use any more."""
        with self._database.read() as session:
            return JobRepository(session).terminal_among(job_ids, {status.value for status in TERMINAL})

    def _reap_one(self, unit_id: str, job_id: str) -> int:
        with self._database.write() as session:
            job = JobRepository(session).lock(job_id, skip_locked=True)
            if job is None:  # its worker is writing right now, or another reaper is at it
                return 0
            moment = now(session)
            unit = UnitRepository(session).get(unit_id)
            if unit is None or unit.state != "leased" or (unit.lease_until or unit.created_at) >= moment:
                return 0
            error = {
                "code": WORKER_LOST,
                "message": f"the worker that ran attempt {unit.attempt} stopped answering",
                "hint": "look for it in the workers' logs; out of memory is the usual cause",
            }
            self._put_back(Ledger(session, job, moment), unit, WORKER_LOST, error)
            log.warning("lease expired", extra={"unit_id": unit_id, "job_id": job_id, "owner": unit.owner})
            return 1

    def _put_back(self, ledger: Ledger, unit: UnitRow, reason: str, error: dict[str, Any] | None) -> None:
        unit.owner = unit.lease_until = None
        if ledger.job.desired == "cancel":
            unit.state = "cancelled"
            ledger.move(Action.STOPPED, reason="cancel_requested")
            return
        unit.failures += 1 if error else 0
        if error and unit.failures >= unit.max_attempts:
            _fail(ledger, unit, error, reason)
            return
        rest = backoff_seconds(unit.failures, self._engine.retry_backoff_seconds) if error else 0.0
        unit.state, unit.error = "ready", error
        unit.run_after = ledger.moment + timedelta(seconds=rest)
        unit.poked_at = None
        ledger.move(Action.RELEASE, reason=reason)

    @contextmanager
    def _fenced(self, lease: Lease) -> Iterator[tuple[Ledger, UnitRow, Session]]:
        with self._database.write() as session:
            held = self._holding(session, lease, settled=())
            if held is None:
                raise AssertionError("nothing counts as settled here")
            yield *held, session

    def _holding(self, session: Session, lease: Lease, *, settled: Collection[str]) -> tuple[Ledger, UnitRow] | None:
        """Lock the job, check the fence, renew the lease. Raises `LeaseLostError` where it does not hold.

        `None`: the unit is in one of the `settled` states under this very fence, so that this write was done already
        and only the answer to its commit was lost.
        """
        job = JobRepository(session).lock(lease.job_id)
        unit = UnitRepository(session).get(lease.unit_id)
        if job is None or unit is None or unit.fence != lease.fence:
            raise _lost(lease)
        if unit.state in settled:
            return None
        if unit.state != "leased":
            raise _lost(lease)
        moment = now(session)
        unit.heartbeat_at, unit.lease_until = moment, self._lease_until(moment)
        return Ledger(session, job, moment), unit

    def _lease_until(self, moment: datetime) -> datetime:
        return moment + timedelta(seconds=self._engine.lease_seconds)


def _lost(lease: Lease) -> LeaseLostError:
    return LeaseLostError(f"unit {lease.unit_id} is no longer leased under fence {lease.fence}")


def _artifact_row(job_id: str, artifact: StoredArtifact, moment: datetime) -> ArtifactRow:
    return ArtifactRow(
        id=new_id("art", moment),
        job_id=job_id,
        name=artifact.name,
        kind=artifact.kind,
        bytes=artifact.bytes,
        sha256=artifact.sha256,
        uri=artifact.uri,
        created_at=moment,
    )


def _record(session: Session, ledger: Ledger, unit: UnitRow, entries: Sequence[JournalEntry]) -> None:
    if entries:
        ledger.move(Action.START)
    for entry in entries:
        if entry.number <= unit.recorded:
            continue
        if entry.number != unit.recorded + 1:
            raise ValueError(f"journal entry {entry.number} follows {unit.recorded}: entries between are missing")
        record_entry(session, ledger, entry)
        unit.recorded = entry.number


def _note_progress(ledger: Ledger, unit: UnitRow, progress: Progress | None) -> None:
    if progress is None:
        return
    current: dict[str, Any] = json.loads(progress.model_dump_json())
    if current != ledger.job.progress:
        ledger.job.progress = current
        unit.progress_at = ledger.moment
        ledger.touch()


def _fail(ledger: Ledger, unit: UnitRow, error: dict[str, Any], reason: str) -> None:
    unit.state, unit.error = "failed", error
    if ledger.move(Action.FAIL, reason=reason, message=f"The job failed: {error['message']}") is JobStatus.FAILED:
        ledger.job.error = error

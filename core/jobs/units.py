"""What a worker can do with a unit that it holds: heartbeat, record, finish, give back; and what happens when it dies.

How it comes to hold one is `core.jobs.unit_queue`'s. Every method is one transaction that first locks the job, then
looks whether the lease still holds, then writes. Doing any of them twice changes nothing the second time: a worker that
lost the answer to a commit may simply try again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from core.errors import LeaseLostError
from core.events import JournalEntry, Progress, RunCompleted
from core.jobs.broker import WakeUp
from core.jobs.checkpoints import CheckpointService
from core.jobs.ending import MAX_RUNTIME, LeaseEnd, count_runtime
from core.jobs.lease import Lease, StoredArtifact, StoredEstimate
from core.jobs.ledger import Ledger
from core.jobs.logs import LogWriter
from core.jobs.parts import (
    ESTIMATE,
    NODE,
    RUN,
    combined_progress,
    journal_name,
    token_of,
)
from core.jobs.recording import record_entry
from core.jobs.state import TERMINAL, Action, JobStatus
from core.jobs.unit_queue import UnitQueue
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.ids import new_id
from core.persistence.orm import ArtifactRow, UnitRow
from core.persistence.repositories import CheckpointRepository, JobRepository, UnitRepository
from core.persistence.repositories.counters import LEASES_EXPIRED
from core.settings import EngineSettings

__all__ = ["CHILD_CRASHED", "CHILD_STALLED", "DATA_CUT", "MAX_RUNTIME", "WORKER_LOST", "UnitService"]

log = logging.getLogger(__name__)

WORKER_LOST = "worker_lost"
CHILD_CRASHED = "child_crashed"
CHILD_STALLED = "child_stalled"
DATA_CUT = "data_cut"
"""The process died of a page that is no longer there: a file that it had mapped into memory was cut."""


class UnitService(UnitQueue):
    """Units as workers and reapers see them, those that wait and those that are held. Thread-safe."""

    def __init__(self, database: Database, engine: EngineSettings) -> None:
        super().__init__(database, engine)
        self.logs = LogWriter(database)
        self.checkpoints = CheckpointService(database)

    # The life of a lease (it begins with a claim: `UnitQueue`)

    def desired(self, lease: Lease) -> str:
        """What the owner wants, `run`, `pause` or `cancel`, without renewing the lease. Raises `LeaseLostError`."""
        with self._database.read() as session:
            desired = UnitRepository(session).desired(lease.unit_id, lease.fence)
        if desired is None:
            raise _lost(lease)
        return desired

    def heartbeat(self, lease: Lease, progress: Progress | None = None) -> str:
        """Renew the lease and store where the run is; returns what the owner wants. Raises `LeaseLostError`."""
        with self._fenced(lease) as (ledger, unit, session):
            _note_progress(session, ledger, unit, progress)
            return ledger.job.desired

    def record(self, lease: Lease, entries: Sequence[JournalEntry], progress: Progress | None = None) -> str:
        """Store journal entries, each exactly once, and renew the lease; returns what the owner wants.

        Entries come in order; those recorded already (by this attempt or an earlier one) are skipped. Raises
        `LeaseLostError`, and `ValueError` where a number is missing: nothing is stored then.
        """
        with self._fenced(lease) as (ledger, unit, session):
            _record(session, ledger, unit, entries)
            _note_progress(session, ledger, unit, progress)
            return ledger.job.desired

    def open_nodes(self, lease: Lease, meeting: str) -> Sequence[WakeUp]:
        """The run's training waits for the job's other workers at `meeting`: let workers take their units. Returns the
        wake-ups to be sent. Raises `LeaseLostError`."""
        with self._fenced(lease) as (ledger, run, session):
            opened = []
            for unit in UnitRepository(session).of_job(lease.job_id):
                if unit.kind == NODE and unit.state == "waiting":
                    unit.state, unit.run_after, unit.poked_at = "ready", ledger.moment, None
                    unit.payload = {"meeting": meeting, "token": token_of(run)}
                    opened.append(WakeUp(unit.id, unit.queue))
            return opened

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
            _note_progress(session, ledger, unit, progress)
            session.add_all(_artifact_row(lease.job_id, artifact, ledger.moment) for artifact in artifacts)
            unit.state, unit.result = "done", result
            count_runtime(ledger, unit)
            LeaseEnd(session, ledger, unit).let_nodes_go("done")
            ledger.job.result = result
            CheckpointRepository(session).remove_all(lease.job_id)
            ledger.move(Action.START)
            ledger.move(Action.SUCCEED)

    def finish_estimate(
        self, lease: Lease, estimate: StoredEstimate, progress: Progress | None = None
    ) -> Sequence[WakeUp]:
        """One head is estimated, all its entries are recorded, and its losses are in the store.

        Whoever ends the last estimate of a job makes its run ready, in the same transaction; returns the wake-up that
        is to be sent for it then. Raises `LeaseLostError`.
        """
        with self._database.write() as session:
            held = self._holding(session, lease, settled={"done"})
            if held is not None:
                ledger, unit = held
                _note_progress(session, ledger, unit, progress)
                LeaseEnd(session, ledger, unit).finish_estimate(asdict(estimate))
            run = next(unit for unit in UnitRepository(session).of_job(lease.job_id) if unit.kind == RUN)
            return [WakeUp(run.id, run.queue)] if run.state == "ready" else []

    def fail(self, lease: Lease, error: dict[str, Any], *, reason: str) -> None:
        """Trying again would not help: end the job with `error` `{code, message, hint}`."""
        with self._database.write() as session:
            held = self._holding(session, lease, settled={"failed"})
            if held is not None:
                LeaseEnd(session, *held).fail(error, reason)

    def release(
        self, lease: Lease, *, reason: str, error: dict[str, Any] | None = None, rest_seconds: float = 0.0
    ) -> bool:
        """Give the unit back; returns whether it is ready at once for another worker.

        Without `error` the worker merely shuts down: the unit is ready at once and no failure is counted. With `error`
        the attempt failed: the unit rests for a while, or the job ends with that error if no attempt is left. A job
        that is being cancelled is cancelled now, one that is being paused is paused, and one that has used up its
        `max_runtime_seconds` (`reason` may say so: `MAX_RUNTIME`) fails. `rest_seconds`: nobody takes the unit
        before that, though nothing failed.
        """
        with self._database.write() as session:
            held = self._holding(session, lease, settled={"ready", "paused", "failed", "cancelled", "waiting", "done"})
            if held is None:
                return False
            ledger, unit = held
            end = LeaseEnd(session, ledger, unit)
            end.put_back(reason, error, backoff=self._engine.retry_backoff_seconds, rest=rest_seconds)
            return unit.state == "ready" and error is None and not rest_seconds

    # What needs no lease

    def reap(self) -> int:
        """Put back every unit whose lease is over; returns how many. Idempotent, safe from many processes at once."""
        with self._database.read() as session:
            suspects = [(unit.id, unit.job_id) for unit in UnitRepository(session).expired(now(session))]
        return sum(self._reap_one(unit_id, job_id) for unit_id, job_id in suspects)

    def fence_of_result(self, job_id: str) -> int | None:
        """The fence under which the job succeeded: whose files count."""
        with self._database.read() as session:
            units = UnitRepository(session).of_job(job_id)
        done = [unit.fence for unit in units if unit.kind == RUN and unit.state == "done"]
        return done[0] if done else None

    def ended(self, job_ids: Collection[str]) -> set[str]:
        """Those of `job_ids` that have ended or are gone: their run directories are of no use any more."""
        with self._database.read() as session:
            return JobRepository(session).terminal_among(job_ids, {status.value for status in TERMINAL})

    def disposable(self, job_ids: Collection[str]) -> set[str]:
        """Those of `job_ids` whose run directories nobody will ever need: of jobs that succeeded, or that are gone.

        What failed or was cancelled may be retried, from its last checkpoint.
        """
        with self._database.read() as session:
            return set(job_ids) - JobRepository(session).resumable_among(job_ids, {JobStatus.SUCCEEDED.value})

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
            ledger = Ledger(session, job, moment)
            end = LeaseEnd(session, ledger, unit)
            end.put_back(WORKER_LOST, error, backoff=self._engine.retry_backoff_seconds)
            ledger.count(LEASES_EXPIRED)
            log.warning("lease expired", extra={"unit_id": unit_id, "job_id": job_id, "owner": unit.owner})
            return 1

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
        record_entry(session, ledger, entry, of=journal_name(unit))
        unit.recorded = entry.number


def _note_progress(session: Session, ledger: Ledger, unit: UnitRow, progress: Progress | None) -> None:
    if progress is None or unit.kind == NODE:
        return
    current: dict[str, Any] | None = json.loads(progress.model_dump_json())
    if unit.kind == ESTIMATE:
        if current == unit.progress:
            return
        unit.progress = current
        current = combined_progress(UnitRepository(session).of_job(unit.job_id))
    if current != ledger.job.progress:
        ledger.job.progress = current
        unit.progress_at = ledger.moment
        if progress.phase == "encoding" and ledger.job.phase is None:  # later phases come with events
            ledger.job.phase = progress.phase
        ledger.touch()

"""What the owner of a job can do: submit, look, cancel. The worker's side is `core.jobs.units`.

Every method runs one transaction and commits before it returns; a wake-up is sent after the commit, never before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from core.errors import Issue, NotFoundError, SpecError
from core.jobs.broker import WakeUp
from core.jobs.downsampling import thin, turning_points
from core.jobs.ledger import Ledger
from core.jobs.mapping import artifact_view, event_view, job_view, metric_point, super_epoch_view
from core.jobs.state import CANCEL_REQUESTED, Action, JobStatus
from core.jobs.submission import NewJob, WakeUps, check_key, check_same_body, digest_of, insert_jobs, once
from core.jobs.views import ArtifactView, EventView, JobPulse, JobView, MetricPoint, Page, SuperEpochView
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.orm import JobRow
from core.persistence.repositories import (
    ArtifactRepository,
    EventRepository,
    HistoryRepository,
    JobRepository,
    UnitRepository,
)
from core.spec import JobSpec

DEFAULT_PROJECT = "default"


class JobService:
    """Jobs as their owners see them. Thread-safe.

    `announce` sends a wake-up; see `core.jobs.submission.WakeUps`. `max_pending`: how many jobs of a project may wait
    at once; 0: any number. What else an owner can do, to pause, resume, retry and delete, is `core.jobs.lifecycle`.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_attempts: int = 5,
        max_pending: int = 0,
        announce: Callable[[WakeUp], None] | None = None,
    ) -> None:
        self._database = database
        self._max_attempts = max_attempts
        self._max_pending = max_pending
        self._wake_ups = WakeUps(database, announce)

    # Submitting and cancelling

    def submit(
        self,
        spec: JobSpec,
        *,
        project: str = DEFAULT_PROJECT,
        idempotency_key: str | None = None,
        body_digest: str | None = None,
        warnings: Sequence[Issue] = (),
        retry_of: str | None = None,
    ) -> tuple[JobView, bool]:
        """Create a job, or find the one that this key created: `(job, whether it is new)`.

        `body_digest` identifies the request's body, `sha256:<hex>`; left out: the digest of the canonical spec. Raises
        `IdempotencyError` (`idempotency.mismatch`) where the key was used with another body, and `SpecError`
        (`idempotency.key`) for a key that is not 1-255 printable ASCII characters, `LimitError` (`jobs.max_pending`)
        where too many jobs wait. `retry_of`: the job to go on from, which the caller has looked at.
        """
        digest = body_digest or digest_of(spec.canonical())

        def create() -> JobView:
            view, wake_ups = self._insert(spec, project, idempotency_key, digest, warnings, retry_of)
            self._wake_ups.send(wake_ups)
            return view

        def replay(key: str) -> JobView | None:
            return self.replay(key, project=project, body_digest=digest)

        return once(idempotency_key, replay, create)

    def replay(self, idempotency_key: str, *, project: str = DEFAULT_PROJECT, body_digest: str) -> JobView | None:
        """The job that this key created with this body; `None` for a fresh key. Raises as `submit` does."""
        check_key(idempotency_key)
        with self._database.read() as session:
            jobs = JobRepository(session)
            row = jobs.by_idempotency_key(idempotency_key, project=project)
            if row is None:
                return None
            check_same_body(row, body_digest)
            return view_of(session, row)

    def cancel(self, job_id: str, *, project: str = DEFAULT_PROJECT) -> JobView:
        """Ask the job to stop. One that waits ends at once; one that runs is `cancelling` until its process is gone.

        Doing it twice is fine. Raises `ConflictError` (`job.state`) where the job has ended, `NotFoundError`.
        """
        with self._database.write() as session:
            row = lock_existing(session, job_id, project)
            cancel_locked(session, row, now(session))
            session.flush()
            return view_of(session, row)

    # Looking

    def get(self, job_id: str, *, project: str = DEFAULT_PROJECT) -> JobView:
        """The job; `NotFoundError` (`job.not_found`) where this project has none of that id."""
        with self._database.read() as session:
            return view_of(session, _existing(session, job_id, project))

    def list_jobs(
        self,
        *,
        project: str = DEFAULT_PROJECT,
        after: str | None = None,
        limit: int = 50,
        status: JobStatus | None = None,
    ) -> Page[JobView]:
        """Newest first; the cursor `after` is the id of the last job of the page before."""
        with self._database.read() as session:
            jobs = JobRepository(session)
            rows = jobs.page(project=project, after=after, limit=limit, status=status.value if status else None)
            shown = rows[:limit]
            positions = jobs.queue_positions([row.id for row in shown if row.status == JobStatus.QUEUED])
            data = tuple(job_view(row, positions.get(row.id)) for row in shown)
        return Page(data=data, has_more=len(rows) > limit, next_after=data[-1].id if data else None)

    def last_seq(self, job_id: str, *, project: str = DEFAULT_PROJECT) -> int:
        """The number of the job's newest event."""
        return self.pulse(job_id, project=project).last_seq

    def pulse(self, job_id: str, *, project: str = DEFAULT_PROJECT) -> JobPulse:
        """The little of `get` that changes with every event; as cheap as a read can be."""
        with self._database.read() as session:
            return _pulse(session, job_id, project)

    def follow(
        self, job_id: str, *, project: str = DEFAULT_PROJECT, after: int, limit: int
    ) -> tuple[JobPulse, Page[EventView]]:
        """`pulse` and `events` in one transaction, in this order: where the job had ended, the page misses no event."""
        with self._database.read() as session:
            pulse = _pulse(session, job_id, project)
            page = _events(session, job_id, after=after, limit=limit, types=None)
        return pulse, page

    def events(
        self,
        job_id: str,
        *,
        project: str = DEFAULT_PROJECT,
        after: int = 0,
        limit: int = 100,
        types: Collection[str] | None = None,
    ) -> Page[EventView]:
        """Ascending from `after` (exclusive); `next_after` is the last number shown, `None` for an empty page."""
        with self._database.read() as session:
            _existing(session, job_id, project)
            return _events(session, job_id, after=after, limit=limit, types=types)

    def super_epochs(
        self,
        job_id: str,
        *,
        project: str = DEFAULT_PROJECT,
        after: int | None = None,
        limit: int = 100,
        max_points: int | None = None,
    ) -> Page[SuperEpochView]:
        """Ascending; the cursor `after` is the number of the last super-epoch of the page before.

        With `max_points`, one page of the whole history, thinned out (`core.jobs.downsampling.turning_points`).
        """
        with self._database.read() as session:
            _existing(session, job_id, project)
            history = HistoryRepository(session)
            if max_points is not None:
                known = history.weights(job_id)
                kept = turning_points([weights for _, weights in known], max_points)
                chosen = history.chosen_super_epochs(job_id, [known[row][0] for row in kept])
                return Page(data=tuple(super_epoch_view(row) for row in chosen), has_more=False, next_after=None)
            rows = history.super_epochs(job_id, after=after, limit=limit)
        data = tuple(super_epoch_view(row) for row in rows[:limit])
        return Page(data=data, has_more=len(rows) > limit, next_after=str(data[-1].super_epoch) if data else None)

    def metrics(
        self,
        job_id: str,
        *,
        project: str = DEFAULT_PROJECT,
        head: str | None = None,
        split: str | None = None,
        metric: str | None = None,
        scope: str | None = None,
        max_points: int | None = None,
        after: str | None = None,
        limit: int = 1000,
    ) -> Page[MetricPoint]:
        """Measured points in the order they came; the cursor `after` is opaque.

        With `max_points`, one page of everything: each series (scope, head, split, metric) is thinned out to that many
        points (`core.jobs.downsampling`), every one of which was really measured.
        """
        cursor = _metric_cursor(after)
        with self._database.read() as session:
            _existing(session, job_id, project)
            rows = HistoryRepository(session).metrics(
                job_id,
                head=head,
                split=split,
                metric=metric,
                scope=scope,
                after=cursor,
                limit=None if max_points else limit,
            )
        if max_points:
            kept = thin(rows, max_points)
            return Page(data=tuple(metric_point(row) for row in kept), has_more=False, next_after=None)
        shown = rows[:limit]
        return Page(
            data=tuple(metric_point(row) for row in shown),
            has_more=len(rows) > limit,
            next_after=f"{shown[-1].seq}.{shown[-1].position}" if shown else None,
        )

    def artifacts(self, job_id: str, *, project: str = DEFAULT_PROJECT) -> tuple[ArtifactView, ...]:
        """The files of a job that succeeded, by name."""
        with self._database.read() as session:
            _existing(session, job_id, project)
            return tuple(artifact_view(row) for row in ArtifactRepository(session).all(job_id))

    def artifact(self, job_id: str, name: str, *, project: str = DEFAULT_PROJECT) -> ArtifactView:
        """One file by name; `NotFoundError` (`artifact.not_found`)."""
        with self._database.read() as session:
            _existing(session, job_id, project)
            row = ArtifactRepository(session).get(job_id, name)
            if row is None:
                raise NotFoundError(f"{job_id} has no artifact {name!r}", code="artifact.not_found")
            return artifact_view(row)

    def _insert(
        self,
        spec: JobSpec,
        project: str,
        idempotency_key: str | None,
        digest: str,
        warnings: Sequence[Issue],
        retry_of: str | None,
    ) -> tuple[JobView, list[WakeUp]]:
        new = NewJob(spec=spec, body_digest=digest, idempotency_key=idempotency_key, retry_of=retry_of)
        with self._database.write() as session:
            (job,), wake_ups = insert_jobs(
                session,
                [new],
                project=project,
                moment=now(session),
                max_attempts=self._max_attempts,
                told=self._wake_ups.are_sent,
                max_pending=self._max_pending,
                warnings=warnings,
            )
            return view_of(session, job), wake_ups


def cancel_locked(session: Session, row: JobRow, moment: datetime) -> None:
    """Ask a job that the caller has locked to stop. Raises `ConflictError` (`job.state`) where it has ended."""
    row.desired = "cancel"
    Ledger(session, row, moment).move(Action.CANCEL, reason=CANCEL_REQUESTED)
    for unit in UnitRepository(session).of_job(row.id):
        if unit.state in ("ready", "waiting", "paused"):  # what is at work is given back; what is done stays
            unit.state = "cancelled"


def view_of(session: Session, row: JobRow) -> JobView:
    """The row as its view, with its place in the queue."""
    position = None
    if row.status == JobStatus.QUEUED:
        position = JobRepository(session).queue_positions([row.id]).get(row.id)
    return job_view(row, position)


def lock_existing(session: Session, job_id: str, project: str) -> JobRow:
    """The job, locked until the transaction ends; `NotFoundError` where this project has none of that id."""
    row = JobRepository(session).lock(job_id, project=project)
    if row is None:
        raise _not_found(job_id)
    return row


def _existing(session: Session, job_id: str, project: str) -> JobRow:
    row = JobRepository(session).get(job_id, project=project)
    if row is None:
        raise _not_found(job_id)
    return row


def _pulse(session: Session, job_id: str, project: str) -> JobPulse:
    found = JobRepository(session).pulse(job_id, project=project)
    if found is None:
        raise _not_found(job_id)
    return JobPulse(id=job_id, status=JobStatus(found[0]), last_seq=found[1])


def _events(session: Session, job_id: str, *, after: int, limit: int, types: Collection[str] | None) -> Page[EventView]:
    rows = EventRepository(session).page(job_id, after=after, limit=limit, types=types)
    data = tuple(event_view(row) for row in rows[:limit])
    return Page(data=data, has_more=len(rows) > limit, next_after=str(data[-1].seq) if data else None)


def _not_found(job_id: str) -> NotFoundError:
    return NotFoundError(f"there is no job {job_id!r}", code="job.not_found")


def _metric_cursor(after: str | None) -> tuple[int, int] | None:
    if after is None:
        return None
    seq, _, position = after.partition(".")
    if not (seq.isdecimal() and position.isdecimal()):
        raise SpecError(
            f"{after!r} is not a cursor of this list", code="cursor.invalid", hint="use next_after as it came"
        )
    return int(seq), int(position)

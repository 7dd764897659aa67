"""What the owner of a job can do: submit, look, cancel. The worker's side is `core.jobs.units`.

Every method runs one transaction and commits before it returns; a wake-up is sent after the commit, never before.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Collection, Sequence

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import IdempotencyError, Issue, NotFoundError, SpecError
from core.jobs.downsampling import thin
from core.jobs.ledger import Ledger
from core.jobs.mapping import artifact_view, event_view, job_view, metric_point, super_epoch_view
from core.jobs.state import Action, JobStatus
from core.jobs.views import ArtifactView, EventView, JobView, MetricPoint, Page, SuperEpochView
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.ids import new_id
from core.persistence.orm import JobRow, UnitRow
from core.persistence.repositories import (
    ArtifactRepository,
    EventRepository,
    HistoryRepository,
    JobRepository,
    UnitRepository,
)
from core.spec import JobSpec

log = logging.getLogger(__name__)

DEFAULT_PROJECT = "default"
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


class JobService:
    """Jobs as their owners see them. Thread-safe.

    `announce` sends a wake-up for a unit id. A wake-up that cannot be sent loses nothing: the table is the outbox, and
    a dispatcher (`core.jobs.reconcile`) sends it later.
    """

    def __init__(
        self, database: Database, *, max_attempts: int = 5, announce: Callable[[str], None] | None = None
    ) -> None:
        self._database = database
        self._max_attempts = max_attempts
        self._announce = announce

    # Submitting and cancelling

    def submit(
        self,
        spec: JobSpec,
        *,
        project: str = DEFAULT_PROJECT,
        idempotency_key: str | None = None,
        body_digest: str | None = None,
        warnings: Sequence[Issue] = (),
    ) -> tuple[JobView, bool]:
        """Create a job, or find the one that this key created: `(job, whether it is new)`.

        `body_digest` identifies the request's body, `sha256:<hex>`; left out: the digest of the canonical spec. Raises
        `IdempotencyError` (`idempotency.mismatch`) where the key was used with another body, and `SpecError`
        (`idempotency.key`) for a key that is not 1-255 printable ASCII characters.
        """
        digest = body_digest or f"sha256:{hashlib.sha256(spec.canonical()).hexdigest()}"
        if idempotency_key is not None:
            found = self.replay(idempotency_key, project=project, body_digest=digest)
            if found is not None:
                return found, False
        try:
            view, unit_id = self._insert(spec, project, idempotency_key, digest, warnings)
        except IntegrityError:  # another request with the same key was faster
            found = None
            if idempotency_key is not None:
                found = self.replay(idempotency_key, project=project, body_digest=digest)
            if found is None:
                raise
            return found, False
        self._send(unit_id)
        return view, True

    def replay(self, idempotency_key: str, *, project: str = DEFAULT_PROJECT, body_digest: str) -> JobView | None:
        """The job that this key created with this body; `None` for a fresh key. Raises as `submit` does."""
        if _KEY.fullmatch(idempotency_key) is None:
            raise SpecError(
                "an idempotency key is 1 to 255 printable ASCII characters",
                code="idempotency.key",
                hint="a random UUID is a good one",
            )
        with self._database.read() as session:
            jobs = JobRepository(session)
            row = jobs.by_idempotency_key(idempotency_key, project=project)
            if row is None:
                return None
            if row.body_digest != body_digest:
                raise IdempotencyError(
                    "this idempotency key was used with another body",
                    hint=f"take a new key; the first body created {row.id}",
                )
            return _view(session, row)

    def cancel(self, job_id: str, *, project: str = DEFAULT_PROJECT) -> JobView:
        """Ask the job to stop. One that waits ends at once; one that runs is `cancelling` until its process is gone.

        Doing it twice is fine. Raises `ConflictError` (`job.state`) where the job has ended, `NotFoundError`.
        """
        with self._database.write() as session:
            row = JobRepository(session).lock(job_id, project=project)
            if row is None:
                raise _not_found(job_id)
            ledger = Ledger(session, row, now(session))
            row.desired = "cancel"
            if ledger.move(Action.CANCEL, reason="cancel_requested") is JobStatus.CANCELLED:
                for unit in UnitRepository(session).of_job(job_id):
                    unit.state = "cancelled"
            session.flush()
            return _view(session, row)

    # Looking

    def get(self, job_id: str, *, project: str = DEFAULT_PROJECT) -> JobView:
        """The job; `NotFoundError` (`job.not_found`) where this project has none of that id."""
        with self._database.read() as session:
            return _view(session, _existing(session, job_id, project))

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
        with self._database.read() as session:
            return _existing(session, job_id, project).last_seq

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
            rows = EventRepository(session).page(job_id, after=after, limit=limit, types=types)
        data = tuple(event_view(row) for row in rows[:limit])
        return Page(data=data, has_more=len(rows) > limit, next_after=str(data[-1].seq) if data else None)

    def super_epochs(
        self, job_id: str, *, project: str = DEFAULT_PROJECT, after: int | None = None, limit: int = 100
    ) -> Page[SuperEpochView]:
        """Ascending; the cursor `after` is the number of the last super-epoch of the page before."""
        with self._database.read() as session:
            _existing(session, job_id, project)
            rows = HistoryRepository(session).super_epochs(job_id, after=after, limit=limit)
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
            return Page(data=thin([metric_point(row) for row in rows], max_points), has_more=False, next_after=None)
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
    ) -> tuple[JobView, str]:
        with self._database.write() as session:
            moment = now(session)
            job = JobRow(
                id=new_id("job", moment),
                project=project,
                status=JobStatus.QUEUED.value,
                desired="run",
                attempt=0,
                spec=spec.resolved(),
                spec_fingerprint=spec.fingerprint(),
                warnings=[issue.to_json() for issue in warnings],
                transitions=[],
                idempotency_key=idempotency_key,
                body_digest=digest,
                last_seq=0,
                version=0,
                created_at=moment,
            )
            unit = UnitRow(
                id=new_id("unit", moment),
                job_id=job.id,
                super_epoch=0,
                kind="run",
                slot=0,
                state="ready",
                fence=0,
                attempt=0,
                failures=0,
                max_attempts=self._max_attempts,
                run_after=moment,
                poked_at=moment if self._announce else None,
                recorded=0,
                created_at=moment,
            )
            JobRepository(session).add(job, unit)
            Ledger(session, job, moment).created()
            session.flush()
            return _view(session, job), unit.id

    def _send(self, unit_id: str) -> None:
        if self._announce is None:
            return
        try:
            self._announce(unit_id)
        except Exception:  # whatever a broker's client raises: the job is safe in the table
            log.warning("wake-up not sent; a dispatcher will", extra={"unit_id": unit_id}, exc_info=True)
            with self._database.write() as session:
                UnitRepository(session).forget_poke(unit_id)


def _view(session: Session, row: JobRow) -> JobView:
    position = None
    if row.status == JobStatus.QUEUED:
        position = JobRepository(session).queue_positions([row.id]).get(row.id)
    return job_view(row, position)


def _existing(session: Session, job_id: str, project: str) -> JobRow:
    row = JobRepository(session).get(job_id, project=project)
    if row is None:
        raise _not_found(job_id)
    return row


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

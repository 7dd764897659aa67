"""What creating jobs one by one and by the hundred have in common: the rows, the wake-ups, the idempotency keys."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import IdempotencyError, Issue, LimitError, SpecError
from core.jobs.broker import WakeUp
from core.jobs.ledger import Ledger
from core.jobs.parts import Part, parts_of
from core.jobs.state import JobStatus
from core.persistence import Database
from core.persistence.ids import new_ids
from core.persistence.orm import JobRow, UnitRow
from core.persistence.repositories import JobRepository, UnitRepository
from core.spec import JobSpec

log = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE = 100
"""So many wake-ups follow a commit; dispatchers send the others in their passes. Nobody can act on more at once."""
PENDING = frozenset({JobStatus.QUEUED.value, JobStatus.PAUSED.value})
"""States in which a job holds no worker and will want one: what `max_pending` counts."""
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job that is to be created."""

    spec: JobSpec
    body_digest: str
    idempotency_key: str | None = None
    retry_of: str | None = None
    """The job whose last checkpoint it goes on from."""


def insert_jobs(
    session: Session,
    new: Sequence[NewJob],
    *,
    project: str,
    moment: datetime,
    max_attempts: int,
    told: bool,
    max_pending: int = 0,
    warnings: Sequence[Issue] = (),
) -> tuple[list[JobRow], list[WakeUp]]:
    """Insert jobs with their units and first events; they wait in the order given. Returns the wake-ups that are due.

    `told`: the caller sends the first `AT_ONCE` of them after the commit. Raises `IntegrityError` at once
    where an idempotency key is taken, and `LimitError` (`jobs.max_pending`) where more than `max_pending` jobs of the
    project would then wait (0: no limit): none of them is inserted.
    """
    if max_pending:
        _check_room(session, project, len(new), max_pending)
    noted = [issue.to_json() for issue in warnings]
    job_ids = new_ids("job", moment, len(new))
    jobs = [_job(job_id, job, project, moment, noted) for job_id, job in zip(job_ids, new, strict=True)]
    parts = [(row, part) for row, job in zip(jobs, new, strict=True) for part in parts_of(job.spec)]
    unit_ids = new_ids("unit", moment, len(parts))  # they sort as workers should take them
    units = [
        _unit(unit_id, job, part, moment, max_attempts) for unit_id, (job, part) in zip(unit_ids, parts, strict=True)
    ]
    ready = [unit for unit in units if unit.state == "ready"]
    for unit in ready[: AT_ONCE if told else 0]:
        unit.poked_at = moment
    JobRepository(session).add(jobs, units)
    for job in jobs:
        Ledger(session, job, moment).created()
    session.flush()
    return jobs, [WakeUp(unit.id, unit.queue) for unit in ready]


class WakeUps:
    """Tells workers of units, after the commit that created them.

    `announce` sends one. A wake-up that cannot be sent loses nothing: the table is the outbox, and a dispatcher
    (`core.jobs.reconcile`) sends it later.
    """

    def __init__(self, database: Database, announce: Callable[[WakeUp], None] | None) -> None:
        self._database = database
        self._announce = announce

    @property
    def are_sent(self) -> bool:
        """Whether there is anybody to tell."""
        return self._announce is not None

    def send(self, wake_ups: Sequence[WakeUp]) -> None:
        """Announce the first `AT_ONCE` of them; after the first failure none, rather than wait for each to fail."""
        if self._announce is None:
            return
        told = wake_ups[:AT_ONCE]
        for place, wake_up in enumerate(told):
            try:
                self._announce(wake_up)
            except Exception:  # whatever a broker's client raises: the job is safe in the table
                log.warning("wake-up not sent; a dispatcher will", extra={"unit_id": wake_up.unit_id}, exc_info=True)
                with self._database.write() as session:
                    UnitRepository(session).forget_pokes([each.unit_id for each in told[place:]])
                return


def digest_of(canonical: bytes) -> str:
    """Identifies a request's body, whatever its blanks and the order of its keys: `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(canonical).hexdigest()}"


def once(key: str | None, replay: Callable[[str], T | None], create: Callable[[], T]) -> tuple[T, bool]:
    """What an idempotency key created before, by `replay`, else what `create` creates now: `(it, is it new)`. Of many
    requests with one key one creates: the tables take a key once."""
    if key is not None and (found := replay(key)) is not None:
        return found, False
    try:
        return create(), True
    except IntegrityError:  # another request with the same key was faster
        if key is None or (found := replay(key)) is None:
            raise
        return found, False


def check_key(idempotency_key: str) -> None:
    """Raises `SpecError` (`idempotency.key`) for a key that is not 1-255 printable ASCII characters."""
    if _KEY.fullmatch(idempotency_key) is None:
        raise SpecError(
            "an idempotency key is 1 to 255 printable ASCII characters",
            code="idempotency.key",
            hint="a random UUID is a good one",
        )


def check_same_body(created: Any, body_digest: str) -> None:
    """Raises `IdempotencyError` (`idempotency.mismatch`) where the row `created` came of another body."""
    if created.body_digest != body_digest:
        raise IdempotencyError(
            "this idempotency key was used with another body",
            hint=f"take a new key; the first body created {created.id}",
        )


def _check_room(session: Session, project: str, new: int, max_pending: int) -> None:
    """Exact: submissions of a project wait for each other, so that no two of them take the same last place."""
    jobs = JobRepository(session)
    jobs.lock_submissions(project)
    waiting = jobs.count(project=project, statuses=PENDING, at_most=max_pending + 1)
    if waiting + new > max_pending:
        raise LimitError(
            f"{waiting} jobs of this project wait; with {new} more there would be more than {max_pending}; "
            "nothing was created",
            code="jobs.max_pending",
            hint="try again when some have begun, or cancel some that wait or are paused",
        )


def _job(job_id: str, new: NewJob, project: str, moment: datetime, warnings: list[dict[str, Any]]) -> JobRow:
    return JobRow(
        id=job_id,
        project=project,
        status=JobStatus.QUEUED.value,
        desired="run",
        attempt=0,
        spec=new.spec.resolved(),
        spec_fingerprint=new.spec.fingerprint(),
        warnings=warnings,
        transitions=[],
        idempotency_key=new.idempotency_key,
        body_digest=new.body_digest,
        last_seq=0,
        version=0,
        created_at=moment,
        priority=new.spec.scheduling.priority,
        queue=new.spec.scheduling.queue,
        max_runtime_seconds=new.spec.scheduling.max_runtime_seconds,
        run_seconds=0.0,
        retry_of=new.retry_of,
    )


def _unit(unit_id: str, job: JobRow, part: Part, moment: datetime, max_attempts: int) -> UnitRow:
    return UnitRow(
        id=unit_id,
        job_id=job.id,
        super_epoch=0,
        kind=part.kind,
        slot=part.slot,
        state=part.state,
        fence=0,
        attempt=0,
        failures=0,
        max_attempts=max_attempts,
        run_after=moment,
        payload=part.payload,
        recorded=0,
        created_at=moment,
        priority=job.priority,
        queue=job.queue,
        devices=job.spec["scheduling"]["devices"],
    )

"""The log of a job's training: what its processes printed, shipped by the worker, read by people.

It is no event log: nothing is derived from it and nothing depends on it. But it is written as carefully: under the
lease, in order, without gaps, and each piece once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from core.errors import LeaseLostError, NotFoundError
from core.jobs.lease import Lease
from core.jobs.service import DEFAULT_PROJECT
from core.jobs.views import Page
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.orm import LogChunkRow
from core.persistence.repositories import EventRepository, JobRepository, LogRepository, UnitRepository

CHUNK_BYTES = 65_536
"""The longest chunk, in UTF-8."""
_BACKWARDS = 50
"""Chunks per read when the last lines are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """A piece of the log: whole lines, but for a line longer than `CHUNK_BYTES`."""

    job_id: str
    seq: int
    """1-based, without gaps over all attempts."""
    attempt: int
    text: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEnd:
    """How far a job's log has come."""

    seq: int
    """How many chunks the lease's unit has stored: where there is no other unit, the number of the newest."""
    bytes: int
    """Of all chunks of the job, in UTF-8."""


class LogWriter:
    """The worker's side. Thread-safe; every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def end(self, lease: Lease) -> LogEnd:
        """Where the next chunk belongs, and how much there is already."""
        with self._database.read() as session:
            stored = UnitRepository(session).logged(lease.unit_id)
            return LogEnd(seq=stored, bytes=LogRepository(session).size(lease.job_id))

    def append(self, lease: Lease, texts: Sequence[str], *, after: int) -> int:
        """Store chunks of a unit that has stored `after` of them; returns how many it has stored then.

        The units of a job share its log, and their chunks are numbered as they come.

        Storing the same again changes nothing, so that a worker that lost the answer to a commit may simply try again.
        Does not renew the lease. Raises `LeaseLostError` where it does not hold, and `ValueError` where the log does
        not end at `after`.
        """
        with self._database.write() as session:
            job = JobRepository(session).lock(lease.job_id)
            unit = UnitRepository(session).get(lease.unit_id)
            if job is None or unit is None or unit.fence != lease.fence or unit.state != "leased":
                raise LeaseLostError(f"unit {lease.unit_id} is no longer leased under fence {lease.fence}")
            logs = LogRepository(session)
            if unit.logged == after + len(texts):  # nobody else may write for this unit: it was us
                return unit.logged
            if unit.logged != after:
                raise ValueError(f"the log of {lease.job_id} ends at {unit.logged}, not at {after}")
            unit.logged += len(texts)
            logs.add(
                lease.job_id, after=logs.last_seq(lease.job_id), attempt=lease.attempt, texts=texts, moment=now(session)
            )
            EventRepository(session).announce(lease.job_id)
            return unit.logged


class LogReader:
    """The owner's side. Thread-safe; every method is one transaction. Unknown jobs are `NotFoundError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_seq(self, job_id: str, *, project: str = DEFAULT_PROJECT) -> int:
        """The number of the newest chunk; 0 where there is none."""
        with self._database.read() as session:
            _check_exists(session, job_id, project)
            return LogRepository(session).last_seq(job_id)

    def page(self, job_id: str, *, project: str = DEFAULT_PROJECT, after: int = 0, limit: int = 100) -> Page[LogChunk]:
        """Ascending from `after` (exclusive); `next_after` is the last number shown, `None` for an empty page."""
        with self._database.read() as session:
            _check_exists(session, job_id, project)
            rows = LogRepository(session).page(job_id, after=after, limit=limit)
        data = tuple(_chunk(row) for row in rows[:limit])
        return Page(data=data, has_more=len(rows) > limit, next_after=str(data[-1].seq) if data else None)

    def tail(self, job_id: str, lines: int, *, project: str = DEFAULT_PROJECT, after: int = 0) -> tuple[LogChunk, ...]:
        """The newest chunks, ascending, down to the last `lines` lines: the first one's text begins with those."""
        found: list[LogChunk] = []
        wanted, before = lines, None
        with self._database.read() as session:
            _check_exists(session, job_id, project)
            while wanted > 0:
                rows = LogRepository(session).backwards(job_id, after=after, before=before, limit=_BACKWARDS)
                for row in rows:
                    text, count = _last_lines(row.text, wanted)
                    found.append(_chunk(row, text))
                    wanted -= count
                    if wanted == 0:
                        break
                if len(rows) < _BACKWARDS:
                    break
                before = rows[-1].seq
        return tuple(reversed(found))


def _last_lines(text: str, lines: int) -> tuple[str, int]:
    """The last `lines` lines of `text` (all, where it has fewer), and how many of them are whole."""
    *whole, rest = text.split("\n")  # not `splitlines`, which knows ends of lines that nobody else does
    kept = whole[-lines:]
    return "".join(f"{line}\n" for line in kept) + rest, len(kept)


def _check_exists(session: Session, job_id: str, project: str) -> None:
    if JobRepository(session).get(job_id, project=project) is None:
        raise NotFoundError(f"there is no job {job_id!r}", code="job.not_found")


def _chunk(row: LogChunkRow, text: str | None = None) -> LogChunk:
    return LogChunk(
        job_id=row.job_id,
        seq=row.seq,
        attempt=row.attempt,
        text=row.text if text is None else text,
        created_at=row.created_at,
    )

"""Writing to one job under its lock: status changes and events, kept consistent with each other."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from core.jobs.state import Action, JobStatus, next_status
from core.persistence.orm import EventRow, JobRow
from core.persistence.repositories import CounterRepository, EventRepository

_LEVELS = {JobStatus.FAILED: "error"}


class Ledger:
    """The pen on a locked job row. Every change it makes is an event, and a new version of the row."""

    def __init__(self, session: Session, job: JobRow, moment: datetime) -> None:
        self.job = job
        self.moment = moment
        self._events = EventRepository(session)
        self._counters = CounterRepository(session)

    @property
    def status(self) -> JobStatus:
        """The job's status now."""
        return JobStatus(self.job.status)

    def created(self) -> None:
        """The first event of a job."""
        self._note_transition(JobStatus.QUEUED, None)
        name = self.job.spec["name"]
        self.append(
            "job.created",
            message=f"Job {name!r} was accepted and waits for a worker" if name else "The job waits for a worker",
            data={"status": JobStatus.QUEUED.value, "spec_fingerprint": self.job.spec_fingerprint},
            dedupe_key="job.created",
        )

    def move(self, action: Action, *, reason: str | None = None, message: str | None = None) -> JobStatus:
        """Change the status as the table in `core.jobs.state` says, and log it. What changes nothing is silent.

        Raises `ConflictError` (`job.state`) where the table has no such transition.
        """
        status = next_status(self.status, action)
        if status == self.status:
            return status
        self.job.status = status.value
        self.job.status_reason = reason
        if status is JobStatus.RUNNING and self.job.started_at is None:
            self.job.started_at = self.moment
        if status in (JobStatus.QUEUED, JobStatus.PAUSED) or status.is_terminal:
            self.job.phase = None
        if status.is_terminal:
            self.job.finished_at = self.moment
        self._note_transition(status, reason)
        self.append(
            "job.status",
            message=message or _status_message(status, reason),
            data={"status": status.value, "reason": reason},
            dedupe_key=f"status:{len(self.job.transitions)}",
            level=_LEVELS.get(status, "info"),
        )
        return status

    def append(
        self, type: str, *, message: str, data: dict[str, Any], dedupe_key: str, level: str = "info"
    ) -> EventRow:
        """Add one event; readers wake up when the transaction commits."""
        self.touch()
        row = self._events.append(
            self.job, dedupe_key=dedupe_key, type=type, level=level, message=message, data=data, moment=self.moment
        )
        self._events.announce(self.job.id)
        return row

    def count(self, name: str, label: str = "") -> None:
        """One more of what the metrics tell of. Keeps other transactions that count the same waiting: do it last."""
        self._counters.add(name, label)

    def touch(self) -> None:
        """Something about the job changed: what it is now has another ETag."""
        self.job.version += 1

    def _note_transition(self, status: JobStatus, reason: str | None) -> None:
        entry = {"status": status.value, "at": self.moment.isoformat(), "reason": reason}
        self.job.transitions = [*self.job.transitions, entry]


def _status_message(status: JobStatus, reason: str | None) -> str:
    words = {
        JobStatus.QUEUED: "The job waits for a worker again",
        JobStatus.STARTING: "A worker took the job",
        JobStatus.RUNNING: "The training process is at work",
        JobStatus.PAUSING: "The job is asked to pause",
        JobStatus.PAUSED: "The job is paused",
        JobStatus.CANCELLING: "The job is asked to stop",
        JobStatus.SUCCEEDED: "The job succeeded",
        JobStatus.FAILED: "The job failed",
        JobStatus.CANCELLED: "The job was cancelled",
    }[status]
    return f"{words} ({reason})" if reason else words

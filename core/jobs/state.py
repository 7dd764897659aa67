"""A job's states and the transitions between them: a table, not code.

`queued -> starting -> running -> succeeded | failed | cancelled`, with `cancelling` on the way and back
to `queued` when a worker is lost. Terminal states never change.
"""

from __future__ import annotations

from enum import StrEnum

from core.errors import ConflictError


class JobStatus(StrEnum):
    """Every state a job can be in."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended for good."""
        return self in TERMINAL


class Action(StrEnum):
    """Everything that can happen to a job."""

    CLAIM = "claim"
    """A worker took its unit."""
    START = "start"
    """The training process emitted its first event."""
    RELEASE = "release"
    """The worker gave the unit back, or died: the job waits again."""
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    """Its owner wants it to stop."""
    STOPPED = "stopped"
    """The training process of a cancelled job is gone."""


TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})

TRANSITIONS: dict[tuple[JobStatus, Action], JobStatus] = {
    (JobStatus.QUEUED, Action.CLAIM): JobStatus.STARTING,
    (JobStatus.QUEUED, Action.CANCEL): JobStatus.CANCELLED,
    (JobStatus.QUEUED, Action.FAIL): JobStatus.FAILED,
    (JobStatus.STARTING, Action.START): JobStatus.RUNNING,
    (JobStatus.STARTING, Action.RELEASE): JobStatus.QUEUED,
    (JobStatus.STARTING, Action.FAIL): JobStatus.FAILED,
    (JobStatus.STARTING, Action.CANCEL): JobStatus.CANCELLING,
    (JobStatus.RUNNING, Action.START): JobStatus.RUNNING,
    (JobStatus.RUNNING, Action.RELEASE): JobStatus.QUEUED,
    (JobStatus.RUNNING, Action.SUCCEED): JobStatus.SUCCEEDED,
    (JobStatus.RUNNING, Action.FAIL): JobStatus.FAILED,
    (JobStatus.RUNNING, Action.CANCEL): JobStatus.CANCELLING,
    (JobStatus.CANCELLING, Action.START): JobStatus.CANCELLING,
    (JobStatus.CANCELLING, Action.CANCEL): JobStatus.CANCELLING,
    (JobStatus.CANCELLING, Action.RELEASE): JobStatus.CANCELLED,
    (JobStatus.CANCELLING, Action.STOPPED): JobStatus.CANCELLED,
    (JobStatus.CANCELLING, Action.SUCCEED): JobStatus.SUCCEEDED,
    (JobStatus.CANCELLING, Action.FAIL): JobStatus.CANCELLED,
}


def next_status(status: JobStatus, action: Action) -> JobStatus:
    """Where `action` leads from `status`; `ConflictError` (`job.state`) where the table has no such row."""
    following = TRANSITIONS.get((status, action))
    if following is None:
        raise ConflictError(
            f"a job that is {status} cannot {action}",
            code="job.state",
            hint="a job that has ended stays as it is; submit a new one" if status.is_terminal else None,
        )
    return following

"""A job's states and what may happen in each: a table, not code, with an entry for every (state, action).

`queued -> starting -> running -> succeeded | failed | cancelled`, back to `queued` when a worker is lost, with
`cancelling` and `pausing` on the way to `cancelled` and `paused`. Terminal states never change: a retry is a new job.

An entry is either the state that follows or a `Refusal`, which says why not and what can be done instead.
"""

from __future__ import annotations

from enum import StrEnum

from core.errors import ConflictError


class JobStatus(StrEnum):
    """Every state a job can be in."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    """Its owner wants it to pause; its process writes a checkpoint and ends."""
    PAUSED = "paused"
    """It has no process and waits for its owner, not for a worker."""
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
    """A worker took its unit, or one of its units."""
    START = "start"
    """The training process emitted its first event."""
    RELEASE = "release"
    """No worker holds a unit of it any more, and there is more to do: the job waits again."""
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    """Its owner wants it to stop for good."""
    PAUSE = "pause"
    """Its owner wants it to stop for now."""
    RESUME = "resume"
    """Its owner wants it to go on."""
    STOPPED = "stopped"
    """The last training process of a job that was asked to stop is gone."""
    RETRY = "retry"
    """Its owner wants a new job that goes on from where this one ended."""
    DELETE = "delete"
    """Its owner wants it gone, with everything that it left behind."""


class Refusal(StrEnum):
    """Why an action is not possible in a state; the value is the way out."""

    ENDED = "a job that has ended stays as it is; submit a new one"
    ENDED_BADLY = "a job that has ended stays as it is; retry it, which makes a new job, or submit another one"
    STOPPING = "it is being cancelled, which cannot be taken back; retry it when it is cancelled"
    SUCCEEDED = "it succeeded: there is nothing to go on from; submit a new one"
    NOT_ENDED = "only what failed or was cancelled can be retried; let it go on, or cancel it first"
    ALIVE = "only what has ended can be deleted; cancel it first"
    NO_PROCESS = "no worker holds it, so none can say so"
    HELD = "it is being stopped; what of it is at work ends, and nothing else begins"
    WAITING_FOR_OWNER = "it is paused; resume it first"
    NOT_ASKED = "nobody asked it to stop"
    NO_EVENT = "its training process has said nothing yet"


CANCEL_REQUESTED, PAUSE_REQUESTED, RESUME_REQUESTED = "cancel_requested", "pause_requested", "resume_requested"
"""Why a job's state changed, where its owner is the reason."""

TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})

Table = dict[tuple[JobStatus, Action], JobStatus | Refusal]


def _rows(status: JobStatus, entries: dict[Action, JobStatus | Refusal]) -> Table:
    return {(status, action): entry for action, entry in entries.items()}


def _ended(status: JobStatus, *, badly: bool) -> Table:
    """Nothing changes a job that has ended; to retry and to delete it are about other rows than its state."""
    refusal = Refusal.ENDED_BADLY if badly else Refusal.ENDED
    entries: dict[Action, JobStatus | Refusal] = dict.fromkeys(Action, refusal)
    entries[Action.RETRY] = status if badly else Refusal.SUCCEEDED
    entries[Action.DELETE] = status
    return _rows(status, entries)


TABLE: Table = {
    **_rows(
        JobStatus.QUEUED,
        {
            Action.CLAIM: JobStatus.STARTING,
            Action.START: Refusal.NO_PROCESS,
            Action.RELEASE: Refusal.NO_PROCESS,
            Action.SUCCEED: Refusal.NO_PROCESS,
            Action.FAIL: JobStatus.FAILED,
            Action.CANCEL: JobStatus.CANCELLED,
            Action.PAUSE: JobStatus.PAUSED,
            Action.RESUME: JobStatus.QUEUED,
            Action.STOPPED: Refusal.NO_PROCESS,
            Action.RETRY: Refusal.NOT_ENDED,
            Action.DELETE: Refusal.ALIVE,
        },
    ),
    **_rows(
        JobStatus.STARTING,
        {
            Action.CLAIM: JobStatus.STARTING,
            Action.START: JobStatus.RUNNING,
            Action.RELEASE: JobStatus.QUEUED,
            Action.SUCCEED: Refusal.NO_EVENT,
            Action.FAIL: JobStatus.FAILED,
            Action.CANCEL: JobStatus.CANCELLING,
            Action.PAUSE: JobStatus.PAUSING,
            Action.RESUME: JobStatus.STARTING,
            Action.STOPPED: Refusal.NOT_ASKED,
            Action.RETRY: Refusal.NOT_ENDED,
            Action.DELETE: Refusal.ALIVE,
        },
    ),
    **_rows(
        JobStatus.RUNNING,
        {
            Action.CLAIM: JobStatus.RUNNING,
            Action.START: JobStatus.RUNNING,
            Action.RELEASE: JobStatus.QUEUED,
            Action.SUCCEED: JobStatus.SUCCEEDED,
            Action.FAIL: JobStatus.FAILED,
            Action.CANCEL: JobStatus.CANCELLING,
            Action.PAUSE: JobStatus.PAUSING,
            Action.RESUME: JobStatus.RUNNING,
            Action.STOPPED: Refusal.NOT_ASKED,
            Action.RETRY: Refusal.NOT_ENDED,
            Action.DELETE: Refusal.ALIVE,
        },
    ),
    **_rows(
        JobStatus.PAUSING,
        {
            Action.CLAIM: Refusal.HELD,
            Action.START: JobStatus.PAUSING,
            Action.RELEASE: JobStatus.PAUSED,
            Action.SUCCEED: JobStatus.SUCCEEDED,
            Action.FAIL: JobStatus.FAILED,
            Action.CANCEL: JobStatus.CANCELLING,
            Action.PAUSE: JobStatus.PAUSING,
            # Its process may be stopping already, or not have heard of it yet. In the first case it is given back and
            # waits again, in the second it just goes on: either way its next event makes it `running`.
            Action.RESUME: JobStatus.STARTING,
            Action.STOPPED: JobStatus.PAUSED,
            Action.RETRY: Refusal.NOT_ENDED,
            Action.DELETE: Refusal.ALIVE,
        },
    ),
    **_rows(
        JobStatus.PAUSED,
        {
            Action.CLAIM: Refusal.WAITING_FOR_OWNER,
            Action.START: Refusal.NO_PROCESS,
            Action.RELEASE: Refusal.NO_PROCESS,
            Action.SUCCEED: Refusal.NO_PROCESS,
            Action.FAIL: Refusal.NO_PROCESS,
            Action.CANCEL: JobStatus.CANCELLED,
            Action.PAUSE: JobStatus.PAUSED,
            Action.RESUME: JobStatus.QUEUED,
            Action.STOPPED: Refusal.NO_PROCESS,
            Action.RETRY: Refusal.NOT_ENDED,
            Action.DELETE: Refusal.ALIVE,
        },
    ),
    **_rows(
        JobStatus.CANCELLING,
        {
            Action.CLAIM: Refusal.HELD,
            Action.START: JobStatus.CANCELLING,
            Action.RELEASE: JobStatus.CANCELLED,
            Action.SUCCEED: JobStatus.SUCCEEDED,
            Action.FAIL: JobStatus.CANCELLED,
            Action.CANCEL: JobStatus.CANCELLING,
            Action.PAUSE: Refusal.STOPPING,
            Action.RESUME: Refusal.STOPPING,
            Action.STOPPED: JobStatus.CANCELLED,
            Action.RETRY: Refusal.STOPPING,
            Action.DELETE: Refusal.ALIVE,
        },
    ),
    **_ended(JobStatus.SUCCEEDED, badly=False),
    **_ended(JobStatus.FAILED, badly=True),
    **_ended(JobStatus.CANCELLED, badly=True),
}
"""Every pair of a state and an action."""


_DONE = {
    Action.CLAIM: "claimed",
    Action.START: "started",
    Action.RELEASE: "released",
    Action.SUCCEED: "completed",
    Action.FAIL: "failed",
    Action.CANCEL: "cancelled",
    Action.PAUSE: "paused",
    Action.RESUME: "resumed",
    Action.STOPPED: "stopped",
    Action.RETRY: "retried",
    Action.DELETE: "deleted",
}
"""What is refused, in a sentence."""


def next_status(status: JobStatus, action: Action) -> JobStatus:
    """Where `action` leads from `status`; `ConflictError` (`job.state`) with a hint where the table refuses it."""
    entry = TABLE[status, action]
    if isinstance(entry, Refusal):
        raise ConflictError(f"a {status} job cannot be {_DONE[action]}", code="job.state", hint=entry.value)
    return entry

"""The end of a lease: what becomes of the unit, of the other units of its job, and of the job.

A job is `queued` or `paused` exactly when no worker holds any of its units. So the job moves when the last unit that
was held is back; a job that fails for good takes the other units with it at once, whose workers find their leases lost.
The caller has locked the job and checked the fence.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from core.jobs.lease import backoff_seconds
from core.jobs.ledger import Ledger
from core.jobs.parts import ESTIMATE, NODE, RUN, head_of, payload_of_run
from core.jobs.state import CANCEL_REQUESTED, PAUSE_REQUESTED, RESUME_REQUESTED, Action, JobStatus
from core.persistence.orm import JobRow, UnitRow
from core.persistence.repositories import UnitRepository
from core.persistence.repositories.counters import ATTEMPT_FAILURES, RETRIES

MAX_RUNTIME = "max_runtime"
ESTIMATED = "estimated"
"""Why a job waits again: one of its estimates is done, and nobody is at work on the others."""
_ENDED = frozenset({"done", "failed", "cancelled"})


class LeaseEnd:
    """The end of one unit's lease, in the transaction of `session`."""

    def __init__(self, session: Session, ledger: Ledger, unit: UnitRow) -> None:
        self._session = session
        self._ledger = ledger
        self._job = ledger.job
        self._unit = unit
        self._others = [other for other in UnitRepository(session).of_job(unit.job_id) if other.id != unit.id]

    def finish_estimate(self, result: dict[str, Any]) -> None:
        """The head is estimated, and `result` says where its losses lie. The last one that is lets the run begin."""
        unit = self._unit
        unit.state, unit.result = "done", result
        count_runtime(self._ledger, unit)
        estimates = [each for each in (unit, *self._others) if each.kind == ESTIMATE]
        (run,) = (each for each in self._others if each.kind == RUN)
        if run.state == "waiting" and all(each.state == "done" for each in estimates):
            run.payload = payload_of_run(estimates)
            run.state = "paused" if self._job.desired == "pause" else "ready"
            run.run_after, run.poked_at = self._ledger.moment, None
        self._nobody_else_holds_it(reason=ESTIMATED, message="The job waits for a worker for its next part")

    def let_nodes_go(self, state: str) -> None:
        """The run is held no more: whoever helped with it has nothing to do. Their leases are gone with this."""
        for other in self._others:
            if other.kind == NODE:
                other.state, other.owner, other.lease_until, other.leased_at = state, None, None, None

    def put_back(self, reason: str, error: dict[str, Any] | None, *, backoff: float, rest: float = 0.0) -> None:
        """The worker gave the unit back or is gone: it is ready again, or what the job's owner wants it to be.

        With `error` the attempt failed: the unit rests first (`backoff` seconds after the first failure, more after
        each further one), or the job fails where no attempt is left. `rest`: as `UnitService.release`.
        """
        if self._unit.kind == NODE:
            self._put_node_back(reason, error, backoff=backoff)
            return
        job, unit, ledger = self._job, self._unit, self._ledger
        self.let_nodes_go("cancelled" if job.desired == "cancel" else "waiting")
        unit.owner = unit.lease_until = None
        count_runtime(ledger, unit)
        if unit.kind == ESTIMATE:
            self._tell_interrupted(reason, error)
        if job.desired == "cancel":
            unit.state = "cancelled"
            self._nobody_else_holds_it(reason=CANCEL_REQUESTED)
            return
        if job.max_runtime_seconds is not None and (
            reason == MAX_RUNTIME or job.run_seconds >= job.max_runtime_seconds
        ):
            self.fail(_out_of_time(job), MAX_RUNTIME)
            return
        if job.desired == "pause":  # however its process ended: it was to end
            unit.state, unit.error = "paused", error
            self._nobody_else_holds_it(reason=PAUSE_REQUESTED)
            return
        unit.failures += 1 if error else 0
        if error and unit.failures >= unit.max_attempts:
            self.fail(error, reason)
            ledger.count(ATTEMPT_FAILURES, reason)
            return
        rest = backoff_seconds(unit.failures, backoff) if error else rest
        unit.state, unit.error = "ready", error
        unit.run_after = ledger.moment + timedelta(seconds=rest)
        unit.poked_at = None
        # A pause that was taken back while the process was stopping for it.
        self._nobody_else_holds_it(reason=RESUME_REQUESTED if reason == PAUSE_REQUESTED else reason)
        if error:
            ledger.count(ATTEMPT_FAILURES, reason)
            ledger.count(RETRIES, reason)

    def fail(self, error: dict[str, Any], reason: str) -> None:
        """Trying again would not help: the job ends, and with it whatever else of it is ready or at work."""
        self._unit.state, self._unit.error = "failed", error
        count_runtime(self._ledger, self._unit)
        self.let_nodes_go("cancelled")
        if self._job.desired == "cancel" and self._is_held():
            return  # the last unit that comes back ends it
        for other in self._others:
            count_runtime(self._ledger, other)
            if other.state not in _ENDED:
                other.state = "cancelled"
        message = f"The job failed: {error['message']}"
        if self._ledger.move(Action.FAIL, reason=reason, message=message) is JobStatus.FAILED:
            self._job.error = error

    def _put_node_back(self, reason: str, error: dict[str, Any] | None, *, backoff: float) -> None:
        """A worker that helped is gone or ended. With `error` the run cannot go on, and is put back with it; without
        one its own process ends by itself: all of them stop at the same batch."""
        unit = self._unit
        unit.state, unit.owner, unit.lease_until, unit.leased_at = "waiting", None, None, None
        run = next((other for other in self._others if other.kind == RUN and other.state == "leased"), None)
        if error is not None and run is not None:
            LeaseEnd(self._session, self._ledger, run).put_back(reason, error, backoff=backoff)

    def _is_held(self) -> bool:
        return any(other.state == "leased" for other in self._others)

    def _nobody_else_holds_it(self, *, reason: str, message: str | None = None) -> None:
        """Move the job, unless another worker holds another unit of it."""
        if self._is_held():
            return
        stopped = self._job.desired in ("cancel", "pause")
        wanted = {"cancel": CANCEL_REQUESTED, "pause": PAUSE_REQUESTED}.get(self._job.desired, reason)
        self._ledger.move(
            Action.STOPPED if stopped else Action.RELEASE, reason=wanted, message=None if stopped else message
        )

    def _tell_interrupted(self, reason: str, error: dict[str, Any] | None) -> None:
        """The job's status need not tell: others may be at work on it."""
        unit, head = self._unit, head_of(self._unit)
        self._ledger.append(
            "estimate.interrupted",
            message=f"The estimate of the head {head} was interrupted ({reason})",
            data={"head": head, "reason": reason, "attempt": unit.attempt},
            dedupe_key=f"interrupted:{unit.slot}:{unit.fence}",
            level="warning" if error else "info",
        )


def count_runtime(ledger: Ledger, unit: UnitRow) -> None:
    """A lease is over: add what it took to the job's run time. A lost worker's counts up to its last heartbeat."""
    if unit.leased_at is not None:
        seconds = ((unit.heartbeat_at or ledger.moment) - unit.leased_at).total_seconds()
        ledger.job.run_seconds += max(0.0, seconds)
        unit.leased_at = None


def _out_of_time(job: JobRow) -> dict[str, Any]:
    return {
        "code": MAX_RUNTIME,
        "message": f"workers were at work on it for {job.run_seconds:.1f} s; it may take {job.max_runtime_seconds:g} s",
        "hint": "retry it with a higher scheduling.max_runtime_seconds: it goes on from its last checkpoint",
    }

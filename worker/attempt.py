"""One attempt: a lease, a training process, and the loop that turns the one's journal into the other's records.

    while the child runs:  record what is new -> renew the lease -> see whether anybody wants it to stop
    when it has ended:     record the rest -> say how it ended, under the same lease

A database that does not answer is asked again until the lease could be somebody else's; then the child is killed.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import structlog

from core.artifacts import ArtifactStore
from core.events import EstimateCompleted, JobEvent, Progress, RunCompleted, RunFailed
from core.jobs.broker import WakeUp
from core.jobs.lease import Lease, StoredArtifact, StoredEstimate
from core.jobs.state import CANCEL_REQUESTED, PAUSE_REQUESTED
from core.jobs.units import CHILD_CRASHED, CHILD_STALLED, DATA_CUT, MAX_RUNTIME, UnitService
from core.settings import EngineSettings
from worker import child as exits
from worker.checkpoint_sharing import CheckpointSharing
from worker.child import TrainingChild, describe_exit
from worker.insisting import insist
from worker.journal import JournalTail
from worker.log_shipping import LogShipper
from worker.rundir import RunDirectory
from worker.waiting import while_waiting
from worker.watchdog import Watchdog

T = TypeVar("T")
log = structlog.stdlib.get_logger(__name__)

ESTIMATE_NAME = "estimate.safetensors"
TICK_SECONDS = 0.05
PROGRESS_SECONDS = 2.0
"""How often progress is stored between heartbeats, so that people see it move."""


class Shutdown(Protocol):
    """What tells an attempt that its worker shuts down."""

    def is_set(self) -> bool:
        """Whether it does."""


class Attempt:
    """Watches one child under one lease; `run` returns when both are over."""

    def __init__(
        self,
        lease: Lease,
        child: TrainingChild,
        run: RunDirectory,
        *,
        units: UnitService,
        artifacts: ArtifactStore,
        engine: EngineSettings,
        shutting_down: Shutdown,
        handed_back: Callable[[str], None],
        announce: Callable[[WakeUp], None],
        sharing: CheckpointSharing | None = None,
    ) -> None:
        self._lease = lease
        self._child = child
        self._run = run
        self._units = units
        self._artifacts = artifacts
        self._engine = engine
        self._shutting_down = shutting_down
        self._handed_back = handed_back
        self._announce = announce
        self._sharing = sharing
        self._tail = JournalTail(run.journal)
        self._printed = LogShipper(run.log, lease, units.logs, limit=engine.log_bytes_per_job)
        self._last: JobEvent | None = None
        self._stored: Progress | None = None
        started = time.monotonic()
        self._renewed = started
        self._looked = started
        self._desired = "run"
        self._asked_for = "run"
        """What the owner wanted when the child was asked to stop; `run`: it was not the owner who wanted that."""
        left = lease.runtime_left_seconds
        self._over_at = None if left is None else started + left
        self._kill_at: float | None = None
        self._watchdog = Watchdog(run, engine.stall_seconds)
        self._has_opened = lease.node is None or lease.is_helper
        self._stalled = False

    def run(self) -> None:
        """Watch until the child ends, then say how.

        Raises `LeaseLostError` or `SelfFencedError` where it must not say so any more, pydantic's `ValidationError` or
        `ValueError` for a journal that is none, `ArtifactError`, `OSError`. Whatever happens, the child is dead then.
        """
        try:
            code = self._watch()
            while self._record():
                pass
            self._insist(lambda: self._printed.ship(last=True))
            self._conclude(code)
        finally:
            self._child.kill()

    # While the child runs

    def _watch(self) -> int:
        while (code := self._child.poll()) is None:
            if not self._record():
                self._renew()
            self._open_nodes()
            self._steer()
            self._kill_if_stalled()
            self._insist(self._printed.ship)
            time.sleep(TICK_SECONDS)
        return code

    def _record(self) -> bool:
        """Store what is new in the journal; whether there was anything."""
        entries = self._tail.read()
        if not entries:
            return False
        progress = self._run.progress()
        self._heard(self._insist(lambda: self._units.record(self._lease, entries, progress)))
        self._stored = progress
        self._last = entries[-1].event
        return True

    def _renew(self) -> None:
        """Heartbeat when one is due, or progress moved; else only look what the owner wants."""
        now = time.monotonic()
        if now - self._looked < self._engine.desired_poll_seconds:
            return
        self._looked = now
        age = now - self._renewed
        progress = self._run.progress() if age >= PROGRESS_SECONDS else self._stored
        if age >= self._engine.heartbeat_seconds or progress != self._stored:
            self._heard(self._insist(lambda: self._units.heartbeat(self._lease, progress)))
            self._stored = progress
        else:
            self._desired = self._insist(lambda: self._units.desired(self._lease))

    def _heard(self, desired: str) -> None:
        self._renewed = self._looked = time.monotonic()
        self._desired = desired

    def _open_nodes(self) -> None:
        """Let other workers come, once the training waits for them."""
        if self._has_opened or (meeting := self._run.meeting()) is None:
            return
        for wake_up in self._insist(lambda: self._units.open_nodes(self._lease, meeting)):
            self._announce(wake_up)
        self._has_opened = True
        log.info("waiting for the job's other workers", meeting=meeting)

    def _steer(self) -> None:
        """Ask the child to stop once; kill it when its grace is over."""
        if self._kill_at is None:
            if self._desired != "run" or self._is_over_time() or self._shutting_down.is_set():
                self._asked_for = self._desired
                log.info("asking the training to stop", desired=self._desired, over_time=self._is_over_time())
                self._child.ask_to_stop()
                self._kill_at = time.monotonic() + self._engine.cancel_grace_seconds
        elif time.monotonic() > self._kill_at:
            log.warning("the training did not stop in time; killing it")
            self._child.kill()

    def _kill_if_stalled(self) -> None:
        if self._kill_at is None and self._watchdog.is_stalled():
            log.warning("the training shows no progress; killing it", seconds=self._engine.stall_seconds)
            self._stalled = True
            self._child.kill()

    def _is_over_time(self) -> bool:
        return self._over_at is not None and time.monotonic() >= self._over_at

    def _insist(self, operation: Callable[[], T]) -> T:
        """Repeat `operation` over a database that does not answer, as long as the lease is surely ours."""
        return insist(operation, renewed=lambda: self._renewed, seconds=self._engine.self_fence_seconds)

    # When it has ended

    def _conclude(self, code: int) -> None:
        log.info("the training process ended", exit=describe_exit(code))
        if self._sharing is not None and code != exits.COMPLETE and self._desired != "cancel":
            self._sharing.finish(self._renew, seconds=self._engine.cancel_grace_seconds)
        if self._lease.is_helper:
            self._conclude_help(code)
            return
        match code, self._last:
            case exits.COMPLETE, RunCompleted() as completed:
                self._succeed(completed)
            case exits.COMPLETE, EstimateCompleted() as completed:
                self._finish_estimate(completed)
            case exits.PERMANENT_FAILURE, RunFailed() as failed:
                self._fail(failed)
            case _ if self._stalled:
                self._hung()
            case exits.PASSING_FAILURE, _ if self._kill_at is None and (failure := self._run.failure()) is not None:
                self._put_back(failure)
            case exits.NODES_MISSING, _ if self._kill_at is None:
                self._wait_for_nodes()
            case _ if code == exits.STOPPED or self._kill_at is not None:
                self._give_back()
            case _:
                self._crashed(code)

    def _succeed(self, completed: RunCompleted) -> None:
        # A store may be slow: the lease is renewed while it takes its time.
        stored = while_waiting(lambda check: self._store(completed, check), self._renew)
        progress = self._run.progress()
        self._insist(lambda: self._units.succeed(self._lease, completed, stored, progress))
        log.info("job succeeded", artifacts=len(stored))

    def _store(self, completed: RunCompleted, check: Callable[[], None]) -> list[StoredArtifact]:
        return [
            StoredArtifact(
                name=written.name,
                kind=written.kind,
                bytes=written.bytes,
                sha256=written.sha256,
                uri=self._artifacts.put(
                    self._run.artifact(written),
                    f"{self._folder}/{written.name}",
                    size=written.bytes,
                    sha256=written.sha256,
                    on_chunk=check,
                ),
            )
            for written in completed.artifacts
        ]

    @property
    def _folder(self) -> str:
        return f"jobs/{self._lease.job_id}/{self._lease.folder}"

    def _finish_estimate(self, completed: EstimateCompleted) -> None:
        uri = while_waiting(
            lambda check: self._artifacts.put(
                self._run.artifact(completed),
                f"{self._folder}/{ESTIMATE_NAME}",
                size=completed.bytes,
                sha256=completed.sha256,
                on_chunk=check,
            ),
            self._renew,
        )
        stored = StoredEstimate(head=completed.head, uri=uri, bytes=completed.bytes, sha256=completed.sha256)
        progress = self._run.progress()
        for wake_up in self._insist(lambda: self._units.finish_estimate(self._lease, stored, progress)):
            self._announce(wake_up)
        log.info("head estimated", head=completed.head)

    def _fail(self, failed: RunFailed) -> None:
        error: dict[str, Any] = {"code": failed.code, "message": failed.message, "hint": failed.hint}
        if failed.errors:
            error["errors"] = list(failed.errors)
        self._insist(lambda: self._units.fail(self._lease, error, reason=failed.code[:64]))
        log.info("job failed for good", code=failed.code)

    def _put_back(self, failure: dict[str, Any]) -> None:
        """The attempt failed for a reason that may pass: as after a crash there are so many attempts, and rests."""
        error = {
            **failure,
            "message": f"{failure['message']} (attempt {self._lease.attempt})",
            "log": self._run.log_tail(),
        }
        log.warning("the attempt failed, and may be repeated", code=error["code"])
        self._insist(lambda: self._units.release(self._lease, reason=error["code"][:64], error=error))

    def _give_back(self) -> None:
        if self._is_over_time():
            reason = MAX_RUNTIME
        else:  # what the owner wants by now is in the row, and decides
            reason = {"cancel": CANCEL_REQUESTED, "pause": PAUSE_REQUESTED}.get(self._asked_for, "worker_shutdown")
        if self._insist(lambda: self._units.release(self._lease, reason=reason)):
            self._handed_back(self._lease.unit_id)

    def _wait_for_nodes(self) -> None:
        """Whoever waits for the same workers must not wait in the same rhythm."""
        rest = random.uniform(0.2, 1.0) * min(self._engine.nodes_wait_seconds, 60.0)
        log.info("the job's other workers did not come; giving the unit back", rest_seconds=round(rest, 1))
        self._insist(lambda: self._units.release(self._lease, reason="nodes_missing", rest_seconds=rest))

    def _conclude_help(self, code: int) -> None:
        """What becomes of the job is told by who has the run. Where its process does not end with this one, though, it
        would wait for ever."""
        if code in (exits.COMPLETE, exits.STOPPED, exits.NODES_MISSING) or self._kill_at is not None:
            self._insist(lambda: self._units.release(self._lease, reason="worker_shutdown"))
            return
        until = time.monotonic() + self._engine.cancel_grace_seconds
        while time.monotonic() < until:
            self._renew()  # ends with `LeaseLostError` once the run has been put back, failed or succeeded
            time.sleep(TICK_SECONDS)
        failure = self._run.failure() if code == exits.PASSING_FAILURE else None
        if failure is None:
            self._crashed(code)
        else:
            self._put_back(failure)

    def _crashed(self, code: int) -> None:
        reason, hint = CHILD_CRASHED, None
        message = f"the training process {describe_exit(code)} before its end (attempt {self._lease.attempt})"
        if code == -signal.SIGKILL:
            hint = "SIGKILL usually means out of memory: try a smaller batch_size"
        elif code == -signal.SIGBUS:  # nothing that it maps but the files of a saved data set can lose a page
            reason, message = DATA_CUT, f"a file of the data set was cut while it was read: {message}"
            hint = "write a data set beside the old one and rename it; where nobody wrote, look at the disk"
        error = {"code": reason, "message": message, "hint": hint, "log": self._run.log_tail()}
        log.warning("the training crashed", exit=describe_exit(code), tail=error["log"])
        self._insist(lambda: self._units.release(self._lease, reason=reason, error=error))

    def _hung(self) -> None:
        seconds = f"{self._engine.stall_seconds:g} s"
        error = {
            "code": CHILD_STALLED,
            "message": f"the training process showed no progress for {seconds} (attempt {self._lease.attempt})",
            "hint": "the end of its log may tell why; if it is merely slow, raise engine.stall_seconds",
            "log": self._run.log_tail(),
        }
        self._insist(lambda: self._units.release(self._lease, reason=CHILD_STALLED, error=error))

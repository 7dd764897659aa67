"""One attempt: a lease, a training process, and the loop that turns the one's journal into the other's records.

    while the child runs:  record what is new -> renew the lease -> see whether anybody wants it to stop
    when it has ended:     record the rest -> say how it ended, under the same lease

A database that does not answer is asked again until the lease could be somebody else's; then the child is killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from core.artifacts import ArtifactStore
from core.errors import GblendError
from core.events import JobEvent, Progress, RunCompleted, RunFailed
from core.jobs.lease import Lease, StoredArtifact
from core.jobs.units import CHILD_CRASHED, UnitService
from core.settings import EngineSettings
from worker import child as exits
from worker.child import TrainingChild, describe_exit
from worker.journal import JournalTail
from worker.rundir import RunDirectory

T = TypeVar("T")
log = structlog.stdlib.get_logger(__name__)

TICK_SECONDS = 0.05
PROGRESS_SECONDS = 2.0
"""How often progress is stored between heartbeats, so that people see it move."""


class Shutdown(Protocol):
    """What tells an attempt that its worker shuts down."""

    def is_set(self) -> bool:
        """Whether it does."""


class SelfFencedError(GblendError):
    """No success with the database for so long that the lease may be another worker's by now."""


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
    ) -> None:
        self._lease = lease
        self._child = child
        self._run = run
        self._units = units
        self._artifacts = artifacts
        self._engine = engine
        self._shutting_down = shutting_down
        self._handed_back = handed_back
        self._tail = JournalTail(run.journal)
        self._last: JobEvent | None = None
        self._stored: Progress | None = None
        started = time.monotonic()
        self._renewed = started
        self._looked = started
        self._cancelled = False
        self._kill_at: float | None = None

    def run(self) -> None:
        """Watch until the child ends, then say how.

        Raises `LeaseLostError` or `SelfFencedError` where it must not say so any more, pydantic's `ValidationError` or
        `ValueError` for a journal that is none, `ArtifactError`, `OSError`. Whatever happens, the child is dead then.
        """
        try:
            code = self._watch()
            while self._record():
                pass
            self._conclude(code)
        finally:
            self._child.kill()

    # While the child runs

    def _watch(self) -> int:
        while (code := self._child.poll()) is None:
            if not self._record():
                self._renew()
            self._steer()
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
        """Heartbeat when one is due, or progress moved; else only look whether a cancel was asked for."""
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
            self._cancelled |= self._insist(lambda: self._units.desired(self._lease)) == "cancel"

    def _heard(self, desired: str) -> None:
        self._renewed = self._looked = time.monotonic()
        self._cancelled |= desired == "cancel"

    def _steer(self) -> None:
        """Ask the child to stop once; kill it when its grace is over."""
        if self._kill_at is None:
            if self._cancelled or self._shutting_down.is_set():
                log.info("asking the training to stop", cancelled=self._cancelled)
                self._child.ask_to_stop()
                self._kill_at = time.monotonic() + self._engine.cancel_grace_seconds
        elif time.monotonic() > self._kill_at:
            log.warning("the training did not stop in time; killing it")
            self._child.kill()

    def _insist(self, operation: Callable[[], T]) -> T:
        """Repeat `operation` over a database that does not answer, as long as the lease is surely ours."""
        pause = 0.1
        while True:
            try:
                return operation()
            except DBAPIError as error:
                if not _is_outage(error):
                    raise
                if time.monotonic() - self._renewed > self._engine.self_fence_seconds:
                    raise SelfFencedError(
                        "the database did not answer for too long", code="lease.self_fenced"
                    ) from error
                log.warning("database does not answer; trying again", error=type(error.orig).__name__)
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    # When it has ended

    def _conclude(self, code: int) -> None:
        log.info("the training process ended", exit=describe_exit(code))
        match code, self._last:
            case exits.COMPLETE, RunCompleted() as completed:
                self._succeed(completed)
            case exits.PERMANENT_FAILURE, RunFailed() as failed:
                self._fail(failed)
            case _ if code == exits.STOPPED or self._kill_at is not None:
                self._give_back()
            case _:
                self._crashed(code)

    def _succeed(self, completed: RunCompleted) -> None:
        stored = [
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
                    on_chunk=self._renew,
                ),
            )
            for written in completed.artifacts
        ]
        progress = self._run.progress()
        self._insist(lambda: self._units.succeed(self._lease, completed, stored, progress))
        log.info("job succeeded", artifacts=len(stored))

    @property
    def _folder(self) -> str:
        return f"jobs/{self._lease.job_id}/{self._lease.fence}"

    def _fail(self, failed: RunFailed) -> None:
        error: dict[str, Any] = {"code": failed.code, "message": failed.message, "hint": failed.hint}
        if failed.errors:
            error["errors"] = list(failed.errors)
        self._insist(lambda: self._units.fail(self._lease, error, reason=failed.code[:64]))
        log.info("job failed for good", code=failed.code)

    def _give_back(self) -> None:
        reason = "cancel_requested" if self._cancelled else "worker_shutdown"
        if self._insist(lambda: self._units.release(self._lease, reason=reason)):
            self._handed_back(self._lease.unit_id)

    def _crashed(self, code: int) -> None:
        error = {
            "code": CHILD_CRASHED,
            "message": f"the training process {describe_exit(code)} before its end (attempt {self._lease.attempt})",
            "hint": "SIGKILL usually means out of memory: try a smaller batch_size" if code == -9 else None,
            "log": self._run.log_tail(),
        }
        log.warning("the training crashed", exit=describe_exit(code), tail=error["log"])
        self._insist(lambda: self._units.release(self._lease, reason=CHILD_CRASHED, error=error))


def _is_outage(error: DBAPIError) -> bool:
    """Whether the database was away or busy, rather than the statement wrong."""
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)

"""From a wake-up to the end of an attempt: claim, prepare, start, watch, tidy up."""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from core.artifacts import ArtifactStore
from core.errors import ArtifactError, LeaseLostError
from core.jobs.lease import Lease
from core.jobs.units import UnitService
from core.settings import EngineSettings
from worker.attempt import Attempt, SelfFencedError
from worker.child import TRAINING, TrainingChild
from worker.devices import Slots
from worker.rundir import RunDirectory, discard

log = structlog.stdlib.get_logger(__name__)

WORKER_ERROR = "worker_error"
_MESSAGE_LIMIT = 1000


class Supervisor:
    """Runs units, one per calling thread. `stop` makes all of them give their units back."""

    def __init__(
        self,
        units: UnitService,
        artifacts: ArtifactStore,
        *,
        runs: Path,
        roots: Mapping[str, Path],
        engine: EngineSettings,
        slots: Slots,
        send: Callable[[str], None],
        command: Sequence[str] = TRAINING,
    ) -> None:
        self._units = units
        self._artifacts = artifacts
        self._runs = runs
        self._roots = roots
        self._engine = engine
        self._slots = slots
        self._send = send
        self._command = command
        self._shutting_down = threading.Event()
        self._handed_back: queue.SimpleQueue[str] = queue.SimpleQueue()

    def stop(self) -> None:
        """The worker shuts down: children write checkpoints and end, units go back, nothing new is claimed."""
        self._shutting_down.set()

    def announce_handed_back(self) -> None:
        """Tell other workers of the units given back. Only once this one listens no more: it would hear itself."""
        while not self._handed_back.empty():
            unit_id = self._handed_back.get()
            try:
                self._send(unit_id)
            except Exception:  # whatever a broker's client raises: a dispatcher will find the unit
                log.warning("wake-up not sent", unit_id=unit_id, exc_info=True)

    def run(self, unit_id: str) -> None:
        """Do what the wake-up says, if there still is anything to do. Never raises: the tables say how it went."""
        with self._slots.take() as gpu, structlog.contextvars.bound_contextvars(unit_id=unit_id):
            lease = self._claim(unit_id)
            if lease is None:
                return
            with structlog.contextvars.bound_contextvars(job_id=lease.job_id, fence=lease.fence):
                log.info("unit claimed", attempt=lease.attempt, gpu=gpu)
                try:
                    self._attempt(lease, gpu)
                except LeaseLostError:
                    log.warning("lease lost: another worker may have the unit")
                except SelfFencedError:
                    log.warning("gave up the unit: the database was away for too long")
                except Exception as error:  # whatever is wrong here (a full disk, a bug): the unit must not wait for it
                    log.exception("attempt failed in the worker")
                    self._release(lease, error)
                self._tidy(lease)

    def _claim(self, unit_id: str) -> Lease | None:
        try:
            if self._shutting_down.is_set():
                self._handed_back.put(unit_id)
                return None
            owner = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
            return self._units.claim(unit_id, owner)
        except DBAPIError as error:  # the dispatcher will send it again
            log.warning("database does not answer; wake-up dropped", error=type(error.orig).__name__)
            return None

    def _attempt(self, lease: Lease, gpu: str | None) -> None:
        run = RunDirectory.create(self._runs, lease, self._roots)
        child = TrainingChild(run, command=self._command, gpu=gpu)
        Attempt(
            lease,
            child,
            run,
            units=self._units,
            artifacts=self._artifacts,
            engine=self._engine,
            shutting_down=self._shutting_down,
            handed_back=self._handed_back.put,
        ).run()

    def _release(self, lease: Lease, error: Exception) -> None:
        what = f"{type(error).__name__}: {error}"[:_MESSAGE_LIMIT]
        report = {"code": WORKER_ERROR, "message": f"the worker failed: {what}", "hint": None}
        try:
            self._units.release(lease, reason=WORKER_ERROR, error=report)
        except (DBAPIError, LeaseLostError):
            log.warning("unit not given back; its lease will expire", exc_info=True)

    def _tidy(self, lease: Lease) -> None:
        """Remove what an ended job needs no more."""
        try:
            ended = self._units.ended([lease.job_id])
            kept = self._units.fence_of_result(lease.job_id)
        except DBAPIError:
            return  # swept when the worker starts again
        if not ended:
            return
        discard(self._runs / lease.job_id, keep_logs=kept is None)
        try:
            for folder in self._artifacts.children(f"jobs/{lease.job_id}"):
                if folder != str(kept):
                    self._artifacts.delete_below(f"jobs/{lease.job_id}/{folder}")
        except (ArtifactError, OSError):
            log.warning("left-over artifacts not removed", exc_info=True)

"""From a wake-up to the end of an attempt: claim, prepare, start, watch, tidy up."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from core.artifacts import ArtifactStore
from core.data.hub_access import HubAccess
from core.data.uris import is_remote
from core.errors import ArtifactError, LeaseLostError
from core.jobs.broker import WakeUp
from core.jobs.lease import Lease
from core.jobs.units import UnitService
from core.settings import DataSettings, EngineSettings
from core.spec.scheduling import DEFAULT_QUEUE
from worker.attempt import Attempt
from worker.checkpoint_fetching import NotWantedError, fetch_newest, remove_fetched
from worker.checkpoint_sharing import remove_left_overs, sharing
from worker.child import TRAINING, TrainingChild
from worker.devices import Held, Slots
from worker.estimate_fetching import fetch_estimates
from worker.insisting import SelfFencedError, insist
from worker.rundir import RunDirectory, condense, discard

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")
WORKER_ERROR = "worker_error"
_MESSAGE_LIMIT = 1000
_LOOK_SECONDS = 1.0
"""How long to wait for slots before looking again whether the unit that they are for is still the next."""


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
        send: Callable[[WakeUp], None],
        queues: Collection[str] = (DEFAULT_QUEUE,),
        worker_id: Callable[[], str | None] = lambda: None,
        command: Sequence[str] = TRAINING,
        address: str | None = None,
        features: tuple[Path, int] | None = None,
        hub: HubAccess | None = None,
        data: DataSettings | None = None,
    ) -> None:
        """`address`: by which other workers reach this machine; left out: its host name. `features`: where those of
        frozen encoders are kept, and how many bytes of them; left out: in each run's own folder. `hub`: which models
        of a hub trainings may fetch; left out: none."""
        self._units = units
        self._artifacts = artifacts
        self._runs = runs
        self._roots = roots
        self._engine = engine
        self._slots = slots
        self._send = send
        self._queues = tuple(queues)
        self._worker_id = worker_id
        self._command = command
        self._address = address or socket.gethostname()
        self._features = features
        self._hub = hub
        self._data = data or DataSettings()
        self._shutting_down = threading.Event()
        self._handed_back: queue.SimpleQueue[str] = queue.SimpleQueue()

    def stop(self) -> None:
        """The worker shuts down: children write checkpoints and end, units go back, nothing new is claimed."""
        self._shutting_down.set()

    def announce_handed_back(self) -> None:
        """Tell other workers of the units given back. Only once this one listens no more: it would hear itself."""
        unit_ids = []
        while not self._handed_back.empty():
            unit_ids.append(self._handed_back.get())
        try:
            for wake_up in self._units.wake_ups_of(unit_ids) if unit_ids else ():
                self._send(wake_up)
        except Exception:  # whatever a broker's client or the database raises: a dispatcher will find the units
            log.warning("wake-ups not sent", unit_ids=unit_ids, exc_info=True)

    def work(self, unit_id: str) -> None:
        """Run units of this worker's queues, one after the other, until none is ready: who has ended one looks for the
        next itself, and waits for no wake-up."""
        while self.run(unit_id) and not self._shutting_down.is_set():
            continue

    def run(self, unit_id: str) -> bool:
        """Run the unit that is next in this worker's queues, if any is ready. Never raises: the tables say how it went.

        `unit_id` is the one that a wake-up came for; it goes on to another worker where this one shuts down. Returns
        whether there was anything to do.
        """
        with self._slots.hold() as held:
            lease = self._claim(unit_id, held)
            if lease is None:
                return False
            with structlog.contextvars.bound_contextvars(unit_id=lease.unit_id, job_id=lease.job_id, fence=lease.fence):
                log.info("unit claimed", attempt=lease.attempt, head=lease.head, devices=lease.devices, gpus=held.gpus)
                try:
                    self._attempt(lease, held.gpus)
                except LeaseLostError:
                    log.warning("lease lost: another worker may have the unit")
                except SelfFencedError:
                    log.warning("gave up the unit: the database was away for too long")
                except Exception as error:  # whatever is wrong here (a full disk, a bug): the unit must not wait for it
                    log.exception("attempt failed in the worker")
                    self._release(lease, error)
                self._tidy(lease)
            return True

    def _claim(self, unit_id: str, held: Held) -> Lease | None:
        """The next unit that fits into this worker's slots, once so many are free; `None` where none is ready.

        One thread at a time: while it waits for the slots of a large unit, no other takes them for a small one that
        came later.
        """
        owner = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
        try:
            with self._slots.turn:
                while not self._shutting_down.is_set():
                    if not self._slots.wait_for(1, _LOOK_SECONDS):
                        continue
                    wanted = self._units.devices_of_next(self._queues, at_most=self._slots.count)
                    if wanted is None:
                        return None
                    if not (self._slots.wait_for(wanted, _LOOK_SECONDS) and held.take(wanted)):
                        continue  # somebody else may have taken it meanwhile
                    lease = self._units.claim_next(self._queues, owner, self._worker_id(), devices=wanted)
                    held.keep(0 if lease is None else lease.devices)
                    return lease
            self._handed_back.put(unit_id)
        except DBAPIError as error:  # the dispatcher will send it again
            log.warning("database does not answer; wake-up dropped", error=type(error.orig).__name__)
        return None

    def _attempt(self, lease: Lease, gpus: Sequence[str]) -> None:
        claimed = time.monotonic()

        def patiently(operation: Callable[[], T]) -> T:
            return insist(operation, renewed=lambda: claimed, seconds=self._engine.self_fence_seconds)

        try:
            # Who helps gets the checkpoint from the one that has the run, over the network between the trainings.
            fetched = (
                []
                if lease.is_helper
                else patiently(
                    lambda: fetch_newest(
                        lease,
                        self._runs,
                        store=self._artifacts,
                        units=self._units,
                        engine=self._engine,
                        shutting_down=self._shutting_down.is_set,
                    )
                )
            )
            run = RunDirectory.create(
                self._runs,
                lease,
                self._roots,
                fetched=fetched,
                checkpoint_seconds=self._engine.checkpoint_seconds,
                features=self._features,
                hub=self._hub,
                loading=self._data,
                address=self._address,
                patience=self._engine.nodes_wait_seconds,
            )
            patiently(
                lambda: fetch_estimates(
                    lease,
                    run,
                    store=self._artifacts,
                    units=self._units,
                    engine=self._engine,
                    shutting_down=self._shutting_down.is_set,
                )
            )
        except NotWantedError as error:  # what the owner wants by now is in the row, and decides
            log.info("unit given back before its training began", why=error.detail)
            if self._units.release(lease, reason="worker_shutdown"):
                self._handed_back.put(lease.unit_id)
            return
        if time.monotonic() - claimed > self._engine.heartbeat_seconds:  # the attempt takes its lease for a fresh one
            self._units.heartbeat(lease)
        shared = sharing(lease, run, store=self._artifacts, checkpoints=self._units.checkpoints, engine=self._engine)
        with shared as checkpoints:
            Attempt(
                lease,
                TrainingChild(
                    run,
                    command=self._command,
                    gpus=gpus,
                    nice=self._engine.nice,
                    remote_data=any(map(is_remote, self._roots)),
                ),
                run,
                units=self._units,
                artifacts=self._artifacts,
                engine=self._engine,
                shutting_down=self._shutting_down,
                handed_back=self._handed_back.put,
                announce=self._announce,
                sharing=checkpoints,
            ).run()

    def _announce(self, wake_up: WakeUp) -> None:
        """Tell others of what has become ready: this worker may find something better to do, or be asked to stop."""
        try:
            self._send(wake_up)
        except Exception:  # whatever a broker's client raises: a dispatcher will find the unit
            log.warning("wake-up not sent", unit_ids=[wake_up.unit_id], exc_info=True)

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
            disposable = self._units.disposable([lease.job_id])
            kept = self._units.fence_of_result(lease.job_id)
            counted = self._units.checkpoints.of_jobs([lease.job_id], None)
        except DBAPIError:
            return  # swept when the worker starts again
        if not ended:
            return
        remove_fetched(self._runs, lease.job_id)
        (discard if disposable else condense)(self._runs / lease.job_id)
        try:
            remove_left_overs(self._artifacts, lease.job_id, result=kept, counted=counted)
        except (ArtifactError, OSError):
            log.warning("left-over artifacts not removed", exc_info=True)

"""Everything a worker process needs, built once from the settings where the process starts."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.exc import DBAPIError

from core.artifacts import ArtifactStore
from core.data.hub_access import HubAccess
from core.data.remote.mirror import Mirror
from core.errors import GblendError
from core.gpus import visible_gpus
from core.jobs.broker import WakeUp
from core.jobs.housekeeping import Housekeeper
from core.jobs.reconcile import Reconciler
from core.jobs.retention import Retention
from core.jobs.units import UnitService
from core.jobs.worker_views import WorkerFacts
from core.jobs.workers import WorkerService
from core.persistence import Database, schema
from core.settings import Settings
from core.version import version
from worker.child import TRAINING
from worker.devices import Slots
from worker.registration import Registration
from worker.rundir import sweep, sweep_disposable
from worker.supervisor import Supervisor

log = structlog.stdlib.get_logger(__name__)


class WorkerRuntime:
    """A supervisor, a reconciler and an entry in the registry, on one database.

    `outdated` is called, in some thread and once, when the database moves on to a schema that this code does not know.
    """

    def __init__(
        self,
        settings: Settings,
        send: Callable[[WakeUp], None],
        *,
        outdated: Callable[[], None],
        command: Sequence[str] = TRAINING,
    ) -> None:
        self._settings = settings
        self._outdated = outdated
        self._database = Database(settings.database_url, pool_size=settings.database.pool_size)
        self.units = UnitService(self._database, settings.engine)
        self.reconciler = Reconciler(self.units, send, settings.engine)
        artifacts = ArtifactStore(settings.artifacts_url)
        retention = Retention(self._database, artifacts, retention_days=settings.engine.retention_days)
        chores: list[Callable[[], object]] = [
            retention.sweep,
            lambda: sweep_disposable(settings.runs_dir, self.units.disposable),
        ]
        if settings.roots.remote:
            chores.append(lambda: Mirror(settings.mirror_dir).shrink(settings.roots.mirror_bytes))
        self.housekeeper = Housekeeper(chores, settings.engine.sweep_seconds)
        self.slots = slots(settings)
        self.registration = Registration(
            WorkerService(self._database, settings.engine),
            facts=_facts(settings, self.slots),
            heartbeat_seconds=settings.engine.heartbeat_seconds,
            outdated=self._on_outdated,
        )
        self.supervisor = Supervisor(
            self.units,
            artifacts,
            runs=settings.runs_dir,
            roots=settings.data_roots,
            engine=settings.engine,
            slots=self.slots,
            send=send,
            queues=settings.worker.queues,
            worker_id=lambda: self.registration.worker_id,
            command=command,
            address=settings.worker.address,
            features=(settings.features_folder, settings.features.max_bytes),
            hub=HubAccess(
                allowed=settings.features.allow_hub,
                folder=settings.features_folder / "hub",
                most_bytes=settings.features.hub_bytes,
                endpoint=settings.features.hub_endpoint,
            ),
            data=settings.data,
        )

    def check_schema(self) -> None:
        """Raises `SchemaError` where the database is not of this code's schema; one that is away is looked at later."""
        try:
            with self._database.read() as session:
                schema.check(session)
        except DBAPIError as error:
            log.warning("database does not answer yet", error=type(error.orig).__name__)

    def start(self) -> None:
        """Enter the registry, begin to reap and dispatch, and remove what ended jobs left here."""
        self.registration.start()
        self.reconciler.start()
        try:
            sweep(self._settings.runs_dir, self.units.ended, self.units.disposable)
        except DBAPIError as error:  # swept at the next start
            log.warning("database does not answer yet; left-overs stay", error=type(error.orig).__name__)
        except OSError:  # a disk that does as it likes keeps no worker from its work
            log.warning("left-overs in the run directories stay", exc_info=True)
        self.housekeeper.start()

    def close(self) -> None:
        """Stop reaping and dispatching, say which units are free again and that this worker has ended, let go of the
        database. May be repeated."""
        self.reconciler.stop()
        self.housekeeper.stop()
        self.supervisor.announce_handed_back()
        self.registration.stop()
        self._database.close()

    def _on_outdated(self, error: GblendError) -> None:
        log.error("this worker stops: its code and the database do not fit", reason=str(error), hint=error.hint)
        self.supervisor.stop()
        self._outdated()


def _facts(settings: Settings, slots: Slots) -> WorkerFacts:
    return WorkerFacts(
        host=socket.gethostname(),
        pid=os.getpid(),
        version=version(),
        queues=settings.worker.queues,
        slots=slots.count,
        gpus=slots.gpus,
    )


def slots(settings: Settings) -> Slots:
    """The trainings that may run at once in this process."""
    return Slots(settings.engine.slots, visible_gpus(os.environ))
